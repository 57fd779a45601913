"""A circuit breaker: when too many calls fail nobody calls for a while, and then one asks first.

    closed ── failure rate reached ──> open ── open_until ──> half open ── all probes answered ──> closed, with a ramp
      ^                                 ^                      │  ^  │
      └── ramp over                     └──── a probe failed ──┘  └──┘ a probe came to nothing: its slot is free again

Sources: Nygard, Release It!, 2007 (the states); Resilience4j (failure rate over a sliding window, with a minimum of
calls; a number of permitted calls when half open); Envoy's outlier detection (the time grows with each ejection in a
row, up to a maximum, with jitter).

*Closed.* The failure rate is that of a sliding window (`window.py`); what counts is in `failures.py`. Looked at
when a call has failed, so nothing changes by time alone.

*Open.* Nobody calls. Calls that were out at the time come back and count for nothing: they show the past. Each
opening in a row multiplies the time; one is in a row if no whole window lies between it and the last closing, so an
endpoint that answers probes and fails under load is left alone for longer, too.

*Half open.* `probes` calls may be out. One that fails opens again; one that says nothing of the endpoint (cancelled,
rate limited) gives its slot to the next.

*Ramp.* Whoever waited does not go at once but by `SlowStart`: an endpoint that has just got up is easily knocked over.

Everything that becomes true by time alone is computed from `now` where it is asked for, never stored by a timer.
"""

from __future__ import annotations

from collections.abc import Sequence
from math import inf
from typing import TYPE_CHECKING

import attrs

from penstock import (
    NEVER,
    PROBE,
    At,
    Condition,
    Denied,
    LimiterChange,
    LimiterSnapshot,
    LimiterTicket,
    Probe,
    Released,
    RequestAdmissionItem,
    RequestAdmissionLease,
    RequestReleaseOutcome,
    Scope,
    SlowStart,
)
from penstock_breaker.config import BreakerConfig
from penstock_breaker.failures import failed, last_failure
from penstock_breaker.window import FailureWindow

if TYPE_CHECKING:
    from random import Random

__all__ = ["BreakerLimiter"]

CLOSED = LimiterSnapshot(details={"phase": "closed", "openings": 0})


@attrs.define(slots=True, eq=False)
class _Ticket(LimiterTicket):
    """One call that is out. `era` is the stretch between two changes of state in which it went."""

    held = "a slot of the breaker"
    acquired_at: float
    era: int
    probe: bool


