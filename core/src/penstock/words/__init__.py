"""The vocabulary that all packages share: refusals, keys, errors, leases. Pure."""
