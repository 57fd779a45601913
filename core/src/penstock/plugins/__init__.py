"""The hook specifications, and the manager that finds, chooses, checks and compiles plugins."""
