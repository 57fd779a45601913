"""Adaptive concurrency: how many calls to have in flight, learnt from which of them are refused.

Sources: AIMD as a rule for sharing what nobody knows, Chiu and Jain 1989, and `AIMDLimit` of Netflix
concurrency-limits; one cut per burst by comparing the limit at admission, Data Designer's engine; the ceiling, see
`ceiling.py`; the first climb, `ramp.py`.

    rate limit   limit × 0.75, once per burst: calls that were out already at the last cut bring nothing new. A refused
                 *probe*, or the first call after a refusal, says only that it is too early, and changes nothing. A
                 second cut while the ceiling of the first holds goes to the place of the refused call
    success      counts if it went out after the last refusal, and if the limit was full at some time while it was
                 out: a limit that nobody reaches is not proven by success
      below proven   back to the proven limit, at the first success that counts
      else           + step per 25 of them, which also prove the limit; not past the soft ceiling while that holds
      past it        each increase in a row is one step larger than the one before (convex, as CUBIC's far side): a
                     provider that has just shown that it takes more may take much more
    others       change no limit, nor does a rate limit that is known to be about requests or tokens per time

A limit is *proven* by 25 such successes. A refusal with n calls in flight takes the proof from n on. Successes of calls
that were out already at a cut, and had fewer than n in flight with them, prove that many. Calls that go out
at one moment may come to the provider in any order: see `tickets.py`.

Fractional inside, whole outside. The limiter counts what is in flight itself; above a lowered limit is a legal state.
"""

from __future__ import annotations

from collections.abc import Sequence
from copy import copy
from math import inf

from penstock import (
    Denied,
    LimiterChange,
    LimiterSnapshot,
    RequestAdmissionItem,
    RequestAdmissionLease,
    RequestReleaseOutcome,
    Scope,
    bound_or_none,
    lowest_bound,
)
from penstock_aimd.ceiling import SoftCeiling
from penstock_aimd.config import AimdConfig
from penstock_aimd.loss import LostPlaces
from penstock_aimd.ramp import StartupRamp
from penstock_aimd.tickets import Moment, Ticket
from penstock_aimd.used_up import UsedUp

__all__ = ["AimdLimiter"]


