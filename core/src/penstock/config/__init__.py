"""The configuration: one TOML file, read strictly into typed records. Pure."""
