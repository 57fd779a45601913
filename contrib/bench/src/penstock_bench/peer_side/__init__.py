"""What runs in the peer's own environment: it knows the peer's library and the standard library, and nothing
of Penstock.
"""
