"""The gateway's own keys, blotted out of what providers answer: some repeat them, and they are no client's. Pure.

Each is covered by as many asterisks, so lengths hold. What is packed passes as it is.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

__all__ = ["SHORTEST_SECRET", "Blotter", "blotted"]

SHORTEST_SECRET: Final = 8
"""Bytes. What is shorter is no key, and may stand in any text."""


def blotted(data: bytes, secrets: Sequence[bytes]) -> bytes:
    """Data without these secrets.

    >>> blotted(b"no such key: swordfish", [b"swordfish"])
    b'no such key: *********'
    """
    for secret in secrets:
        if secret in data:
            data = data.replace(secret, b"*" * len(secret))
    return data


class Blotter:
    """Blots secrets out of data that comes in pieces, wherever these are cut."""

    def __init__(self, secrets: Sequence[bytes]) -> None:
        self._secrets = secrets
        self._kept = b""

    def feed(self, piece: bytes) -> bytes:
        """What can be passed on; kept is the end, as long as a secret may begin there."""
        data = blotted(self._kept + piece, self._secrets)
        begin = min(_begin(data, secret) for secret in self._secrets)
        self._kept = data[begin:]
        return data[:begin]

    def end(self) -> bytes:
        """What was kept, and is none."""
        return self._kept


def _begin(data: bytes, secret: bytes) -> int:
    """Where the end of data begins that a secret may begin with."""
    at = data.find(secret[:1], max(0, len(data) - len(secret) + 1))
    while at >= 0 and not secret.startswith(data[at:]):
        at = data.find(secret[:1], at + 1)
    return at if at >= 0 else len(data)
