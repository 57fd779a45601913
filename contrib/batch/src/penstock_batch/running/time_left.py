"""How long a run will still take, and what it will have cost: unknown until something is known. Pure.

Each step is looked at by itself, since the slowest holds up all: the cells that are left, at the rate of the last half
minute. Cells that were kept cost neither time nor money, and come in a flood where an earlier run stopped; so they are
no part of the rate, and what is left is new in the share of those that lately were, by the second and not by the cell:
a flood in one second is one second among thirty. While all that comes is kept, nothing is known.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping
from typing import Final

import attrs

__all__ = ["Left", "StepCount", "TimeLeft"]

WINDOW: Final = 30.0
"""Seconds of which the rates are."""

FEWEST: Final = 5
"""Cells that must have ended within them before a rate is one."""


@attrs.frozen
class StepCount:
    """The counts of one step so far: cells of all (`None`: not known yet), those that were kept, those that ended in
    this run, and what these cost (`None` without prices).
    """

    all: int | None
    kept: int = 0
    ended: int = 0
    dropped: int = 0
    cost: float | None = None

    @property
    def left(self) -> int:
        """The cells that are left; those of rows that failed before are not among them."""
        return 0 if self.all is None else self.all - self.kept - self.ended - self.dropped


@attrs.frozen
class Left:
    """What is left: seconds, and what the run will have cost at its end. `None`: not known.

    With `at_least` there are steps of which nothing is known yet, which come on top.
    """

    seconds: float | None = None
    cost: float | None = None
    at_least: bool = False


class TimeLeft:
    """The counts of the last half minute."""

    def __init__(self) -> None:
        self._looks: deque[tuple[float, Mapping[str, StepCount]]] = deque()

    def look(self, counts: Mapping[str, StepCount], now: float) -> Left:
        """What is left at `now`, a moment of the run's clock. To be asked about once a second."""
        self._looks.append((now, counts))
        while len(self._looks) > 2 and self._looks[1][0] <= now - WINDOW:
            self._looks.popleft()
        longest, cost, unknown, unpriced = 0.0, 0.0, False, True
        for step, count in counts.items():
            unpriced &= count.cost is None
            cost += count.cost or 0.0
            unknown |= count.all is None
            if count.left <= 0:
                continue
            new = self._new_ahead(step)
            rate = self._rate(step)
            if new == 0.0:
                continue
            if new is None or rate is None:
                unknown = True
                continue
            longest = max(longest, count.left * new / rate)
            cost += count.left * new * (count.cost or 0.0) / count.ended
        some = longest > 0.0 or not any(count.left > 0 or count.all is None for count in counts.values())
        seconds = longest if some else None
        # While a step is unknown, so is what it costs.
        return Left(seconds, None if unpriced or unknown or not some else cost, at_least=unknown and some)

    def _rate(self, step: str) -> float | None:
        then, before = self._looks[0]
        now, counts = self._looks[-1]
        ended = counts[step].ended - before[step].ended
        return ended / (now - then) if ended >= FEWEST and now > then else None

    def _new_ahead(self, step: str) -> float | None:
        """The share of new cells among those that came lately, second by second; `None` where none came."""
        shares = []
        looks = iter(self._looks)
        _, before = next(looks)
        for _, counts in looks:
            new = counts[step].ended - before[step].ended
            kept = counts[step].kept - before[step].kept
            if new + kept:
                shares.append(new / (new + kept))
            before = counts
        return sum(shares) / len(shares) if shares else None
