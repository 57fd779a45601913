"""The deciding half of the task gate: which ready task starts next. Pure."""
