"""A piece of memory that the processes of a gateway share, in which the coordinator keeps what the next one must know.

Whoever writes may be killed in the middle of it: there are two halves, and the last that was written in full counts.
"""

from __future__ import annotations

import mmap
from typing import Final
from zlib import crc32

__all__ = ["KeptBytes"]

HALF: Final = 4 * 1024 * 1024
"""Bytes of address space; what is never written takes no memory."""
_HEAD: Final = 16


class KeptBytes:
    """The last bytes that anybody kept, in this process or one that was forked from it.

    >>> kept = KeptBytes()
    >>> kept.keep(b"first"); kept.keep(b"second"); kept.last
    b'second'
    """

    def __init__(self) -> None:
        self._memory = mmap.mmap(-1, 2 * HALF)

    @property
    def last(self) -> bytes | None:
        """What was kept last; `None`: nothing."""
        found = [each for each in (self._read(0), self._read(HALF)) if each is not None]
        return max(found)[1] if found else None

    def keep(self, data: bytes) -> None:
        """Keep these in the place of what was kept before; what is too long is not."""
        if len(data) > HALF - _HEAD:
            return
        halves = [(self._number(begin), begin) for begin in (0, HALF)]
        (_, older), (newest, _) = sorted(halves)
        number = newest + 1
        self._memory[older : older + _HEAD] = bytes(_HEAD)
        self._memory[older + _HEAD : older + _HEAD + len(data)] = data
        head = number.to_bytes(8, "big") + len(data).to_bytes(4, "big")
        self._memory[older : older + _HEAD] = head + crc32(head + data).to_bytes(4, "big")

    def _number(self, begin: int) -> int:
        found = self._read(begin)
        return 0 if found is None else found[0]

    def _read(self, begin: int) -> tuple[int, bytes] | None:
        head = self._memory[begin : begin + _HEAD]
        number, size = int.from_bytes(head[:8], "big"), int.from_bytes(head[8:12], "big")
        if not number or size > HALF - _HEAD:
            return None
        data = self._memory[begin + _HEAD : begin + _HEAD + size]
        return (number, data) if crc32(head[:12] + data) == int.from_bytes(head[12:], "big") else None