class AimdLimiter:
    """The adaptive limit of one scope value. Pure: `now` is in seconds of the run's clock."""

    def __init__(self, scope: Scope, cap: int | None, config: AimdConfig) -> None:
        self.scope = scope
        self._config = config
        self._used_up = UsedUp(scope)
        self._ceiling = SoftCeiling(config.ceiling_hold, config.ceiling_hold_max, config.ceiling_hold_max_seconds)
        self._ramp: StartupRamp | None = None
        self._in_flight = 0
        self._admitted = 0  # also the number of the last ticket: "was out at the time" is a comparison
        self._last_full = 0
        self._last_refusal = 0
        self._last_cut = 0
        self._moment = self._cut_moment = Moment(-inf)
        self._lost = LostPlaces()
        self._consecutive = 0
        self._successes = 0
        self._proven = 0.0
        self._streak = 0
        self._was_cut = False
        self._before_cuts = 1.0
        self._effective = self._bounded(cap)
        self._limit = self._initial()
        self._snapshot = LimiterSnapshot()
        self._snapshot_state: tuple[float | None, ...] = ()

    # -- the protocol --

    def adopt(self, previous: AimdLimiter) -> None:
        """Go on from the limit of the same scope that had another `Config`: what it has learnt stays, within the bounds
        of this one. A first climb goes on as it began, unless this one has none.
        """
        self._in_flight, self._admitted = previous._in_flight, previous._admitted
        if previous._ramp is not None:
            self._ramp = previous._ramp if self._climbs() else None
        elif previous._admitted:
            self._limit = min(previous._limit, self._effective)
        self._ceiling.adopt(previous._ceiling)
        self._last_full, self._last_refusal = previous._last_full, previous._last_refusal
        self._last_cut, self._before_cuts = previous._last_cut, previous._before_cuts
        self._moment, self._cut_moment = previous._moment, previous._cut_moment
        self._lost = copy(previous._lost)
        self._consecutive, self._streak = previous._consecutive, previous._streak
        self._successes = min(previous._successes, self._config.successes_until_increase - 1)
        self._proven, self._was_cut = previous._proven, previous._was_cut
        self._used_up = previous._used_up

    def check(self, item: RequestAdmissionItem, now: float) -> Denied | None:
        """Refused with `no_capacity` while the limit is full."""
        limit = self._limit if self._ramp is None else self._limit_at(now)
        if self._in_flight + 1 <= limit:
            return None
        return self._used_up.refusal(self._in_flight, int(limit), self.next_change(now))

    def acquire(self, lease: RequestAdmissionLease, now: float) -> object:
        """Count a call; the first one begins the first climb."""
        if self._admitted == 0 and self._climbs():
            self._ramp = StartupRamp(now, int(self._effective), self._config.ramp_seconds(self._effective))
        limit = self._limit if self._ramp is None else self._limit_at(now)
        first = self._admitted == self._last_refusal > 0
        self._admitted += 1
        self._count(1, now)
        if self._in_flight + 1 > limit:
            self._last_full = self._admitted
        if self._moment.at != now:
            self._moment = Moment(now, self._in_flight)
        else:
            self._moment.admits(self._in_flight)
        return Ticket(self._admitted, limit, self._in_flight, self._moment, first or lease.probe)

    def release(
        self, lease: RequestAdmissionLease, token: object, outcome: RequestReleaseOutcome, now: float
    ) -> Sequence[LimiterChange]:
        """Count a call out, and learn from a success or a rate limit. Raises `ValueError` if it is not out."""
        if not isinstance(token, Ticket) or not token.out:
            raise ValueError(f"{lease.lease_id} does not hold a slot under the limit of {self.scope}")
        token.out = False
        self._count(-1, now)
        if outcome.kind == "rate_limited":
            if not outcome.limits_calls_in_flight:
                return self._was_mistaken(now)
            return self._refused(token, now)
        return self._succeeded(token, now) if outcome.kind == "success" else ()

    def set_cap(self, cap: int | None, now: float) -> Sequence[LimiterChange]:
        """A lowered cap holds at once, a raised one is grown into.

        Before the first call, and after calls without any cap, the limit starts anew: what went before pins nothing.
        """
        before, after = self._effective, self._bounded(cap)
        if before == after:
            return ()
        limit = self._limit_at(now)
        self._effective = after
        if self._admitted == 0:
            self._limit = self._initial()
        elif self._ramp is None or after < before:
            self._limit, self._ramp = min(limit, after), self._ramp if limit < after else None
        return (LimiterChange("request_effective_cap_changed", bound_or_none(before), bound_or_none(after)),)

    def next_change(self, now: float) -> float | None:
        """The moment at which the first climb raises the limit next."""
        if self._ramp is None or self._limit_at(now) >= self._effective:
            return None
        return self._ramp.rises_next(now)

    def snapshot(self, now: float) -> LimiterSnapshot:
        """Limits are whole; `None` where there is no bound."""
        limit = self._limit if self._ramp is None else self._limit_at(now)
        state = (limit, self._effective, self._ceiling.level, self._consecutive, self._proven)
        if state != self._snapshot_state:  # asked for with every admission, and seldom another
            self._snapshot_state = state
            self._snapshot = LimiterSnapshot(
                current_limit=None if limit == inf else int(limit),
                effective_max=None if self._effective == inf else int(self._effective),
                rate_limit_ceiling=self._ceiling.level,
                consecutive_rate_limits=self._consecutive,
                details={"limit": bound_or_none(limit), "proven": int(self._proven)},
            )
        return self._snapshot

    def check_invariants(self) -> None:
        """Raises `AssertionError` if the state contradicts itself."""
        assert 0 <= self._in_flight <= self._admitted, "more calls came back than went out"
        assert 1 <= self._limit <= self._effective, f"a limit of {self._limit}, out of 1 to {self._effective}"
        assert self._last_cut <= self._last_refusal <= self._admitted, "a refusal of a call that never went out"
        assert self._ramp is None or not self._was_cut, "a first climb after a cut"
        assert self._ceiling.level is None or self._ceiling.level >= 1, "a ceiling below the first call"
        assert 0 <= self._successes < self._config.successes_until_increase, "an increase was forgotten"

    # -- inside --

    def _count(self, by: int, now: float) -> None:
        if self._ceiling.holds_until == inf:  # from a cut until it is got over
            self._lost.until(now, self._in_flight)
        self._in_flight += by
        if self._ramp is not None:
            self._ramp.count(self._in_flight, now)

    def _bounded(self, cap: int | None) -> float:
        return lowest_bound(cap, self._config.effective_max)

    def _climbs(self) -> bool:
        config = self._config
        return config.initial_limit is None and config.startup_ramp_seconds != 0 and 1 < self._effective < inf

    def _initial(self) -> float:
        if self._climbs():
            return 1.0
        initial = self._config.initial_limit
        return self._effective if initial is None else min(float(initial), self._effective)

    def _limit_at(self, now: float) -> float:
        ramp = self._ramp
        if ramp is None:
            return self._limit
        limit = float(ramp.counted if now < ramp.rises else ramp.limit(now))
        return limit if limit < self._effective else self._effective

    def _refused(self, ticket: Ticket, now: float) -> Sequence[LimiterChange]:
        self._consecutive += 1
        self._last_refusal = self._admitted
        before = self._limit_at(now)
        level = ticket.moment.refuses()
        if ticket.probe or ticket.number <= self._last_cut or ticket.limit > before:
            if ticket.moment is self._cut_moment:
                self._ceiling.lower(level)
                self._proven = min(self._proven, level - 1)
            return ()
        self._last_cut, self._cut_moment = self._admitted, ticket.moment
        self._ramp, self._was_cut = None, True
        self._successes = self._streak = 0
        again = now < self._ceiling.holds_until
        self._before_cuts = self._before_cuts if again else before
        self._ceiling.cut(level, now)
        self._lost.begin(level - 1, now)
        self._proven = min(self._proven, level - 1)
        # Without any bound there is no limit to multiply: what was in flight stands for it.
        whole = before if before < inf else float(level)
        self._limit = max(1.0, whole * self._config.multiplicative_decrease_factor)
        if again:
            self._limit = max(1.0, min(self._limit, level - 1.0))
        detail = f"rate limited with {level} in flight"
        return (LimiterChange("request_limit_decreased", bound_or_none(before), self._limit, detail),)

    def _was_mistaken(self, now: float) -> Sequence[LimiterChange]:
        """A budget was used up, so fewer in flight would not have helped: the last series of cuts is taken back."""
        before = self._limit
        if not self._was_cut or now >= self._ceiling.holds_until or self._before_cuts <= before:
            return ()
        self._limit = self._proven = min(self._before_cuts, self._effective)
        self._ceiling.forget()
        return (LimiterChange("request_limit_increased", before, self._limit, "a budget was used up, not the places"),)

    def _succeeded(self, ticket: Ticket, now: float) -> Sequence[LimiterChange]:
        self._consecutive = 0
        ceiling = self._ceiling.level
        if ceiling is not None and ticket.number <= self._last_cut:
            level = min(ticket.in_flight, ticket.moment.fits)
            if level < ceiling:
                self._proven = max(self._proven, level)
        if self._ramp is not None:
            if not self._ramp.is_over(now):
                return ()
            self._limit, self._ramp = self._limit_at(now), None
        if ticket.number <= self._last_refusal:
            return ()
        if self._ceiling.holds_until == inf:
            self._ceiling.got_over(self._lost.seconds(now), now)
        if self._last_full < ticket.number:
            return ()
        before = self._limit
        changes: list[LimiterChange] = []
        if before < self._proven:
            self._limit = min(self._proven, self._effective)
        else:
            self._successes += 1
            if self._successes == self._config.successes_until_increase:
                self._successes = 0
                self._prove(int(before), changes)
                self._limit = self._grown(before, now)
        if self._limit > before:
            changes.append(LimiterChange("request_limit_increased", before, self._limit))
            if self._limit == self._effective and self._was_cut:
                self._was_cut = False
                changes.append(LimiterChange("request_fully_recovered", before, self._limit))
        return changes

    def _prove(self, limit: int, changes: list[LimiterChange]) -> None:
        self._proven = max(self._proven, limit)
        level = self._ceiling.level
        if self._ceiling.proven(limit):
            self._streak = 1
            changes.append(LimiterChange("request_soft_ceiling_recovered", level, limit))

    def _grown(self, limit: float, now: float) -> float:
        step = self._config.additive_increase_step
        if self._streak:
            step *= self._streak
            self._streak += 1
        highest = min(self._effective, self._ceiling.highest(now))
        return max(limit, min(limit + step, highest))
