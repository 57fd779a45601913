"""What a cell is known by: sixteen bytes of what was asked, and which of several equal calls it is. Pure.

Equal calls of different rows are different cells, unless their step shares them: the k-th row with a call has its k-th
answer. Which one a row has is counted while a run goes over its rows, in eight to sixteen bytes per cell.
"""

from __future__ import annotations

import json
from array import array
from collections.abc import Sequence
from hashlib import blake2b
from typing import Any, Final

__all__ = ["KEY_BYTES", "Occurrences", "base_key", "numbered_key"]

KEY_BYTES: Final = 16
_FIRST_SIZE: Final = 1 << 12
_WORD: Final = 8


def base_key(parts: Sequence[Any]) -> bytes:
    """The key of a call by all that it says, as JSON; the order of members does not count.

    >>> base_key(["chat", {"a": 1, "b": 2}]) == base_key(["chat", {"b": 2, "a": 1}])
    True
    """
    text = json.dumps(parts, ensure_ascii=True, sort_keys=True, separators=(",", ":"))
    return blake2b(text.encode("ascii"), digest_size=KEY_BYTES).digest()


def numbered_key(base: bytes, number: int, sample: int = 0) -> bytes:
    """The key of the `number`-th of several equal calls, and of its `sample`-th answer, both counted from 0."""
    if not number and not sample:
        return base
    return blake2b(b"%s:%d:%d" % (base, number, sample), digest_size=KEY_BYTES).digest()


class Occurrences:
    """How often each call has come so far. Of most calls there is one: those are a set of 64-bit words in one array,
    by open addressing; only the others are counted in a dictionary.
    """

    def __init__(self) -> None:
        self._size = _FIRST_SIZE
        self._table = array("Q", bytes(_WORD * self._size))
        self._used = 0
        self._counts: dict[bytes, int] = {}

    def next_of(self, base: bytes) -> int:
        """The number of this occurrence, from 0."""
        again = self._counts.get(base)
        if again is not None:
            self._counts[base] = again + 1
            return again
        if self._put(int.from_bytes(base[:_WORD], "little") or 1):
            return 0
        self._counts[base] = 2
        return 1

    def _put(self, word: int) -> bool:
        """Whether the word was not there."""
        table, mask = self._table, self._size - 1
        place = word & mask
        while (there := table[place]) != 0:
            if there == word:
                return False
            place = (place + 1) & mask
        table[place] = word
        self._used += 1
        if self._used * 3 > self._size * 2:
            self._grow()
        return True

    def _grow(self) -> None:
        words = self._table
        self._size *= 2
        self._used = 0
        self._table = array("Q", bytes(_WORD * self._size))
        for word in words:
            if word:
                self._put(word)
