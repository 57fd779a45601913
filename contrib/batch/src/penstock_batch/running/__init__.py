"""A run: rows go through a window to the scheduler, and the output is assembled at its end."""
