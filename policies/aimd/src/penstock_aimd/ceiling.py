"""The soft ceiling: a bound on growth just below the number of calls in flight at which the last cut came, for a time.

Growing again into a limit that has just refused costs a refusal and a cooldown, and mostly for nothing. Never growing
again misses every rise of capacity. So growth stops one call below the level of the cut, for a time in proportion to
what a cut costs here: the time from the last refusal to the first success after it, which holds the cooldown, the
probe and one latency. The first time waits `hold` of these; each further cut under the same ceiling doubles that, up
to `hold_max`, so that probing costs a steady provider about one part in `hold_max` of its time, whatever its
Retry-After and latency are.

A limit that is proven at the level of the cut or above it ends the ceiling and all doubling.

CUBIC (RFC 9438, section 4.1) has the same plateau below the level of the last loss, but its length follows from a
constant per second, not from what a loss costs; that lost in the scenarios (docs/design/request-limits.md).
"""

from __future__ import annotations

from math import inf

__all__ = ["SoftCeiling"]

ANOTHER = 0.75
"""A cut below this part of the ceiling is no failed try above it: the capacity has fallen, and may rise as soon."""


class SoftCeiling:
    """At most one ceiling. Levels are calls in flight, times are seconds of the run's clock."""

    def __init__(self, hold: float, hold_max: float, hold_max_seconds: float) -> None:
        self._first_hold = hold
        self._hold_max = hold_max
        self._hold_max_seconds = hold_max_seconds
        self._hold = 0.0
        self.level: int | None = None
        """How many calls were in flight, the refused one included, when the last cut came; `None` without a ceiling."""
        self.holds_until: float = -inf
        """The moment at which growth may go on; infinite from a cut until it is got over."""

    def adopt(self, previous: SoftCeiling) -> None:
        """Go on from the ceiling of another configuration, which holds for as long as it was to hold."""
        self._hold = min(previous._hold, self._hold_max)
        self.level, self.holds_until = previous.level, previous.holds_until

    def cut(self, level: int, now: float) -> None:
        """A cut came with `level` calls in flight."""
        if self.level is None or self._hold == 0 or level < ANOTHER * self.level:
            self._hold = self._first_hold
        elif now >= self.holds_until:
            self._hold = min(2 * self._hold, self._hold_max)
        self.level = level
        self.holds_until = inf

    def lower(self, level: int) -> None:
        """The same cut came with fewer in flight than was thought."""
        if self.level is not None:
            self.level = min(self.level, level)

    def got_over(self, cost: float, now: float) -> None:
        """The first success after a refusal, `cost` seconds after it: from now on the hold runs."""
        self.holds_until = now + min(self._hold * cost, self._hold_max_seconds)

    def highest(self, now: float) -> float:
        """How far the limit may grow at `now`."""
        return self.level - 1 if self.level is not None and now < self.holds_until else inf

    def forget(self) -> None:
        """There was no such limit."""
        self.level, self.holds_until = None, -inf

    def proven(self, limit: int) -> bool:
        """`limit` is proven; whether that ended the ceiling."""
        if self.level is None or limit < self.level:
            return False
        self.forget()
        return True
