"""The deciding half of the request gate: when each call may go out. Pure."""
