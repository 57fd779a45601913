"""`penstock bench scenarios`: the request gate against providers with known limits, in virtual time."""
