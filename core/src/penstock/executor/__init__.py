"""The waiting half of the request gate: it carries out what `penstock.requests` decides."""
