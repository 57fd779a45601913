"""The connections of one origin that no call uses. Pure: `now` is passed in.

The one that was used last is used first, so that those that are not needed grow old and go.
"""

from __future__ import annotations

from collections import deque
from math import inf
from typing import Generic, TypeVar

__all__ = ["IdleConnections"]

C = TypeVar("C")


class IdleConnections(Generic[C]):
    """At most `most` connections, each kept for `keep` seconds after its last call."""

    def __init__(self, most: int, keep: float) -> None:
        self._most = most
        self._keep = keep
        self._idle: deque[tuple[float, C]] = deque()

    def __len__(self) -> int:
        return len(self._idle)

    @property
    def next(self) -> float:
        """When the next of them has been kept long enough; `inf` where there is none."""
        return self._idle[0][0] if self._idle else inf

    def put(self, connection: C, now: float) -> list[C]:
        """Keep a connection that has ended a call; returns those that are to be closed."""
        self._idle.append((now + self._keep, connection))
        closed = self.expired(now) if self._idle[0][0] <= now else []
        while len(self._idle) > self._most:
            closed.append(self._idle.popleft()[1])
        return closed

    def take(self, now: float) -> C | None:
        """The connection that was used last, if one is kept that is not too old."""
        if not self._idle or self._idle[-1][0] <= now:
            return None
        return self._idle.pop()[1]

    def expired(self, now: float) -> list[C]:
        """Those that have been kept long enough, which are forgotten: to be closed."""
        closed = []
        while self._idle and self._idle[0][0] <= now:
            closed.append(self._idle.popleft()[1])
        return closed

    def clear(self) -> list[C]:
        """All, which are forgotten: to be closed."""
        closed = [connection for _, connection in self._idle]
        self._idle.clear()
        return closed
