"""A simulated provider with real limits, in virtual time."""
