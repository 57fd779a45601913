"""Leases of the request gate: what each counts for, from before it is handed out until it comes back, exactly
once.

A lease counts in its resource, in its provider + model and in its group, and with every limiter that has a say. What it
was acquired under is kept in the lease, so it goes back there, whatever the configuration has become
meanwhile.
"""

from __future__ import annotations

from collections import Counter
from types import CoroutineType
from typing import Final

from msgspec.structs import replace

from penstock.requests.items import RequestAdmissionItem, RequestAdmissionLease, counted_by
from penstock.requests.limiter_change import LimiterChange
from penstock.requests.limiter_guard import GuardedLimiter
from penstock.requests.outcomes import RequestReleaseOutcome
from penstock.requests.registry import Books, ModelState, RequestRegistry, ResourceState
from penstock.words.leases import LeaseLedger, ReleaseResult
from penstock.words.plugin_failures import refuse_coroutine

__all__ = ["RequestLeasing"]

_COROUTINE: Final = CoroutineType
_NEVER_WENT_OUT: Final = RequestReleaseOutcome(kind="local_cancelled", detail="never went out", went_out=False)


class RequestLeasing:
    """The leases that are out, and the counters of what is in flight."""

    def __init__(self, registry: RequestRegistry, prefix: str, generation: int) -> None:
        self._registry = registry
        self.ledger: LeaseLedger[RequestAdmissionLease] = LeaseLedger(prefix, generation)

    def open(self, books: Books, item: RequestAdmissionItem, now: float) -> RequestAdmissionLease | None:
        """A lease, counted everywhere; `None` if a limiter failed, and then it is counted nowhere."""
        state, group = books
        limit: int | None = None
        effective_max = state.cap
        limiters = (*group.limiters, *state.limiters) if group.limiters else state.limiters
        for limiter in limiters:
            if limiter.has_no_limit:
                continue
            snapshot = limiter.snapshot(now)
            current, highest = snapshot.current_limit, snapshot.effective_max
            if current is not None:
                if limit is None or current < limit:
                    limit = current
            elif highest is None:
                limiter.has_no_limit = True
            if highest is not None and highest < effective_max:
                effective_max = highest
        ledger = self.ledger
        ledger.issued = number = ledger.issued + 1
        # By place: names are packed into a dictionary first, by CPython 3.11.
        lease = RequestAdmissionLease(
            f"{ledger.prefix}{number}", item, now, ledger.generation, limit, effective_max, (), state.probe, None, books
        )
        ledger.out[lease] = None
        tokens: list[tuple[GuardedLimiter, object]] = []
        for limiter in limiters:
            try:
                token = limiter.limiter.acquire(lease, now)
                if type(token) is _COROUTINE:
                    refuse_coroutine(token)
                tokens.append((limiter, token))
            except BaseException as error:
                limiter.fail("acquire", error, now)
                for acquired, given in reversed(tokens):
                    acquired.release(lease, given, _NEVER_WENT_OUT, now)
                self.ledger.close(lease)
                return None
        counted_by(lease, tuple(tokens))
        requests, model = item.cost.requests, state.model
        state.in_flight = out = state.in_flight + requests
        if out > state.most_in_flight:
            state.most_in_flight = out
        state.acquired += 1
        state.leases[lease] = None
        model.in_flight = out = model.in_flight + requests
        if out > model.most_in_flight:
            model.most_in_flight = out
        group.in_flight += requests
        if limit is not None and limit > state.highest_limit:
            state.highest_limit = limit
        return lease

    def take_back(self, state: ResourceState, lease: RequestAdmissionLease, now: float) -> None:
        """Undo a lease that was never handed out."""
        self.close(lease, _NEVER_WENT_OUT, now)
        state.acquired -= 1

    def close(
        self, lease: RequestAdmissionLease, outcome: RequestReleaseOutcome, now: float
    ) -> tuple[ReleaseResult, list[LimiterChange]]:
        """Whether the lease was out, which is counted out again; and what the limiters made of its outcome."""
        result = self.ledger.close(lease)
        changes: list[LimiterChange] = []
        if result.released:
            books: Books = lease.books
            state, group = books
            model, requests = state.model, lease.item.cost.requests
            del state.leases[lease]
            state.in_flight -= requests
            model.in_flight -= requests
            group.in_flight -= requests
            if state.in_flight < 0 or model.in_flight < state.in_flight:
                raise AssertionError(f"{state.text}: {state.in_flight} in flight, {model.in_flight} over all domains")
            if group.in_flight < 0:
                raise AssertionError(f"{group.key}: {group.in_flight} in flight")
            if outcome.kind == "rate_limited" and outcome.limited_by in (None, "unknown"):
                outcome = _explained(lease, outcome, now)
            for limiter, token in lease.tokens:
                learnt = limiter.release(lease, token, outcome, now)
                if learnt:
                    changes.extend(learnt)
        return result, changes

    def check_invariants(self) -> None:
        """Every counter is the sum of the leases that are out. Raises `AssertionError`."""
        self.ledger.check_invariants()
        for state in self._registry.resources.values():
            assert state.in_flight == _requests(state), state.text
            assert all(lease in self.ledger.live for lease in state.leases)
        for model in self._registry.models.values():
            _check_model(model)
        by_group: Counter[object] = Counter()
        for lease in self.ledger.live:
            by_group[lease.item.group.key] += lease.item.cost.requests
        for key, group in self._registry.groups.known.items():
            assert group.in_flight == by_group.pop(key, 0), str(group.key)
        assert not by_group, f"calls of groups that are not known: {by_group}"
        assert len(self.ledger.live) == sum(len(state.leases) for state in self._registry.resources.values())


def _explained(lease: RequestAdmissionLease, outcome: RequestReleaseOutcome, now: float) -> RequestReleaseOutcome:
    """The outcome with what the rate limit was about, if a limiter knows."""
    for limiter, token in lease.tokens:
        about = limiter.explain_refusal(lease, token, outcome, now)
        if about is not None:
            return replace(outcome, limited_by=about)
    return outcome


def _requests(state: ResourceState) -> int:
    return sum(lease.item.cost.requests for lease in state.leases)


def _check_model(model: ModelState) -> None:
    assert model.in_flight == sum(map(_requests, model.resources.values())), str(model.key)
