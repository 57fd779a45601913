"""The views of a run that are worked out from its events. Pure."""
