"""What is left of a bucket, told to a fraction of a call by the time until it is full.

`remaining` is a whole number, so a reserve of less than a call could not be kept by it. But a bucket that fills evenly
is full again after what is missing ÷ rate, and providers tell that to the millisecond (`6m0s`, `1.5s`, `320ms`). So

    remaining + rate × reset    is what the bucket keeps, less the fraction of a call that `remaining` has cut off

and differs by less than a call from one answer to the next. Where it ever differs by more, the reset is not that of a
bucket: a window, fixed or sliding, moves by many calls. The most that was seen is taken for what the bucket keeps,
which is too little by a part of a call, so that what counts as left is never too much.

*Surprise.* By how much what was told differs from what was expected: calls that took longer on their way, or came in
another order, and others with the same key. The largest of late is what a reserve has to be good for.
"""

from __future__ import annotations

from math import inf
from typing import Final

from penstock_token_budget.native import mypyc_attr

__all__ = ["Fractions"]

AGREEING: Final = 20
"""So many answers in a row must be of one bucket."""
GRAINS: Final[tuple[float, ...]] = (1.0, 0.1, 0.01, 0.001)
"""Seconds to which resets are rounded, falling."""
FINE: Final = 0.1
"""Of a call: what the rounding of a reset may be worth at most, so that it tells a fraction."""
FADING: Final = 0.98
"""How fast a surprise is forgotten, per answer."""


@mypyc_attr(serializable=True, allow_interpreted_subclasses=True)  # it is copied
class Fractions:
    """The bucket of one limit, `rate` per second. Amounts in calls, times in seconds."""

    def __init__(self, rate: float) -> None:
        self.rate = rate
        self._lowest, self.kept = inf, 0.0
        self._grain = GRAINS[0]
        self._agreed, self._wanted = 0, AGREEING
        self.surprise = 0.0
        """The largest difference of late between what was told and what was expected, in calls."""

    def left(self, remaining: float, reset: float) -> float | None:
        """What is left by an answer, with the fraction of a call; `None` while that is not known."""
        missing = self.rate * reset
        self._lowest, self.kept = min(self._lowest, remaining + missing), max(self.kept, remaining + missing)
        self._grain = min(self._grain, _grain(reset))
        rounded = self._grain * self.rate
        self._agreed += 1
        known = self._agreed >= self._wanted and rounded <= FINE and self.kept - self._lowest <= 1.0 + rounded
        return self.kept - missing if known else None

    def refused(self, *, known: bool) -> None:
        """A call was refused. If a fraction was `known`, it takes twice as many answers to believe in one again."""
        self._agreed = 0
        self._wanted *= 1 + known

    def differs(self, by: float) -> None:
        """What was told differs by so much from what was expected."""
        self.surprise = max(abs(by), FADING * self.surprise)


def _grain(seconds: float) -> float:
    """To what a time is rounded, as far as it shows."""
    return next((grain for grain in GRAINS if abs(seconds / grain - round(seconds / grain)) < 1e-6), GRAINS[-1])
