"""Which tasks are ready: who waits for whom, and what is complete. Pure."""
