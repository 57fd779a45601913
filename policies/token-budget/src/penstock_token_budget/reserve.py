"""How much of what is left at the provider is left alone, and how fast calls go for it.

While less is left than a few seconds' worth, as long as answers are old, or than the reserve, the pace falls in
proportion. The reserve is half of what the provider keeps where estimates are wrong, and less the better they prove; of
what is counted exactly it is a part. Where resets tell what is left to a fraction of a call (`fractions.py`), half a
call and twice the largest surprise of late are enough, and the rest is spent, at a pace a little above the limit's. A
refusal ends that.
"""

from __future__ import annotations

from copy import copy
from typing import Final

from penstock import LimitHint
from penstock_token_budget.budgets import LONG
from penstock_token_budget.fractions import Fractions

__all__ = ["RESERVE", "Reserve"]

LEAST_PACE: Final = 0.1
"""The pace never falls below this part: its own answers are how it learns that it may rise."""
LOW_SECONDS: Final = 3.0
"""What counts as little left, in seconds' worth of the limit; twice the age of answers if that is more."""
RESERVE: Final = 0.15
"""Of what the provider keeps, the part that is left alone: calls may come to it in another order, or closer."""
FILLING: Final = 0.1
"""How much slower the pace is when the provider's bucket is empty than when it is full."""
LEAST_RESERVE: Final = 0.5
"""Calls that are left alone where what is left is known to a fraction of one."""
SURPRISES: Final = 2.0
"""And so many times the largest surprise of late, in calls."""
SPENT_SECONDS: Final = 5.0
"""The pace is faster by what is left beyond that reserve ÷ so many seconds, until it is spent."""
MOST_SPENT: Final = 0.5
"""More than this part of what the provider keeps was not used for a time, and is not spent any faster."""
MOST_PACE: Final = 1.05
"""The pace is never faster than the limit by more than this factor."""


class Reserve:
    """The reserve of one budget. Amounts in its unit, `rate` per second, times in seconds."""

    def __init__(self, rate: float) -> None:
        self._fractions = Fractions(rate)
        self._exact = False  # whether what is left is known to a fraction of a call

    def __copy__(self) -> Reserve:
        other = Reserve(self._fractions.rate)
        other._fractions, other._exact = copy(self._fractions), self._exact
        return other

    @property
    def kept(self) -> float:
        """What the provider keeps, to a fraction of a call, where that is known."""
        return self._fractions.kept

    def exactly(self, reported: LimitHint, rate: float) -> float | None:
        """What is left by an answer, if it tells that to a fraction of a call."""
        limit, remaining, reset = reported.limit, reported.remaining, reported.reset
        if reported.dimension != "requests" or limit is None or remaining is None or reset is None:
            return None
        if self._fractions.rate != rate:
            self._fractions = Fractions(rate)
        left = self._fractions.left(remaining, reset)
        return left if self.kept <= limit / 2 and limit / rate < LONG else None  # more may be a window

    def heard(self, surprise: float, *, exactly: bool) -> None:
        """An answer has told what is left, `exactly` or not, and so much more than was expected."""
        if self._exact and exactly:
            self._fractions.differs(surprise)
        self._exact = exactly

    def refused(self) -> None:
        """A call was refused that went out by what was left."""
        self._fractions.refused(known=self._exact)
        self._exact = False

    def part_of_pace(self, left: float, kept: float, rate: float, *, wrong: float, age: float, spends: bool) -> float:
        """The part of the limit's rate at which calls go: `wrong` is how far estimates are, from 0 to 1, `age` that of
        answers, and `spends` whether a reserve that has shrunk is spent.
        """
        reserve = kept * (RESERVE + (0.5 - RESERVE) * wrong)
        if self._exact:
            reserve = min(reserve, LEAST_RESERVE + SURPRISES * self._fractions.surprise)
            if spends and reserve < left < MOST_SPENT * kept:
                return min(1.0 + (left - reserve) / rate / SPENT_SECONDS, MOST_PACE)
        little = min(reserve, rate * max(LOW_SECONDS, 2 * age))
        return max(LEAST_PACE, min(1.0 - FILLING * wrong * (1.0 - left / kept), left / little))
