"""A cooldown: when the provider says 429, nobody calls until it may be asked again, and then one asks first.

    open ── rate limit ──> blocked ── blocked_until ──> half open ── probe let in ──> ramp ── all steps ──> open
                            ^  ^                           │ ^  │                      │
                            │  └───────────────────────────┘ └──┘ probe came to        │
                            │    probe refused                    nothing: its place   │
                            └──────────────────────────────────── is free again        │
                            └──────────────── rate limit ──────────────────────────────┘

*Blocked.* `blocked_until = max(blocked_until, now + Retry-After)`: a shorter Retry-After never shortens a cooldown.
Without the header a default applies; above a maximum it is clamped. Each refused probe in a row multiplies the
wait, up to `lengthened_seconds`: whoever has sent a provider a useless probe ten times need not send the eleventh as
soon as the first.

*Half open* (Nygard, Release It!, 2007: circuit breaker). The first call after the moment is the probe, and exactly
one is out. A call that ended on our side, or in a failure that says nothing of rates, gives its slot to the next.

*Let in.* A provider refuses sooner than it answers: it refuses within `refusal_timeout_factor` times the longest
refusal seen, or it has let the call in. So a probe counts as let in when it is answered, or when it has been out for
that long.
Waiting for the answer would leave the provider idle for a whole latency after each cooldown; that lost
(docs/design/request-limits.md).

*Ramp.* The slots double from step to step, and the steps are of random length, so that several processes that were
refused together do not come back together (`SlowStart`). A step is short; so a rate limit during the ramp is met by a
few calls, not by the whole queue.

Everything that becomes true by time alone is computed from `now` where it is asked for, never stored by a timer.
"""

from __future__ import annotations

from collections.abc import Sequence
from math import isfinite
from typing import TYPE_CHECKING

from penstock import (
    PROBE,
    At,
    Condition,
    Denied,
    LimiterChange,
    LimiterSnapshot,
    Probe,
    Released,
    RequestAdmissionItem,
    RequestAdmissionLease,
    RequestReleaseOutcome,
    Scope,
    SlowStart,
)
from penstock_cooldown.config import CooldownConfig
from penstock_cooldown.early import EarlyProbes
from penstock_cooldown.ticket import Ticket

if TYPE_CHECKING:
    from random import Random

__all__ = ["CooldownLimiter"]

LEAST_WAIT = 0.1  # seconds, once a probe was refused; lengthened as every other wait
EARLY_FACTOR = 1.5  # of the longest refusal: the calls that are out say that the provider is not closed
LEAST_TIMEOUT = 0.05  # seconds; below, the clock of a busy loop says nothing
FADING = 0.9  # how fast an old, slow refusal is forgotten
OPEN = LimiterSnapshot(consecutive_rate_limits=0, details={"phase": "open", "refused_probes": 0})


