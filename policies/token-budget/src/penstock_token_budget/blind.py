"""A rate that is learnt from refusals alone, for providers that limit calls per time and tell nothing.

*Whether it is a rate.* A limit of calls in flight is met once, and holds: whoever stays below its place is let in. A
bucket fills in the pause after a refusal, and is empty again soon after, whatever is in flight. So what tells the two
apart is *when* refusals come: `EVIDENCE` times in a row no later after a pause than a few times that pause.

Only refusals that name no time count, and those that are by requests in the provider's own words: any other that names
a time says something else. After a fall of slots a few reopenings fail soon, too; with a Retry-After of a second that
was taken for a rate on three seeds of ten in `capacity-changes`.

*Which rate.* At each first refusal the bucket is empty. What was let in between two of them is what came into it in
that time: calls ÷ seconds, exact but for one call, without knowing how much it keeps. From then on calls are paced at
that (`pace.py`), so that refusals become rare, and a refusal is explained as one by requests, which cuts no limit in
flight.

*Growth.* While the pace holds calls back and nothing is refused, it grows by a hundredth, and twice as much each time
(convex, as an adaptive limit past its ceiling): a wrong pace is left behind soon. The next refusal measures again.

Sources: AIMD on a rate, Chiu and Jain 1989; the measure is the leaky bucket's own (ITU-T I.371). Telling the two
apart by the refused call's place in flight lost (docs/design/request-limits.md).
"""

from __future__ import annotations

from math import inf
from typing import Any, Final

from penstock_token_budget.budgets import burst_of
from penstock_token_budget.pace import Pace

__all__ = ["BlindRate"]

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


class BlindRate:
    """The learnt rate of requests of one scope. Times are moments of the run's clock; calls have rising numbers."""

    dimension = "requests"
    key = ("requests", -1.0)

    def __init__(self, burst_seconds: float) -> None:
        self._burst_seconds = burst_seconds
        self._pace: Pace | None = None
        self._mark: tuple[int, float] | None = None  # the call of the last first refusal: its number, and when it went
        self._heard = 0  # the last call that was out when that was heard
        self._heard_at = 0.0
        self._resumed_at: float | None = None
        self._refused = 0  # after the mark
        self._evidence = 0
        self._calls = self._seconds = 0.0
        self._grown_at = 0.0
        self._growth = GROWTH
        self._held = False

    @property
    def known(self) -> bool:
        """Whether there is a rate."""
        return self._pace is not None

    @property
    def limit(self) -> float:
        """A call is never larger than the whole."""
        return inf

    @property
    def text(self) -> str:
        """The limit in words."""
        rate = 0.0 if self._pace is None else self._pace.rate
        return f"{60 * rate:.4g} requests per minute, learnt from refusals"

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
            self._held = self._held or now - pace.free_at < 1 / pace.rate
            self._grow(pace, now)
            pace.charge(amount, now)
        return None

    def correct(self, entry: object, difference: float, now: float) -> None:
        if self._pace is not None:
            self._pace.charge(difference, now)

    def soonest(self, out: float, now: float) -> float:
        return self.ready_at(0.0, now)

    def snapshot(self, now: float) -> dict[str, Any]:
        return {"limit": self.text, "left": None if self._pace is None else round(self._pace.level(now), 3)}

    def refused(self, number: int, sent_at: float, last: int, now: float) -> None:
        """Take in that the call with this number was refused; `last` is the newest that is out."""
        if self._mark is not None and number <= self._heard:
            self._refused += number > self._mark[0]
            return
        if self._mark is not None and self._resumed_at is not None:
            calls, seconds = number - self._mark[0] - 1 - self._refused, sent_at - self._mark[1]
            pause = self._resumed_at - self._heard_at
            self._measure(calls, seconds, (sent_at - self._resumed_at) / max(pause, LEAST_SOON / SOON), now)
        if self._pace is not None:
            self._pace.free_at = max(self._pace.free_at, sent_at)
        self._mark, self._heard, self._heard_at = (number, sent_at), last, now
        self._resumed_at, self._refused = None, 0

    # -- inside --

    def _measure(self, calls: float, seconds: float, pauses: float, now: float) -> None:
        """So many calls were let in within so many seconds; the refusal came so many times the pause after it."""
        if self._pace is None and pauses > LATE:
            self._evidence, self._calls, self._seconds = 0, 0.0, 0.0
            return
        self._evidence += pauses <= SOON
        kept = 1.0 if self._pace is None else MEMORY
        self._calls, self._seconds = kept * self._calls + calls, kept * self._seconds + seconds
        if self._pace is None and (self._evidence < EVIDENCE or self._calls < FEWEST):
            return
        if self._pace is not None and self._pace.rate > WRONG * self._calls / self._seconds:
            self._pace, self._evidence, self._calls, self._seconds = None, 0, 0.0, 0.0
            return
        rate = CAUTION * max(self._calls, 1.0) / max(self._seconds, 1e-3)
        depth = burst_of("requests", rate, self._burst_seconds)
        if self._pace is None:
            self._pace = Pace(rate, depth)
        else:
            self._pace.change(rate, depth, now)
        self._grown_at, self._growth, self._held = now, GROWTH, False

    def _grow(self, pace: Pace, now: float) -> None:
        if now - self._grown_at < STEP_SECONDS:
            return
        if self._held:
            rate = pace.rate * (1 + self._growth)
            pace.change(rate, burst_of("requests", rate, self._burst_seconds), now)
            self._growth = min(2 * self._growth, MOST_GROWTH)
        self._grown_at, self._held = now, False
