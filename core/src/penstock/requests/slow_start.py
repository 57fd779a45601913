"""Slow start: from one call to all in steps of random length, of which each lets twice as many out as the one before.

Doubling as in RFC 5681, section 3.1. Random, so that processes that waited for one endpoint do not come back together.
What becomes true by time alone is worked out from `now` where it is asked for.
"""

from __future__ import annotations

from bisect import bisect_right
from itertools import accumulate

from penstock.words.settings import Random

__all__ = ["SlowStart"]

STEPS = 8  # 2⁸ calls are more than any cap that needs a slow start


class SlowStart:
    """A ramp that begins at `begin`, now or later, and takes `seconds` (≥ 0) on average.

    Counts the calls that go out under it. Times are moments of the run's clock.
    """

    def __init__(self, begin: float, seconds: float, rng: Random) -> None:
        lengths = [seconds / STEPS * rng.uniform(0.5, 1.5) for _ in range(STEPS)]
        self.begin = begin
        self._ends = tuple(accumulate(lengths, initial=begin))[1:]
        self._used = 0

    def holds_until(self, now: float) -> float | None:
        """The moment up to which no further call may go; `None` if one may go now."""
        step = bisect_right(self._ends, now)
        if step == len(self._ends) or self._used < (2 << step) - 1:
            return None
        return self._ends[step]

    def next_step(self, now: float) -> float | None:
        """The moment at which the next step begins; `None` once the ramp is over."""
        step = bisect_right(self._ends, now)
        return self._ends[step] if step < len(self._ends) else None

    def count(self) -> None:
        """Count a call that goes out."""
        self._used += 1