class BreakerLimiter:
    """The breaker of one scope value. Pure: `now` in seconds of the run's clock, random numbers from `rng`."""

    def __init__(self, scope: Scope, config: BreakerConfig, rng: Random) -> None:
        self.scope = scope
        self._config = config
        self._rng = rng
        self._cohort = ("breaker", scope)
        self._window = FailureWindow(config.window_seconds)
        self._in_flight = 0
        self._era = 0
        self._open_until: float | None = None  # None: closed
        self._probes_out = 0
        self._probes_answered = 0
        self._ramp: SlowStart | None = None
        self._closed_at = -inf
        self._openings = 0  # in a row
        self._why = ""

    # -- the protocol --

    def adopt(self, previous: BreakerLimiter) -> None:
        """Go on from a breaker of the same scope that had another `Config`: what was open stays so until the moment
        that was named. Where fewer probes are wanted now, they begin anew; so does a window of another length.
        """
        if previous._config.window_seconds == self._config.window_seconds:
            self._window = previous._window
        self._in_flight, self._era = previous._in_flight, previous._era
        self._open_until, self._closed_at = previous._open_until, previous._closed_at
        self._ramp, self._openings, self._why = previous._ramp, previous._openings, previous._why
        answered, probes = previous._probes_answered, previous._probes_out + previous._probes_answered
        if answered < self._config.probes and probes <= self._config.probes:
            self._probes_out, self._probes_answered = previous._probes_out, answered
        else:
            self._era += 1

    def check(self, item: RequestAdmissionItem, now: float) -> Denied | Probe | None:
        """Refused with `cooldown` while open, while the probes are out, and where the ramp has not come to yet.

        With `fail_fast` refused for good, with `hard_policy_denial`, while open and while the probes are out.
        """
        if self._open_until is None:
            held = None if self._ramp is None else self._ramp.holds_until(now)
            return None if held is None else self._denied("closing step by step", {At(held)})
        if now < self._open_until:
            return self._refused("open", {At(self._open_until)})
        if self._has_room_for_a_probe():
            return PROBE
        return self._refused("a probe is out", {Released(self.scope)})

    def acquire(self, lease: RequestAdmissionLease, now: float) -> object:
        """Count a call; the first ones after the time is over are the probes."""
        self._in_flight += 1
        probe = self._open_until is not None and now >= self._open_until and self._has_room_for_a_probe()
        if probe:
            self._probes_out += 1
        elif self._ramp is not None:
            self._ramp.count()
            if self._ramp.next_step(now) is None:
                self._ramp = None
        return _Ticket(now, self._era, probe)

    def release(
        self, lease: RequestAdmissionLease, token: object, outcome: RequestReleaseOutcome, now: float
    ) -> Sequence[LimiterChange]:
        """Count a call out. Too many failures open the breaker; how the probes ended opens or closes it.

        Raises `ValueError` if the call is not out.
        """
        ticket = _Ticket.redeem(token, lease, self)
        self._in_flight -= 1
        if ticket.era != self._era:
            return ()
        seconds = now - ticket.acquired_at if outcome.elapsed is None else outcome.elapsed
        has_failed = failed(outcome, seconds, self._config)
        if ticket.probe:
            self._probes_out -= 1
        if has_failed is None:
            return ()
        if ticket.probe:
            return self._probed(has_failed, outcome, seconds, now)
        if self._open_until is not None:
            return ()  # it went out although the breaker was open: one that only watches
        window, config = self._window, self._config
        window.count(failed=has_failed, now=now)
        enough = window.calls >= config.minimum_calls
        if not has_failed or not enough or window.failures < config.failure_rate * window.calls:
            return ()
        why = f"{window.failures} of {window.calls} calls failed in {config.window_seconds:g} s"
        in_a_row = now - self._closed_at < config.window_seconds
        self._openings = self._openings + 1 if in_a_row else 1
        return self._open(f"{why}, last: {last_failure(outcome, seconds)}", outcome, now)

    def set_cap(self, cap: int | None, now: float) -> Sequence[LimiterChange]:
        """A breaker has no use for the cap."""
        return ()

    def next_change(self, now: float) -> float | None:
        """The end of the open time, or of a step of the ramp; `None` if none is ahead."""
        if self._open_until is not None:
            return self._open_until if now < self._open_until else None
        return None if self._ramp is None else self._ramp.next_step(now)

    def snapshot(self, now: float) -> LimiterSnapshot:
        """`blocked_until` is there only while it lies ahead; `details` has the phase, and why it last opened."""
        phase = self._phase(now)
        if phase == "closed":
            return CLOSED
        return LimiterSnapshot(
            blocked_until=self._open_until if phase == "open" else None,
            details={"phase": phase, "openings": self._openings, "why": self._why},
        )

    def check_invariants(self) -> None:
        """Raises `AssertionError` if the state contradicts itself."""
        self._window.check_invariants()
        assert 0 <= self._probes_out <= self._in_flight, "more calls came back than went out"
        assert self._probes_out + self._probes_answered <= self._config.probes, "too many probes"
        closed = self._open_until is None
        assert not closed or self._probes_out == self._probes_answered == 0, "a probe of a closed breaker"
        assert closed or self._ramp is None, "a ramp of an open breaker"
        assert closed or self._openings > 0, "open, and never opened"

    # -- inside --

    def _has_room_for_a_probe(self) -> bool:
        return self._probes_out + self._probes_answered < self._config.probes

    def _refused(self, state: str, until: set[Condition]) -> Denied:
        if self._config.fail_fast:
            detail = f"{state}: {self._why}"
            return Denied("hard_policy_denial", {NEVER}, scope="shape", detail=detail, cohort=self._cohort)
        return self._denied(state, until)

    def _denied(self, state: str, until: set[Condition]) -> Denied:
        return Denied("cooldown", until, scope="shape", detail=f"{state}: {self._why}", cohort=self._cohort)

    def _probed(
        self, has_failed: bool, outcome: RequestReleaseOutcome, seconds: float, now: float
    ) -> Sequence[LimiterChange]:
        if has_failed:
            self._openings += 1
            return self._open(f"the probe failed too, last: {last_failure(outcome, seconds)}", outcome, now)
        self._probes_answered += 1
        if self._probes_answered < self._config.probes:
            return ()
        self._begin_era()
        self._open_until = None
        self._closed_at = now
        self._ramp = SlowStart(now, self._config.ramp_seconds, self._rng)
        return (LimiterChange("request_fully_recovered", detail="closed: the probe was answered"),)

    def _open(self, why: str, outcome: RequestReleaseOutcome, now: float) -> Sequence[LimiterChange]:
        """Open for a time that grows with the openings in a row. No shorter than the provider asks, up to the most."""
        config = self._config
        self._begin_era()
        self._ramp = None
        # 10 ** 64 and more are beyond any maximum, and beyond a float in the end
        grown = config.open_seconds * config.open_growth ** min(self._openings - 1, 64)
        wait = min(grown, config.open_max_seconds) * (1 - config.jitter * self._rng.random())
        asked = min(outcome.retry_after_seconds or 0.0, config.open_max_seconds)
        self._open_until = now + max(wait, asked)
        self._why = why
        return (LimiterChange("request_limit_decreased", detail=f"opened: {why}", blocked_until=self._open_until),)

    def _begin_era(self) -> None:
        """What is out from before counts no more."""
        self._era += 1
        self._window.clear()
        self._probes_out = self._probes_answered = 0

    def _phase(self, now: float) -> str:
        if self._open_until is not None:
            return "open" if now < self._open_until else "half_open"
        return "closed" if self._ramp is None or self._ramp.next_step(now) is None else "ramp"
