"""What is worked out from events after they happened. Pure."""
