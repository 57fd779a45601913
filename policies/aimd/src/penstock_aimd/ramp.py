"""The first climb: from a limit of one to the whole limit, evenly over some seconds from the first call on.

Whoever starts with the whole limit at once learns the provider's own from as many refusals as that is too high.
A climb is refused with as many calls too many as it rises while the refusal is under way: one or two, at the defaults.
"""

from __future__ import annotations

from bisect import bisect_right

__all__ = ["StartupRamp"]


class StartupRamp:
    """A limit that is 1 at `begin`, 2 after `seconds / (top - 1)`, and `top` (≥ 2) after `seconds` (> 0)."""

    def __init__(self, begin: float, top: int, seconds: float) -> None:
        self._begin = begin
        self._interval = seconds / (top - 1)
        self._top = top
        self._later = range(2, top + 1)

    def limit(self, now: float) -> int:
        """The limit at `now`, at most `top`."""
        # Found by the very moments that `rises_next` names, so who comes then finds it raised; in as many steps as
        # `top` has bits, however often it rises between one moment of the clock and the next.
        return 1 + bisect_right(self._later, now, key=self._reached)

    def rises_next(self, now: float) -> float | None:
        """The moment after `now` at which the limit rises next; `None` at the top."""
        limit = self.limit(now)
        return self._reached(limit + 1) if limit < self._top else None

    def _reached(self, limit: int) -> float:
        return self._begin + (limit - 1) * self._interval
