"""The keys of clients: what one may look like, and how one that is presented is known. Pure.

A key is never kept: of each there is the SHA-256 with a salt. A key has at least 32 characters, so nothing slower is
needed against guessing. One that is presented is looked up by its name in the key (`psk_NAME_…`), or by its digest
under a secret of this process, and compared in constant time.
"""

from __future__ import annotations

import hmac
import re
import secrets
from collections.abc import Mapping
from hashlib import blake2s, sha256
from typing import Final

import attrs

__all__ = ["FEWEST_CHARACTERS", "KEY_NAME", "HashedKey", "KeyRing", "key_problem", "new_key"]

FEWEST_CHARACTERS: Final = 32
FEWEST_DIFFERENT: Final = 10
LONGEST: Final = 512
KEY_NAME: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9.-]{0,63}")
"""What a key may be called: it is the group of its calls, and stands in logs and metrics."""


def key_problem(key: str) -> str | None:
    """What is wrong with a key, without any part of it; `None` if nothing is.

    >>> key_problem("short")
    'has 5 characters, and must have at least 32'
    """
    if not all("!" <= character <= "~" for character in key):
        return "holds a character that no key has: a space, a line break, or none of ASCII"
    if len(key) < FEWEST_CHARACTERS:
        return f"has {len(key)} characters, and must have at least {FEWEST_CHARACTERS}"
    if len(key) > LONGEST:
        return f"has {len(key)} characters, and must have at most {LONGEST}"
    if len(set(key)) < FEWEST_DIFFERENT:
        return f"has {len(set(key))} different characters, and must have at least {FEWEST_DIFFERENT}"
    return None


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
        return hmac.compare_digest(_salted(self.salt, key), self.digest)


def _salted(salt: str, key: str) -> str:
    return sha256(f"{salt}:{key}".encode()).hexdigest()


def new_key(name: str, today: str) -> tuple[str, HashedKey]:
    """A new key, and what is kept of it."""
    key = f"psk_{name}_{secrets.token_urlsafe(32)}"
    salt = secrets.token_hex(16)
    return key, HashedKey(name, salt, _salted(salt, key), today)


class KeyRing:
    """Whose a key is that is presented. `plain` are keys of the environment by name, `hashed` those of the file."""

    def __init__(self, plain: Mapping[str, str], hashed: Mapping[str, HashedKey]) -> None:
        self._secret = secrets.token_bytes(32)
        self._plain = {self._mark(key): (name, key.encode()) for name, key in plain.items()}
        self._hashed = dict(hashed)

    def __bool__(self) -> bool:
        return bool(self._plain or self._hashed)

    @property
    def names(self) -> frozenset[str]:
        """The names of all keys."""
        return frozenset((*(name for name, _ in self._plain.values()), *self._hashed))

    def same(self, other: KeyRing, name: str) -> bool:
        """Whether the key of a name is the same in another ring."""
        return self._known_by(name) == other._known_by(name)

    def _known_by(self, name: str) -> tuple[bytes | None, HashedKey | None]:
        plain = next((key for whose, key in self._plain.values() if whose == name), None)
        return plain, self._hashed.get(name)

    def find(self, key: str) -> str | None:
        """The name of a key; `None` where there is no such key."""
        if len(key) > LONGEST:
            return None
        found = self._plain.get(self._mark(key))
        if found is not None and hmac.compare_digest(found[1], key.encode("utf-8", "replace")):
            return found[0]
        if not key.startswith("psk_"):
            return None
        name = key[4:].partition("_")[0]
        known = self._hashed.get(name)
        return name if known is not None and known.fits(key) else None

    def _mark(self, key: str) -> bytes:
        return blake2s(key.encode("utf-8", "replace"), key=self._secret).digest()
