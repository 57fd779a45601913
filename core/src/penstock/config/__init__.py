"""One TOML file, read into typed records, strictly. Pure."""
