"""What everybody records: the records of both streams, and what joins them. Pure."""
