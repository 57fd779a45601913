"""A pipeline as it is written: its TOML, its steps, their templates and functions, checked before anything runs."""
