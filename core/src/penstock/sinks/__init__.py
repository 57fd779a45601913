"""How events reach plugins."""
