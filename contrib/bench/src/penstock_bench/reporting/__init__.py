"""What a bench prints and writes: tables, files, targets and whether they are met, exit codes."""
