"""A request limiter whose answers a test sets, for tests of what is built around limiters."""

from __future__ import annotations

from collections.abc import Sequence

from penstock.requests.hints import Hints
from penstock.requests.items import RequestAdmissionItem, RequestAdmissionLease
from penstock.requests.limiter_change import LimiterChange
from penstock.requests.limiter_snapshot import LimiterSnapshot
from penstock.requests.outcomes import RequestReleaseOutcome
from penstock.words.identity import Scope
from penstock.words.verdicts import PROBE, At, Denied, Probe, Released

__all__ = ["ScriptedLimiter"]


class ScriptedLimiter:
    """A limiter that allows `places` calls in flight, and none before `blocked_until`, and agrees to calls as probes if
    `probing`; all three may be set at any time.

    `probes` are the ids of the leases that were probes when this limiter counted them. `answers` are the changes
    that the next releases return; `raises` names methods that raise; `observed`, `outcomes` and `caps` record the
    arguments of calls.
    """

    def __init__(self, scope: Scope, places: int = 1_000_000, *, cohort: bool = True) -> None:
        self.scope = scope
        self.places = places
        self.blocked_until = float("-inf")
        self.probing = False
        self.probes: list[str] = []
        self.in_flight = 0
        self.raises: set[str] = set()
        self.answers: list[Sequence[LimiterChange]] = []
        self.outcomes: list[RequestReleaseOutcome] = []
        self.observed: list[Hints] = []
        self.caps: list[int | None] = []
        self._cohort = ("scripted", scope) if cohort else None
        self._out: set[str] = set()

    def adopt(self, previous: ScriptedLimiter) -> None:
        """Take over the calls that are out under another."""
        self._maybe_raise("adopt")
        self.in_flight, self._out = previous.in_flight, set(previous._out)

    def check(self, item: RequestAdmissionItem, now: float) -> Denied | Probe | None:
        self._maybe_raise("check")
        if now < self.blocked_until:
            return Denied("cooldown", {At(self.blocked_until)}, cohort=self._cohort)
        if self.in_flight + item.cost.requests > self.places:
            return Denied("no_capacity", {Released(self.scope)}, cohort=self._cohort)
        return PROBE if self.probing else None

    def room(self, now: float) -> int | None:
        """The places that are left; while it is blocked that is not what holds calls back."""
        self._maybe_raise("room")
        return None if now < self.blocked_until else self.places - self.in_flight

    def acquire(self, lease: RequestAdmissionLease, now: float) -> object:
        self._maybe_raise("acquire")
        self.in_flight += lease.item.cost.requests
        self._out.add(lease.lease_id)
        if lease.probe:
            self.probes.append(lease.lease_id)
        return lease.lease_id

    def release(
        self, lease: RequestAdmissionLease, token: object, outcome: RequestReleaseOutcome, now: float
    ) -> Sequence[LimiterChange]:
        self._maybe_raise("release")
        if token != lease.lease_id or lease.lease_id not in self._out:
            raise ValueError(f"{lease.lease_id} is not out under this limiter")
        self._out.remove(lease.lease_id)
        self.in_flight -= lease.item.cost.requests
        self.outcomes.append(outcome)
        return self.answers.pop(0) if self.answers else ()

    def observe(self, hints: Hints, now: float) -> Sequence[LimiterChange]:
        self._maybe_raise("observe")
        self.observed.append(hints)
        return ()

    def set_cap(self, cap: int | None, now: float) -> Sequence[LimiterChange]:
        self._maybe_raise("set_cap")
        self.caps.append(cap)
        return ()

    def next_change(self, now: float) -> float | None:
        self._maybe_raise("next_change")
        return self.blocked_until if now < self.blocked_until else None

    def snapshot(self, now: float) -> LimiterSnapshot:
        self._maybe_raise("snapshot")
        blocked_until = self.blocked_until if now < self.blocked_until else None
        return LimiterSnapshot(current_limit=self.places, blocked_until=blocked_until)

    def _maybe_raise(self, method: str) -> None:
        if method in self.raises:
            raise ZeroDivisionError(f"scripted to fail in {method}")
