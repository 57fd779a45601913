"""The first climb: from one place to all of them, evenly over some seconds from the first call on.

Whoever starts with all places at once learns the provider's limit from as many refusals as there are places too many.
A climb meets the limit with as many as open while a refusal is under way: one or two, at the defaults.
"""

from __future__ import annotations

__all__ = ["StartupRamp"]


class StartupRamp:
    """Place 2 opens `seconds / (top - 1)` after `begin`, place `top` (≥ 2) after `seconds` (> 0)."""

    def __init__(self, begin: float, top: int, seconds: float) -> None:
        self._begin = begin
        self._interval = seconds / (top - 1)
        self._top = top

    def places(self, now: float) -> int:
        """How many places are open at `now`, at most `top`."""
        # Estimated from below, then settled by the very moments that `opens_next` names: who comes then finds it open.
        places = min(max(1, int((now - self._begin) / self._interval)), self._top)
        while places < self._top and self._opens(places + 1) <= now:
            places += 1
        return places

    def opens_next(self, now: float) -> float | None:
        """The moment after `now` at which the next place opens; `None` when all are open."""
        places = self.places(now)
        return self._opens(places + 1) if places < self._top else None

    def _opens(self, place: int) -> float:
        return self._begin + (place - 1) * self._interval
