"""A rate that is learnt from refusals alone, for providers that limit requests or tokens per time and tell nothing.

*Whether it is a rate.* A limit of calls in flight is met once, and holds: whoever stays below its place is let in. A
bucket fills in the pause after a refusal, and is empty again soon after, whatever is in flight. So what tells the two
apart is *when* refusals come: `EVIDENCE` times in a row no later after a pause than a few times that pause.

Which refusals count is decided where they come in (`limiter.py`): those that are by requests, or by tokens, in the
provider's own words, and for requests those that name neither a time nor a limit. Any other that names a time says
something else. After a fall of slots a few reopenings fail soon, too; with a Retry-After of a second that was taken for
a rate on three seeds of ten in `capacity-changes`.

*Which rate.* At each first refusal the bucket is empty. What was let in between two of them is what came into it in
that time: amount ÷ seconds, exact but for one call, without knowing how much it keeps. Tokens count as estimated until
they are reported; of calls without an estimate no rate is learnt. From then on calls are paced at that (`pace.py`), so
that refusals become rare, and a refusal is explained as one by that limit, which cuts none in flight.

*Growth.* While the pace holds calls back and nothing is refused, it grows by a hundredth, and twice as much each time
(convex, as an adaptive limit past its ceiling): a wrong pace is left behind soon. The next refusal measures again.

Sources: AIMD on a rate, Chiu and Jain 1989; the measure is the leaky bucket's own (ITU-T I.371). Telling the two
apart by the refused call's place in flight lost (docs/design/request-limits.md).
"""

from __future__ import annotations

from collections.abc import Iterable
from copy import copy
from math import inf
from typing import Any, Final, TypeVar

from penstock_token_budget.amounts import PLACES
from penstock_token_budget.budgets import BudgetLine, burst_of
from penstock_token_budget.native import mypyc_attr
from penstock_token_budget.pace import Pace

__all__ = ["BlindRate", "holding_back"]

B = TypeVar("B", bound=BudgetLine)

EVIDENCE: Final = 3
"""So many reopenings in a row must fail soon."""
FEWEST: Final = 8
"""So many calls must have been let in between them."""
SOON: Final = 3.0
"""Times the pause, after a reopening: what came into the bucket meanwhile is spent by then."""
LATE: Final = 8.0
"""Times the pause; a refusal that comes so late speaks against a rate, and one in between for neither."""
LEAST_SOON: Final = 0.1
"""Seconds; and always so soon."""
STEP_SECONDS: Final = 5.0
"""After so long without a refusal the pace grows."""
CAUTION: Final = 0.98
"""The pace begins at this part of the measure, so that something is kept for calls that come closer together."""
WRONG: Final = 1.3
"""A pace that had come so far above the measure was none of a bucket's: what a bucket lets in is its rate."""
GROWTH: Final = 0.01
MOST_GROWTH: Final = 0.25
MEMORY: Final = 0.5
"""What the measure before counts for, beside the last one."""


class _Call:
    """A call that went out: the how manieth, when, and what had been charged before it."""

    __slots__ = ("amount", "before", "number", "refused", "sent_at")

    def __init__(self, number: int, sent_at: float, amount: float, before: float) -> None:
        self.number = number
        self.sent_at = sent_at
        self.amount = amount
        self.before = before
        self.refused = False


_NOTHING: Final = _Call(0, 0.0, 0.0, 0.0)
"""A call that counts for nothing here, as most do that nobody has estimated the tokens of."""


class _Mark:
    """A first refusal: its call, what had been corrected by then, and when, and after which call, it was heard."""

    __slots__ = ("call", "corrected", "heard_at", "last")

    def __init__(self, call: _Call, corrected: float, heard_at: float, last: int) -> None:
        self.call = call
        self.corrected = corrected
        self.heard_at = heard_at
        self.last = last


