"""The providers as a batch uses them: where they are, with which key, and a connection pool for each."""
