"""The first climb: from a limit of one to the whole limit, evenly over some seconds in which the limit was used up.

Whoever starts with the whole limit at once learns the provider's own from as many refusals as that is too high.
A climb is refused with as many calls too many as it rises while the refusal is under way: one or two, at the defaults.

Time in which less than the limit was in flight does not count: nothing was learnt in it. Otherwise a job that begins
with a call now and then, and has three hundred at once after a minute, would find the whole limit (71 refusals instead
of 2 with 20 slots). Congestion window validation (RFC 7661) does the same for TCP.
"""

from __future__ import annotations

from bisect import bisect_right
from math import inf
from typing import Final

__all__ = ["StartupRamp"]

LATE: Final = 0.05
"""Seconds for which less than the limit may be in flight, and the time still counts: a call that waits goes when the
loop comes to it."""


class StartupRamp:
    """A limit that is 1 at `begin`, 2 after `seconds / (top - 1)`, and `top` (≥ 2) after `seconds` (> 0)."""

    def __init__(self, begin: float, top: int, seconds: float) -> None:
        self._begin = begin
        self._interval = seconds / (top - 1)
        self._top = top
        self._later = range(2, top + 1)
        self._in_flight = 0
        self._free = 0.0  # seconds below the limit since it was used up
        self._counted_at = begin
        self.counted = 1
        """The limit at the last count."""
        self.rises = self._reached(2)
        """When it is more, if all time until then counts; never, while no time counts."""

    def limit(self, now: float) -> int:
        """The limit at `now`, at most `top`."""
        return self.counted if now < self.rises else self._limit_of(self._counting(now))

    def count(self, in_flight: int, now: float) -> None:
        """So many are in flight from `now` on. Time below the limit is counted out."""
        if self._free >= LATE and in_flight < self.counted:  # as before: no time counts until the limit is used up
            self._in_flight = in_flight
            return
        full_until = self._counted_at if self._in_flight < self.counted else min(self.rises, now)
        free = now - full_until
        uncounted = free - (LATE - self._free) if self._free < LATE else free
        self._free += free
        if uncounted > 0:
            self._begin += uncounted
        self.rises = self._rises_beyond(self.counted)
        self._in_flight, self._counted_at = in_flight, now
        if now >= self.rises:
            self.counted = self._limit_of(now)
            self.rises = self._rises_beyond(self.counted)
        if in_flight >= self.counted:
            self._free = 0.0
        elif self._free >= LATE:
            self.rises = inf

    def is_over(self, now: float) -> bool:
        """Whether it is `top`."""
        return self.limit(now) == self._top

    def rises_next(self, now: float) -> float | None:
        """The moment after `now` at which the limit rises next; `None` at the top, or below the limit."""
        limit = self.limit(now)
        if limit >= self._top:
            return None
        rises = self._reached(limit + 1)
        return rises if self._in_flight >= limit or rises <= self._counts_until(now) else None

    def _counting(self, now: float) -> float:
        """The moment up to which time counts."""
        return min(now, self._counts_until(now))

    def _counts_until(self, now: float) -> float:
        return self._full_until(now) + max(0.0, LATE - self._free)

    def _full_until(self, now: float) -> float:
        """Until when after the last count the limit was used up, at most until now."""
        if self._in_flight < self.counted:
            return self._counted_at
        return min(self.rises, now)

    def _limit_of(self, moment: float) -> int:
        # Found by the very moments that `rises_next` names, so who comes then finds it raised; in as many steps as
        # `top` has bits, however often it rises between one moment of the clock and the next.
        return 1 + bisect_right(self._later, moment, key=self._reached)

    def _rises_beyond(self, limit: int) -> float:
        return self._reached(limit + 1) if limit < self._top else inf

    def _reached(self, limit: int) -> float:
        return self._begin + (limit - 1) * self._interval
