"""A report of what happened, from a record of events as JSON Lines: of any program, a gateway, a batch."""