@mypyc_attr(serializable=True, allow_interpreted_subclasses=True)  # it is copied
class BlindRate:
    """The learnt rate of one scope in one dimension, `requests` or `tokens`. Times are moments of the run's clock."""

    limit = inf
    """A call is never larger than the whole."""
    learns_from_estimates = False

    def __init__(self, dimension: str, burst_seconds: float) -> None:
        self.dimension = dimension
        self.place = PLACES[dimension]
        self.key = (dimension, -1.0)
        self._burst_seconds = burst_seconds
        self._pace: Pace | None = None
        self._last = 0  # the number of the newest call
        self._charged = self._corrected = 0.0
        self._mark: _Mark | None = None
        self._resumed_at: float | None = None
        self._refused = 0  # after the mark
        self._evidence = 0
        self._calls = self._amount = self._seconds = 0.0
        self._grown_at = 0.0
        self._growth = GROWTH
        self._held = False

    def heir(self, burst_seconds: float) -> BlindRate:
        """The same rate by another configuration; it takes this one's place."""
        heir = copy(self)
        heir._burst_seconds = burst_seconds
        return heir

    @property
    def known(self) -> bool:
        """Whether there is a rate."""
        return self._pace is not None

    @property
    def text(self) -> str:
        """The limit in words."""
        rate = 0.0 if self._pace is None else self._pace.rate
        return f"{60 * rate:.4g} {self.dimension} per minute, learnt from refusals"

    def ready_at(self, amount: float, now: float) -> float:
        return -inf if self._pace is None else self._pace.free_at

    def next_change(self, now: float) -> float | None:
        return self._pace.free_at if self._pace is not None and self._pace.free_at > now else None

    def charge(self, amount: float, now: float) -> object:
        """Count a call that goes out."""
        if self._resumed_at is None:
            self._resumed_at = now
        pace = self._pace
        if pace is not None:
            self._held = self._held or now - pace.free_at < amount / pace.rate
            self._grow(pace, now)
            pace.charge(amount, now)
        self._last += 1
        if not amount:
            return _NOTHING
        call = _Call(self._last, now, amount, self._charged)
        self._charged += amount
        return call

    def correct(self, entry: object, difference: float, now: float) -> None:
        assert isinstance(entry, _Call)
        if not entry.refused:
            self._corrected += difference
        if self._pace is not None:
            self._pace.charge(difference, now)

    def soonest(self, out: float, now: float) -> float:
        return self.ready_at(0.0, now) - (0.0 if self._pace is None else out / self._pace.rate)

    def snapshot(self, now: float) -> dict[str, Any]:
        return {"limit": self.text, "left": None if self._pace is None else round(self._pace.level(now), 3)}

    def refused(self, entry: object, now: float) -> None:
        """Take in that a call was refused by this limit; `entry` is what its charge has returned."""
        assert isinstance(entry, _Call)
        if entry.amount == 0:
            return  # nobody estimates, so no pace could hold back what goes out together
        call, mark, corrected = entry, self._mark, self._corrected
        call.refused = True
        if mark is None or call.number >= mark.call.number:
            self._corrected -= call.amount  # it was not let in
        if mark is not None and call.number <= mark.last:
            self._refused += call.number > mark.call.number
            return
        if mark is not None and self._resumed_at is not None:
            calls = call.number - mark.call.number - 1 - self._refused
            amount = call.before - mark.call.before + corrected - mark.corrected
            pause = self._resumed_at - mark.heard_at
            pauses = (call.sent_at - self._resumed_at) / max(pause, LEAST_SOON / SOON)
            self._measure(calls, amount, call.sent_at - mark.call.sent_at, pauses, now)
        if self._pace is not None:
            self._pace.free_at = max(self._pace.free_at, call.sent_at)
        self._mark = _Mark(call, corrected, now, self._last)
        self._resumed_at, self._refused = None, 0

    # -- inside --

    def _measure(self, calls: float, amount: float, seconds: float, pauses: float, now: float) -> None:
        """So much was let in within so many seconds; the refusal came so many times the pause after it."""
        if self._pace is None and (pauses > LATE or calls <= 0):
            self._forget()  # a limit in flight; or an outage, which lets nothing in after a pause
            return
        self._evidence += pauses <= SOON
        kept = 1.0 if self._pace is None else MEMORY
        self._calls = kept * self._calls + calls
        self._amount, self._seconds = kept * self._amount + amount, kept * self._seconds + seconds
        if self._pace is None and (self._evidence < EVIDENCE or self._calls < FEWEST):
            return
        if self._pace is not None and self._pace.rate > WRONG * self._amount / self._seconds:
            self._pace = None
            self._forget()
            return
        rate = CAUTION * max(self._amount, 1.0) / max(self._seconds, 1e-3)
        depth = burst_of(self.dimension, rate, self._burst_seconds)
        if self._pace is None:
            self._pace = Pace(rate, depth)
        else:
            self._pace.change(rate, depth, now)
        self._grown_at, self._growth, self._held = now, GROWTH, False

    def _forget(self) -> None:
        self._evidence, self._calls, self._amount, self._seconds = 0, 0.0, 0.0, 0.0

    def _grow(self, pace: Pace, now: float) -> None:
        if now - self._grown_at < STEP_SECONDS:
            return
        if self._held:
            rate = pace.rate * (1 + self._growth)
            pace.change(rate, burst_of(self.dimension, rate, self._burst_seconds), now)
            self._growth = min(2 * self._growth, MOST_GROWTH)
        self._grown_at, self._held = now, False


def holding_back(budgets: Iterable[B]) -> list[B]:
    """Those that may hold calls back. A rate that is not known yet does not, and most are never known."""
    return [each for each in budgets if not isinstance(each, BlindRate) or each.known]
