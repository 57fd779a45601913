"""What a cell is known by: sixteen bytes of what was asked, and which of several equal calls it is. Pure.

Equal calls of different rows are different cells, unless their step shares them; a row is known by its text.
"""

from __future__ import annotations

import json
import re
from array import array
from collections.abc import Iterable, Sequence
from hashlib import blake2b
from json.encoder import encode_basestring_ascii
from typing import Any, Final

import msgspec

__all__ = ["HOLE", "KEY_BYTES", "KeyForm", "RowNames", "base_key", "numbered_key"]

KEY_BYTES: Final = 16
_CANONICAL: Final = json.JSONEncoder(sort_keys=True, separators=(",", ":")).encode
_TEXT: Final = encode_basestring_ascii
_QUICK: Final = msgspec.json.Encoder(order="sorted").encode
_OTHERWISE: Final = re.compile(rb"[0-9]e-?[0-9]|0\.0000|\x7f")
"""In plain ASCII `msgspec` says the same, but for fractions with an exponent, and for DEL."""
HOLE: Final = object()
"""What stands in a `KeyForm` for a value that each call has of its own."""
_FIRST_SIZE: Final = 1 << 12
_AT_A_TIME: Final = 1 << 12
_WORD: Final = 8
_APART: Final = 0x9E3779B97F4A7C15
_ALL_BITS: Final = (1 << 64) - 1
_HALF: Final = 1 << 63


def base_key(parts: Sequence[Any]) -> bytes:
    """The key of a call by all that it says, as JSON; the order of members does not count.

    >>> base_key(["chat", {"a": 1, "b": 2}]) == base_key(["chat", {"b": 2, "a": 1}])
    True
    """
    try:
        said = _QUICK(parts)
    except (ValueError, TypeError):  # half a surrogate pair, say
        said = b""
    if not said or not said.isascii() or _OTHERWISE.search(said):
        said = _CANONICAL(parts).encode("ascii")
    return blake2b(said, digest_size=KEY_BYTES).digest()


class KeyForm:
    """The keys of calls that say the same but for some values: what they have in common is written once.

    `parts` hold a `HOLE` for each of these values, in the order of the canonical JSON, where members go by their names.

    >>> form = KeyForm(["chat", {"b": HOLE, "a": 1}])
    >>> form.key(("x",)) == base_key(["chat", {"a": 1, "b": "x"}])
    True
    """

    def __init__(self, parts: Sequence[Any]) -> None:
        # A text that stands nowhere in them: nobody can write one that holds its own digest.
        mark = blake2b(_with_holes(parts, None).encode("ascii")).hexdigest()
        self._pattern = _with_holes(parts, mark).replace("%", "%%").replace(f'"{mark}"', "%s")

    def key(self, values: Iterable[Any]) -> bytes:
        """The key of the call with these values in the holes; `base_key` of all that it says."""
        said = self._pattern % tuple([_TEXT(value) if type(value) is str else _CANONICAL(value) for value in values])
        return blake2b(said.encode("ascii"), digest_size=KEY_BYTES).digest()


def _with_holes(parts: Sequence[Any], mark: str | None) -> str:
    """Parts as canonical JSON, with `mark` in the place of each hole."""

    def filled(value: object) -> str | None:
        if value is not HOLE:
            raise TypeError(f"{type(value).__name__} is no JSON")
        return mark

    return json.dumps(parts, sort_keys=True, separators=(",", ":"), default=filled)


def numbered_key(base: bytes, number: int, sample: int = 0) -> bytes:
    """The key of the `number`-th of several equal calls, and of its `sample`-th answer, both counted from 0."""
    if not number and not sample:
        return base
    return blake2b(b"%s:%d:%d" % (base, number, sample), digest_size=KEY_BYTES).digest()


class _Words:
    """A set of 64-bit words in one array, by open addressing: 12 to 24 bytes each."""

    def __init__(self, words: int = 0) -> None:
        """`words` are about as many as there will be."""
        self._size = max(_FIRST_SIZE, 1 << (words * 3 // 2).bit_length())
        self._table = array("Q", bytes(_WORD * self._size))
        self._used = 0

    def add_all(self, words: Sequence[int]) -> list[int]:
        """Add these words, and say of which of them, by their places, it is that they were there."""
        while (self._used + len(words)) * 3 > self._size * 2:
            self._grow()
        table, mask = self._table, self._size - 1
        again: list[int] = []
        for at, word in enumerate(words):
            word = word or 1
            place = word & mask
            while (there := table[place]) != 0:
                if there == word:
                    again.append(at)
                    break
                place = (place + 1) & mask
            else:
                table[place] = word
        self._used += len(words) - len(again)
        return again

    def __contains__(self, word: int) -> bool:
        table, mask = self._table, self._size - 1
        word = word or 1
        place = word & mask
        while (there := table[place]) != 0:
            if there == word:
                return True
            place = (place + 1) & mask
        return False

    def _grow(self) -> None:
        words = [word for word in self._table if word]
        self._size *= 2
        self._used = 0
        self._table = array("Q", bytes(_WORD * self._size))
        self.add_all(words)


class RowNames:
    """What each row of an input is known by: the digest of its text, and which of several equal rows it is.

    `digests` are those of all rows. Of most there is one: those are words in an array, and only the others are counted
    in a dictionary.
    """

    def __init__(self, digests: Sequence[int]) -> None:
        self._digests = digests
        self._came = _Words(len(digests))
        self._again: dict[int, int] = {}
        self._all: _Words | None = None

    def next_of(self, digests: Sequence[int]) -> list[int]:
        """The names of the next rows, which have these digests, as signed 64-bit numbers."""
        names = [digest - _HALF for digest in digests]
        for at in self._came.add_all(digests):
            digest = digests[at]
            again = self._again[digest] = self._again.get(digest, 0) + 1
            names[at] = ((digest + again * _APART) & _ALL_BITS) - _HALF
        return names

    def present(self, name: int) -> bool:
        """Whether a row of the input has this name; the first question goes over all rows."""
        if self._all is None:
            names = RowNames(())
            self._all = _Words(len(self._digests))
            for start in range(0, len(self._digests), _AT_A_TIME):
                part = self._digests[start : start + _AT_A_TIME]
                self._all.add_all([given + _HALF for given in names.next_of(part)])
        return name + _HALF in self._all
