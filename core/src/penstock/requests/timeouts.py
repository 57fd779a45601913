"""The moments at which waits end: a heap of moments, from which those who left without waiting that long drop
out by themselves.
"""

from __future__ import annotations

from collections.abc import Container
from heapq import heapify, heappop, heappush
from typing import Final

from penstock.requests.items import RequestAdmissionItem
from penstock.requests.waiters import RequestWaiter

__all__ = ["Timeouts", "end_of_wait"]

_SLACK: Final = 64


def end_of_wait(item: RequestAdmissionItem, now: float) -> float | None:
    """The moment up to which a call that asks now waits for its lease; `None`: as long as it takes."""
    if item.queue_wait_timeout is None:
        return item.deadline
    ends = now + item.queue_wait_timeout
    return ends if item.deadline is None else min(ends, item.deadline)


class Timeouts:
    """Moments with waiters, earliest first. `waiting` is the live collection of those that still wait."""

    def __init__(self, waiting: Container[RequestWaiter]) -> None:
        self._waiting = waiting
        self.moments: list[tuple[float, int, RequestWaiter]] = []
        """A heap; some may have left. To be read only."""
        self._tidy_at = _SLACK

    def add(self, moment: float, waiter: RequestWaiter) -> None:
        """Note that `waiter` does not wait beyond `moment`."""
        heappush(self.moments, (moment, waiter.sequence, waiter))
        if len(self.moments) > self._tidy_at:
            self.moments = [entry for entry in self.moments if entry[2] in self._waiting]
            heapify(self.moments)
            self._tidy_at = 2 * len(self.moments) + _SLACK

    def next_moment(self) -> float | None:
        """The moment at which the first of those who still wait gives up."""
        while self.moments and self.moments[0][2] not in self._waiting:
            heappop(self.moments)
        return self.moments[0][0] if self.moments else None

    def pop_due(self, now: float, *, strictly: bool = False) -> RequestWaiter | None:
        """One who still waits though its moment has come (`strictly`: has passed); `None` if there is none."""
        moment = self.next_moment()
        if moment is None or moment > now or (strictly and moment == now):
            return None
        return heappop(self.moments)[2]
