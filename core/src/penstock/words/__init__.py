"""The words that all packages share: refusals, keys, errors, leases. Pure."""
