"""One run, put together from its parts, and what watches it."""
