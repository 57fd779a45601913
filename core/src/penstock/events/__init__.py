"""The records of both event streams, and what joins them. Pure."""
