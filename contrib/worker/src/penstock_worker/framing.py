"""Lines out of a stream of bytes, at bounded memory: a line that is too long is passed over, and its beginning kept."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

import attrs

__all__ = ["LineSplitter", "LongLine"]

HEAD: Final = 4096
"""Bytes of a line that is too long which are kept: its id stands at its beginning."""


@attrs.frozen
class LongLine:
    """A line that was passed over: its first bytes, and how long it was."""

    head: bytes
    size: int


class LineSplitter:
    """The lines of what is fed, without their line feeds; a line is at most `longest` bytes long."""

    def __init__(self, longest: int) -> None:
        self._longest = longest
        self._parts: list[bytes] = []
        self._size = 0

    def feed(self, data: bytes) -> Iterator[bytes | LongLine]:
        """The lines that end in `data`."""
        *ended, rest = data.split(b"\n")
        for part in ended:
            self._add(part)
            yield self._take()
        self._add(rest)

    def end(self) -> Iterator[bytes | LongLine]:
        """The last line, where the stream ended without a line feed."""
        if self._size:
            yield self._take()

    def _add(self, part: bytes) -> None:
        before, self._size = self._size, self._size + len(part)
        if self._size <= self._longest:
            if part:
                self._parts.append(part)
        elif before <= self._longest:
            self._parts = [b"".join((*self._parts, part))[:HEAD]]

    def _take(self) -> bytes | LongLine:
        parts, size = self._parts, self._size
        self._parts, self._size = [], 0
        whole = b"".join(parts)
        return whole if size <= self._longest else LongLine(whole, size)
