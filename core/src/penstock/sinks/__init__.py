"""The way of events to sink plugins."""
