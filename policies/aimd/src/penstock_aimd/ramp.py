"""The first climb: from one place to all of them, evenly over some seconds from the first call on.

Whoever starts with all places at once learns the provider's limit from as many refusals as there are places too many.
A climb meets the limit with as many as open while a refusal is under way: one or two, at the defaults.
"""

from __future__ import annotations

from bisect import bisect_right

__all__ = ["StartupRamp"]


class StartupRamp:
    """Place 2 opens `seconds / (top - 1)` after `begin`, place `top` (≥ 2) after `seconds` (> 0)."""

    def __init__(self, begin: float, top: int, seconds: float) -> None:
        self._begin = begin
        self._interval = seconds / (top - 1)
        self._top = top
        self._later = range(2, top + 1)

    def places(self, now: float) -> int:
        """How many places are open at `now`, at most `top`."""
        # Found by the very moments that `opens_next` names, so who comes then finds it open; in as many steps as `top`
        # has bits, however many places open between one moment of the clock and the next.
        return 1 + bisect_right(self._later, now, key=self._opens)

    def opens_next(self, now: float) -> float | None:
        """The moment after `now` at which the next place opens; `None` when all are open."""
        places = self.places(now)
        return self._opens(places + 1) if places < self._top else None

    def _opens(self, place: int) -> float:
        return self._begin + (place - 1) * self._interval