class CooldownLimiter:
    """The cooldown of one scope value. Pure: `now` in seconds of the run's clock, random numbers from `rng`."""

    def __init__(self, scope: Scope, config: CooldownConfig, rng: Random) -> None:
        self.scope = scope
        self._config = config
        self._rng = rng
        self._cohort = ("cooldown", scope)
        self._in_flight = 0
        self._blocked_until: float | None = None  # None: open, and no ramp is left
        self._probe: Ticket | None = None
        self._ramp: SlowStart | None = None  # begins when the probe counts as let in; None: never, as it stands
        self._refused_probes = 0
        self._consecutive = 0
        self._refusal_seconds = 0.0
        self._early = EarlyProbes(config.early_probe)

    # -- the protocol --

    def adopt(self, previous: CooldownLimiter) -> None:
        """Go on from a cooldown of the same scope that had another `Config`: a moment that was named stays, and so do
        the probe that is out, its ramp, and how often probes were refused.
        """
        self._in_flight = previous._in_flight
        self._blocked_until = previous._blocked_until
        self._probe = previous._probe
        self._ramp = previous._ramp
        self._refused_probes = previous._refused_probes
        self._consecutive = previous._consecutive
        self._refusal_seconds = previous._refusal_seconds
        self._early.adopt(previous._early)

    def check(self, item: RequestAdmissionItem, now: float) -> Denied | Probe | None:
        """Refused with `cooldown` while blocked, while the probe is out, and where the ramp has not come to yet; the
        first call after a cooldown goes as a probe.
        """
        if self._blocked_until is None:
            return None
        if now < self._blocked_until:
            if self._early.ready:
                return PROBE
            until: set[Condition] = {At(self._blocked_until)}
            return self._denied("cooling down", until | {Released(self.scope)} if self._early.armed else until)
        if self._probe is None:
            return PROBE
        ramp = self._ramp
        if ramp is None:
            return self._denied("a probe is out", {Released(self.scope)})
        if now < ramp.begin:
            return self._denied("a probe is out", {Released(self.scope), At(ramp.begin)})
        held = ramp.holds_until(now)
        return None if held is None else self._denied("ramping up after a cooldown", {At(held)})

    def acquire(self, lease: RequestAdmissionLease, now: float) -> object:
        """Count a call; the first after a cooldown is the probe."""
        ticket = Ticket(now)
        self._in_flight += 1
        if self._blocked_until is None:
            return ticket
        if self._ramp is not None and self._ramp.next_step(now) is None:
            self._open(now)
            return ticket
        if now < self._blocked_until and self._early.ready:
            self._early.send(self._blocked_until)
            self._blocked_until = now
        if now >= self._blocked_until:
            if self._probe is None:
                self._send_probe(ticket, now)
            elif self._ramp is not None and now >= self._ramp.begin:
                self._ramp.count()
        return ticket

    def release(
        self, lease: RequestAdmissionLease, token: object, outcome: RequestReleaseOutcome, now: float
    ) -> Sequence[LimiterChange]:
        """Count a call out. A rate limit blocks; how the probe ended says what comes next."""
        if not isinstance(token, Ticket) or not token.out:
            raise ValueError(f"{lease.lease_id} does not hold a slot of the cooldown of {self.scope}")
        ticket = token
        ticket.out = False
        self._in_flight -= 1
        if self._ramp is not None and self._ramp.next_step(now) is None:
            self._open(now)
        if outcome.kind == "rate_limited" and outcome.of is None:
            return self._block(ticket, outcome.retry_after_seconds, now)
        if outcome.kind == "success":
            self._consecutive = 0
            if ticket is not self._probe and self._blocked_until is not None:
                self._early.answered()
        if ticket is self._probe:
            half_open = self._ramp is None or now < self._ramp.begin
            if _let_in(outcome):
                self._refused_probes = 0
                self._early.let_in(now)
                if half_open:
                    self._begin_ramp(now)
            elif half_open:
                self._end_probe()
                self._blocked_until = max(now, self._early.came_to_nothing())
        return ()

    def set_cap(self, cap: int | None, now: float) -> Sequence[LimiterChange]:
        """A cooldown has no use for the cap."""
        return ()

    def next_change(self, now: float) -> float | None:
        """The end of the cooldown, of the wait for the probe, or of a step of the ramp; `None` if none is ahead."""
        if self._blocked_until is None:
            return None
        if now < self._blocked_until:
            return self._blocked_until
        if self._probe is None:
            return None
        ramp = self._ramp
        if ramp is None:
            return None
        return ramp.begin if now < ramp.begin else ramp.next_step(now)

    def snapshot(self, now: float) -> LimiterSnapshot:
        """`blocked_until` is there only while it lies ahead; `details` has the phase in a word."""
        if self._blocked_until is None and not self._consecutive:
            return OPEN
        blocked = self._blocked_until if self._blocked_until is not None and now < self._blocked_until else None
        return LimiterSnapshot(
            blocked_until=blocked,
            consecutive_rate_limits=self._consecutive,
            details={"phase": self._phase(now), "refused_probes": self._refused_probes},
        )

    def check_invariants(self) -> None:
        """Raises `AssertionError` if the state contradicts itself."""
        assert self._in_flight >= 0, "more calls came back than went out"
        assert self._blocked_until is not None or self._probe is None, "a probe without a cooldown"
        assert self._probe is not None or self._ramp is None, "a ramp without a probe"
        begins, blocked = None if self._ramp is None else self._ramp.begin, self._blocked_until
        assert begins is None or blocked is None or begins >= blocked, "a ramp inside a cooldown"

    # -- inside --

    def _denied(self, detail: str, until: set[Condition]) -> Denied:
        return Denied("cooldown", until, scope="shape", detail=detail, cohort=self._cohort)

    def _send_probe(self, ticket: Ticket, now: float) -> None:
        self._probe = ticket
        factor = self._config.refusal_timeout_factor
        if self._early.full:
            factor = min(factor, EARLY_FACTOR)
        timeout = max(LEAST_TIMEOUT, factor * self._refusal_seconds)
        if self._config.refusal_timeout_factor > 0 and isfinite(timeout):
            self._begin_ramp(now + timeout)

    def _begin_ramp(self, begin: float) -> None:
        seconds = 0.0 if self._early.full else self._config.ramp_seconds  # what is out then is no herd
        self._ramp = SlowStart(begin, seconds, self._rng)

    def _block(self, ticket: Ticket, retry_after: float | None, now: float) -> Sequence[LimiterChange]:
        config = self._config
        self._consecutive += 1
        self._refusal_seconds = max(now - ticket.acquired_at, FADING * self._refusal_seconds)
        asked = config.default_seconds if retry_after is None else retry_after
        early = self._early.refused(  # its refusal lengthens nothing
            named=retry_after is not None, first=self._blocked_until is None, probe=ticket is self._probe, now=now
        )
        if ticket is self._probe and not early:
            self._refused_probes += 1
            if retry_after is not None:  # what was asked for has proved too short, however little it was
                asked = max(asked, LEAST_WAIT)
        # 10 ** 64 and more are beyond any maximum, and beyond a float in the end
        lengthened = asked * config.lengthening_factor ** min(self._refused_probes, 64)
        wait = min(max(asked, min(lengthened, config.lengthened_seconds)), config.maximum_seconds)
        blocked = max(now + wait, self._early.held_until, self._blocked_until or now)
        probe = self._probe
        if self._early.sent and probe is not None and ticket.acquired_at < probe.acquired_at:
            self._early.held_until = blocked  # of the burst that the early probe is about: nothing new
        else:
            self._blocked_until = blocked
            self._end_probe()
        detail = "no Retry-After" if retry_after is None else f"Retry-After {retry_after:g} s"
        return (LimiterChange("request_rate_limited", detail=detail, blocked_until=blocked),)

    def _end_probe(self) -> None:
        self._probe = self._ramp = None

    def _open(self, now: float) -> None:
        """The ramp is over: everything is open, and the next cooldown is the first of its kind."""
        self._end_probe()
        self._blocked_until = None
        self._refused_probes = 0
        self._early.opened(now)

    def _phase(self, now: float) -> str:
        if self._blocked_until is None:
            return "open"
        if now < self._blocked_until:
            return "blocked"
        if self._ramp is None or now < self._ramp.begin:
            return "half_open"
        return "ramp" if self._ramp.next_step(now) is not None else "open"


def _let_in(outcome: RequestReleaseOutcome) -> bool:
    """Whether the provider took the call on: an answer, or an error that is the call's own fault (a 4xx)."""
    if outcome.kind == "success" or outcome.of == "call":
        return True
    return outcome.kind == "provider_failure" and outcome.status is not None and 400 <= outcome.status < 500
