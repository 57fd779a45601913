"""The limiter: counts what is in flight, gathers windows of latency, and holds to the limit that they lead to.

The decision itself is in `gradient.py`. Only successes teach: an error is quick on an overloaded server too, and a call
that we gave up shows nothing of how long it would have taken. Time as such changes nothing here.
"""

from __future__ import annotations

from collections.abc import Sequence
from math import inf

import attrs

from penstock import (
    Denied,
    LimiterChange,
    LimiterChangeKind,
    LimiterSnapshot,
    LimiterTicket,
    Released,
    RequestAdmissionItem,
    RequestAdmissionLease,
    RequestReleaseOutcome,
    Scope,
    bound_or_none,
    lowest_bound,
)
from penstock_latency.config import LatencyConfig
from penstock_latency.gradient import Gradient
from penstock_latency.signals import measure
from penstock_latency.window import Window

__all__ = ["LatencyLimiter"]

SIGNAL_LOST = 50
"""Successes in a row without the signal after which another one is taken up, if it may be chosen."""

SETTLED = 1.2
"""A limit that changes by more than this factor is followed by one round of answers that do not count, and so is the
start. Of many calls that go out at one moment the short ones come back first, so the first answers after a step up are
too good; the first after a step down are the long ones that were left.
"""


@attrs.define(slots=True, eq=False)
class Ticket(LimiterTicket):
    """One call that is out: its number, how many were in flight with it, and the moment at which it went."""

    held = "a slot under the limit"
    number: int
    in_flight: int
    at: float


