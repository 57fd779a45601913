"""The dependencies between tasks: which tasks are ready, and which are complete. Pure."""
