"""The scenarios: providers with known limits, and what must be reached against them, in virtual time."""