class LatencyLimiter:
    """The limit of one scope value. Pure: `now` is in seconds of the run's clock."""

    def __init__(self, scope: Scope, cap: int | None, config: LatencyConfig) -> None:
        self.scope = scope
        self._config = config
        self._cohort = ("latency", scope)
        self._effective = self._bounded(cap)
        self._gradient = Gradient(
            min(float(config.initial_limit), self._effective),
            config.probe_every,
            config.healthy_ratio,
            config.healthy_latency,
        )
        self._window = Window()
        self._signal: str = config.signal
        self._without_signal = 0
        self._in_flight = 0
        self._admitted = 0  # also the number of the last ticket: "was out at the time" is a comparison
        self._last_full = 0
        self._probe_from = 0
        self._unsettled = self._gradient.limit

    # -- the protocol --

    def adopt(self, previous: LatencyLimiter) -> None:
        """Go on from the limit of the same scope that had another `Config`, within the bounds of this one. Where
        another signal is to be measured the limit stays, and all else begins anew.
        """
        if not previous._admitted:
            return
        self._gradient.adopt(previous._gradient, self._effective)
        if self._config.signal in ("auto", previous._signal):
            self._signal, self._without_signal = previous._signal, previous._without_signal
            self._window = previous._window
        else:
            self._gradient.forget()
        self._in_flight, self._admitted = previous._in_flight, previous._admitted
        self._last_full, self._probe_from = previous._last_full, previous._probe_from
        self._unsettled = previous._unsettled

    def check(self, item: RequestAdmissionItem, now: float) -> Denied | None:
        """Refused with `no_capacity` while the limit is full."""
        limit = self._limit()
        if self._in_flight + 1 <= limit:
            return None
        return Denied(
            "no_capacity",
            {Released(self.scope)},
            scope="shape",
            detail=f"{self._in_flight} in flight, limit {int(limit)}, {self._latencies()}",
            cohort=self._cohort,
        )

    def acquire(self, lease: RequestAdmissionLease, now: float) -> object:
        """Count a call."""
        self._admitted += 1
        self._in_flight += 1
        if self._in_flight + 1 > self._limit():
            self._last_full = self._admitted
        return Ticket(self._admitted, self._in_flight, now)

    def release(
        self, lease: RequestAdmissionLease, token: object, outcome: RequestReleaseOutcome, now: float
    ) -> Sequence[LimiterChange]:
        """Count a call out, and learn from a success. Raises `ValueError` if it is not out."""
        ticket = Ticket.redeem(token, lease, self)
        self._in_flight -= 1
        if outcome.kind != "success" or not outcome.went_out:
            return ()
        elapsed = now - ticket.at if outcome.elapsed is None else outcome.elapsed
        found = measure(outcome, lease.item.cost, elapsed, self._signal)
        if found is None:
            self._miss_the_signal()
            return ()
        self._signal, self._without_signal = found.signal, 0
        probing = self._gradient.probing
        if probing is not None and (ticket.number <= self._probe_from or ticket.in_flight > probing):
            return ()
        if self._unsettled > 0:
            self._unsettled -= 1
            return ()
        full = self._last_full >= ticket.number
        self._window.add(found.seconds, found.amount, max(elapsed, found.seconds), ticket.in_flight, full)
        limit = self._limit()
        in_flight = min(limit, self._window.in_flight)
        if not self._gradient.is_full(self._window, self._config.window_samples, in_flight):
            return ()
        return self._learn(limit)

    def set_cap(self, cap: int | None, now: float) -> Sequence[LimiterChange]:
        """A lowered cap holds at once, a raised one is grown into."""
        before, after = self._effective, self._bounded(cap)
        if before == after:
            return ()
        self._effective = after
        if self._admitted == 0:
            self._gradient.limit = self._unsettled = min(float(self._config.initial_limit), after)
        else:
            self._gradient.limit = min(self._gradient.limit, after)
        return (LimiterChange("request_effective_cap_changed", bound_or_none(before), bound_or_none(after)),)

    def next_change(self, now: float) -> float | None:
        """Time alone changes nothing."""
        return None

    def snapshot(self, now: float) -> LimiterSnapshot:
        """Limits are whole; `details` are in the unit of the signal, `None` where nothing is known yet."""
        gradient = self._gradient
        return LimiterSnapshot(
            current_limit=int(self._limit()),
            effective_max=None if self._effective == inf else int(self._effective),
            details={
                "limit": gradient.limit,
                "signal": self._signal,
                "latency": gradient.latency,
                "baseline": gradient.baseline,
                "highest_baseline": bound_or_none(gradient.bound),
                "probing": gradient.probing,
            },
        )

    def check_invariants(self) -> None:
        """Raises `AssertionError` if the state contradicts itself."""
        gradient = self._gradient
        assert 0 <= self._in_flight <= self._admitted, "more calls came back than went out"
        assert 1 <= gradient.limit <= self._effective, f"a limit of {gradient.limit}, out of 1 to {self._effective}"
        assert gradient.probing is None or gradient.probing >= 1, "a probe that lets nothing out"
        assert gradient.baseline is None or 0 < gradient.baseline <= gradient.bound, "a baseline above what is healthy"

    # -- inside --

    def _bounded(self, cap: int | None) -> float:
        return lowest_bound(cap, self._config.effective_max)

    def _limit(self) -> float:
        probing = self._gradient.probing
        return self._gradient.limit if probing is None else min(self._gradient.limit, probing)

    def _latencies(self) -> str:
        latency, baseline = self._gradient.latency, self._gradient.baseline
        if latency is None or baseline is None:
            return "no latency known yet"
        text = f"{self._signal} takes {latency:.3g} s, without a queue {baseline:.3g} s"
        return text if self._gradient.probing is None else f"{text}, measuring that again"

    def _miss_the_signal(self) -> None:
        self._without_signal += 1
        if self._config.signal == "auto" and self._without_signal >= SIGNAL_LOST:
            self._signal, self._without_signal = "auto", 0
            self._window = Window()
            self._gradient.forget()

    def _learn(self, before: float) -> Sequence[LimiterChange]:
        self._gradient.learn(self._window, self._effective)
        self._window = Window()
        self._probe_from = self._admitted
        after = self._limit()
        if after > SETTLED * before or after < before / SETTLED:
            self._unsettled = after
        if int(after) == int(before):
            return ()
        kind: LimiterChangeKind = "request_limit_increased" if after > before else "request_limit_decreased"
        return (LimiterChange(kind, before, after, self._latencies()),)
