"""Answers on their way to the parent process: whole lines, one after another, in the order in which they were put in.

Putting one in never waits. What waits is the work: while the parent reads more slowly than answers come, and so more
than `full_at` bytes are here, no handler begins (`room`). So what is held is bounded by that and one answer for each
task that runs. The writing waits in a task of its own, and nothing else waits for it.
"""

from __future__ import annotations

from collections import deque
from typing import Final

import trio

__all__ = ["Outbox", "OutboxClosed"]

FULL_AT: Final = 16_000_000
"""Bytes of unwritten answers from which on no handler begins."""

ONE_WRITE: Final = 1_000_000
"""Bytes from which on lines are not joined to be written at once."""


class OutboxClosed(Exception):
    """The parent reads no more answers, or is not to be waited for any more."""


class Outbox:
    """The answers that are not written yet, and the task `write` that writes them to `sink`."""

    def __init__(self, sink: trio.abc.SendStream, full_at: int = FULL_AT) -> None:
        self._sink = sink
        self._full_at = full_at
        self._lines: deque[bytes] = deque()
        self._unwritten = 0
        self._changed = trio.Event()
        self.closed = False
        """Whether nobody is to wait for room any more."""
        self.last_written: float | None = None
        """When the last answer was written, by the run's clock."""

    @property
    def full(self) -> bool:
        """Whether there is no room: then a handler waits for `room` before it begins."""
        return self.closed or self._unwritten >= self._full_at

    def put(self, line: bytes) -> None:
        """The line is written when those before it are."""
        if line:
            self._lines.append(line)
            self._unwritten += len(line)
            self._ring()

    async def room(self) -> None:
        """A wait until less than `full_at` bytes are unwritten. Raises `OutboxClosed`."""
        while self.full:
            if self.closed:
                raise OutboxClosed
            await self._changed.wait()

    @property
    def is_empty(self) -> bool:
        """Whether all is written."""
        return not self._unwritten

    async def empty(self) -> None:
        """A wait until all is written."""
        while not self.is_empty:
            await self._changed.wait()

    def close(self) -> None:
        """Nobody waits for room any more; what is here is written all the same, while the parent reads."""
        self.closed = True
        self._ring()

    async def write(self) -> None:
        """Writes what is put in, for ever. Raises `trio.BrokenResourceError` when nobody reads any more."""
        while True:
            while not self._lines:
                await self._changed.wait()
            data = self._take()
            await self._sink.send_all(data)
            self.last_written = trio.current_time()
            self._unwritten -= len(data)
            self._ring()

    def _take(self) -> bytes:
        taken = [self._lines.popleft()]
        size = len(taken[0])
        while self._lines and size + len(self._lines[0]) <= ONE_WRITE:
            taken.append(self._lines.popleft())
            size += len(taken[-1])
        return b"".join(taken)

    def _ring(self) -> None:
        changed, self._changed = self._changed, trio.Event()
        changed.set()
