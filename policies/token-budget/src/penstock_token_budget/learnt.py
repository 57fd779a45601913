"""A limit that is learnt from the headers of answers.

*What is left* is described in `remaining.py`. A call goes out when so much is left as it asks for, or all that the
provider keeps: so a large call has its turn, and a refusal is rare also where estimates are wrong.

*Pace.* Calls go out evenly at limit ÷ window (`pace.py`), so that no shorter window of the provider's is burst. As far
as estimates of tokens have proved wrong, a little slower until its bucket is full: that bucket then absorbs wrong
estimates, and takes large calls. What is counted exactly, as requests are, needs no more than a part (`reserve.py`).

*Opening burst.* What the first answer says is left of a bucket that keeps less than the limit, so is no window, is
spent at once, but for that part. So is what later answers say, until a call is answered that went out after the first
answer: before, calls went out by no pace, and a refusal may have stopped them all.

*Others.* While less is left than a few seconds' worth (as long as answers are old, or half of what the provider
keeps, of what is exact the reserve) the pace falls in proportion. So several processes with one key slow down together,
come to rest at shares that add up to the limit, and nobody has to be refused first to learn of the others. A fixed
share by configuration is `share`: that part of the provider's bucket which belongs to the others is left alone.

*How much the provider keeps.* remaining + rate × reset, as the reset is the time until its bucket is full: 20 of 600 a
minute, for one. It is often far less than a minute's worth.

*How long the window is.* What the configuration says of the same limit, or else a header. If nobody says, a minute, as
these headers are documented. A reset longer than a minute says otherwise; limit × reset ÷ used shows whether hour or
day. Such a limit is not spread out: what is left may be used. Resets that are too short for a minute, if several
agree, show ten seconds or one (`resets.py`); if that was too short, a longer reset says so, once and for all.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from copy import copy
from math import log
from typing import Any, Final

from penstock import LimitHint
from penstock_token_budget.amounts import PLACES
from penstock_token_budget.budgets import LONG, burst_of, per_window
from penstock_token_budget.native import mypyc_attr
from penstock_token_budget.pace import Pace
from penstock_token_budget.remaining import Remaining
from penstock_token_budget.reserve import RESERVE, Reserve
from penstock_token_budget.resets import SHORT, Resets, exceeds
from penstock_token_budget.trust import Trust

__all__ = ["LearntBudget", "is_little"]

MINUTE: Final = 60.0
TYPICAL: Final[tuple[float, ...]] = (MINUTE, 3600.0, 86400.0)
ROUNDING: Final = 1.5
"""A reset this much longer than a minute, in seconds, is no rounding any more."""

WEIGHT: Final = 0.1
"""Of the last answer, in the average age of answers."""

STEP: Final = 1.5
"""Amounts are rounded up to the next of a series that grows by this: room for an estimate that is too low, and few
moments at which anything changes."""
SMALLEST: Final = 1 / 64
"""The series begins at this part of what the provider keeps."""
UNSURE: Final = 2.0
"""An estimate of tokens may be too low by so much, and a refusal still be explained by what was left."""


class _Entry:
    """What a call was charged, and whether it went out though nothing was left."""

    __slots__ = ("amount", "untimely")

    def __init__(self, amount: float, *, untimely: bool) -> None:
        self.amount = amount
        self.untimely = untimely


@mypyc_attr(serializable=True, allow_interpreted_subclasses=True)  # it is copied
class LearntBudget:
    """One dimension of one scope. Amounts in requests or tokens, times in moments of the run's clock.

    `windows` are those in seconds which the configuration names, by their limit.
    """

    learns_from_estimates = True

    def __init__(
        self, reported: LimitHint, burst_seconds: float, share: float, windows: Mapping[float, float] | None = None
    ) -> None:
        assert reported.limit is not None
        self.dimension = reported.dimension
        self.place = PLACES[reported.dimension]
        self._said_by = reported.said_by
        self._burst_seconds = burst_seconds
        self._share = share
        self._windows = {} if windows is None else windows
        self._sent = 0.0
        self._begin(reported.limit, reported.window)
        self._there = Remaining(self._rate, reported.limit, exact=reported.dimension == "requests")
        self._pace = Pace(self._rate * share, 0.0)
        self._trust = Trust()
        self._reserve = Reserve(self._rate)
        self._wrong = 0.0 if reported.dimension == "requests" else 1 / UNSURE
        self._kept_known = False
        self._heard = 0
        self._age = self._opening = 0.0  # `_opening`: the last call that went out before anything was heard

    def heir(self, burst_seconds: float, share: float, windows: Mapping[float, float]) -> LearntBudget:
        """The same budget by another configuration; it takes this one's place."""
        heir = copy(self)
        heir._reserve = copy(self._reserve)
        heir._burst_seconds, heir._share, heir._windows = burst_seconds, share, windows
        return heir

    # -- a budget like any other --

    @property
    def key(self) -> tuple[str, float]:
        return f"{self.dimension} by {self._said_by}", 0.0

    @property
    def limit(self) -> float:
        """The whole budget of a window."""
        return self._reported_limit * self._share

    @property
    def text(self) -> str:
        """The limit in words."""
        return per_window(self.dimension, self._reported_limit, self._window)

    def ready_at(self, amount: float, now: float) -> float:
        """The moment from which a call of this amount may go out. No headers make that a long time (`trust.py`)."""
        until, moment = self._trust.until(), self._ready_at(amount)
        return moment if until is None else min(moment, until)

    def _ready_at(self, amount: float) -> float:
        sizes = self._sizes()
        there_at = self._there_at(next((size for size in sizes if size >= amount), sizes[-1]))
        return there_at if self._window >= LONG else max(self._pace.free_at, there_at)

    def next_change(self, now: float) -> float | None:
        """The next moment at which the pace is paid for, or there is enough for a larger call."""
        moments = [self._there_at(size) for size in self._sizes()]
        if self._window < LONG:
            moments.append(self._pace.free_at)
        if (until := self._trust.until()) is not None:
            moments.append(until)
        return min((moment for moment in moments if moment > now), default=None)

    def charge(self, amount: float, now: float) -> object:
        entry = _Entry(amount, untimely=self._ready_at(amount) > now)
        self._trust.went_out(now)
        self._count(amount, now)
        return entry

    def ended(self, entry: object, *, refused: bool) -> None:
        """A call that was charged here has ended."""
        assert isinstance(entry, _Entry)
        if entry.untimely:
            self._trust.ended(refused=refused)
        if refused:
            self._reserve.refused()

    def _count(self, amount: float, now: float) -> None:
        self._sent += amount
        self._pace.charge(amount, now)
        self._there.charge(amount, now)

    def correct(self, entry: object, difference: float, now: float) -> None:
        """An amount was so much larger, or smaller."""
        assert isinstance(entry, _Entry)
        if 0 < entry.amount != -difference:  # what came back whole was refused: nothing was estimated wrongly
            self._wrong += WEIGHT * (abs(difference) / entry.amount - self._wrong)
        self._count(difference, now)

    def soonest(self, out: float, now: float) -> float:
        """When the smallest call could go out if `out` had cost nothing."""
        return self.ready_at(0.0, now) - out / min(self._there.rate - self._there.others, self._pace.rate)

    @property
    def smallest(self) -> float:
        """So much must be left for any call at all."""
        return self._sizes()[0]

    def snapshot(self, now: float) -> dict[str, Any]:
        """Figures for people."""
        return {
            "limit": self.text,
            "left": round(self._there.left(now), 3),
            "learnt": True,
            "pace": round(self._pace.rate, 6),
            "kept_by_provider": round(self._there.kept, 3),
            "used_by_others": round(self._there.others, 6),
        }

    # -- learning --

    def learn(
        self, reported: LimitHint, call: int, sent_at: float, sent_since: float, now: float
    ) -> tuple[str, str] | None:
        """The limit before and after, if what the answer of the call with this number (> 0) reported changes it.

        `sent_at` is when that call went out, `sent_since` what has gone out after it.
        """
        if call <= self._heard:
            return None
        self._trust.began(now)
        before = self.text
        if reported.limit is not None and reported.limit != self._reported_limit:
            self._begin(reported.limit, reported.window)
            self._kept_known = False
        self._window = self._window_by(reported, sent_at, self._sent - sent_since)
        self._age += (WEIGHT if self._heard else 1.0) * (now - sent_at - self._age)
        if reported.remaining is not None:
            kept, remaining = self._kept_by(reported, reported.remaining), reported.remaining
            expected = self._there.left(now)
            if (exact := self._reserve.exactly(reported, self._rate)) is not None:
                kept, remaining = max(kept, self._reserve.kept), exact
            self._there.hear(remaining, self._rate, kept, sent_at, sent_since, now)
            self._reserve.heard(self._there.left(now) - expected, exactly=exact is not None)
        if not self._heard:
            self._opening = call + sent_since
        opening, self._heard = self._heard <= self._opening, call
        self._set_pace(now, opening=opening)
        return (before, self.text) if before != self.text else None

    @property
    def _rate(self) -> float:
        return self._reported_limit / self._window

    def _begin(self, limit: float, window: float | None) -> None:
        """Another limit, of whose window no more is known."""
        self._reported_limit = limit
        self._window = self._windows.get(limit) or window or MINUTE
        self._resets = Resets(exact=self.dimension == "requests")
        self._too_short = 0.0  # the longest window that a reset has exceeded

    def _window_by(self, reported: LimitHint, sent_at: float, sent: float) -> float:
        stated = self._windows.get(self._reported_limit) or reported.window
        if stated is not None:
            return stated
        window = self._window
        if reported.reset is None or reported.remaining is None:
            return window
        if reported.reset > MINUTE + ROUNDING:
            return self._typical(TYPICAL, reported.reset, reported.remaining)
        if window in SHORT and exceeds(reported.reset, window):
            self._too_short = window
            longer = [
                seconds for seconds in (*SHORT, MINUTE) if seconds > window and not exceeds(reported.reset, seconds)
            ]
            return self._typical(longer, reported.reset, reported.remaining)
        shorter = self._resets.shorter(self._reported_limit, window, reported.remaining, reported.reset, sent_at, sent)
        return window if shorter is None or shorter <= self._too_short else shorter

    def _typical(self, windows: Sequence[float], reset: float, remaining: float) -> float:
        """The window in which what is used would be back after the reset."""
        seconds = self._reported_limit * reset / max(1.0, self._reported_limit - remaining)
        return min(windows, key=lambda typical: abs(log(seconds / typical)))

    def _kept_by(self, reported: LimitHint, remaining: float) -> float:
        """What the provider's bucket holds when it is full."""
        if self._window >= LONG:
            return self._reported_limit
        known, self._kept_known = self._kept_known, True
        before = self._there.kept
        if reported.reset is None:
            return max(remaining, before if known else 1.0)
        kept = max(1.0, min(self._reported_limit, remaining + self._rate * reported.reset))
        # A bucket in debt takes longer to fill than one that is empty, so from one with nothing left little is learnt.
        return min(kept, before) if remaining == 0 and known else kept

    def _set_pace(self, now: float, *, opening: bool) -> None:
        """Fit the pace to what is left when all that went out is paid for; in the opening, spend what is there."""
        rate, kept = self._rate, self._there.kept
        left = self._there.left(max(now, self._pace.free_at))
        wrong = min(1.0, UNSURE * self._wrong)
        part = self._reserve.part_of_pace(
            left, kept, rate, wrong=wrong, age=self._age, spends=not opening and self._share == 1
        )
        burst = min(burst_of(self.dimension, rate * self._share, self._burst_seconds), kept / 2 / rate)
        self._pace.change(rate * self._share * part, burst, now)
        exact = self.dimension == "requests"
        if exact and opening and kept <= self._reported_limit / 2 and left > kept * RESERVE:
            self._pace.put(left - kept * RESERVE, now)

    def _sizes(self) -> list[float]:
        """The amounts at which there may be enough for a larger call, rising."""
        sizes = [self._there.kept]
        while sizes[-1] > self._there.kept * SMALLEST:
            sizes.append(sizes[-1] / STEP)
        return sizes[::-1]

    def _there_at(self, amount: float) -> float:
        """When so much is left at the provider, beside what belongs to others."""
        kept = self._there.kept
        return self._there.there_at(min(kept, amount + (1 - self._share) * kept))


def is_little(left: float, estimate: float, dimension: str, budget: LearntBudget | None) -> bool:
    """Whether the refusal of a call with this estimate is explained by what was left of a dimension."""
    needed = estimate if dimension == "requests" else UNSURE * estimate
    return left < max(needed, 1.0 if budget is None else budget.smallest)
