"""A key as it is kept: never as it is, but its digest behind a salt. Pure."""

from __future__ import annotations

import hmac
from hashlib import sha256

import attrs

__all__ = ["HashedKey", "salted"]


@attrs.frozen
class HashedKey:
    """A key of the file: its name, and the digest of the key behind a salt, both in hexadecimal digits. `made` is the
    day.
    """

    name: str
    salt: str
    digest: str
    made: str

    def fits(self, key: str) -> bool:
        """Whether this is the key, in constant time."""
        return hmac.compare_digest(salted(self.salt, key), self.digest)


def salted(salt: str, key: str) -> str:
    """The digest of a key behind a salt, in hexadecimal digits."""
    return sha256(f"{salt}:{key}".encode()).hexdigest()
