"""Any order of calls, endings and moments: what is promised holds after every step."""

from __future__ import annotations

from random import Random

from hypothesis import settings, strategies as st
from hypothesis.stateful import invariant, precondition, rule

from penstock import OUTCOME_KINDS, OutcomeKind, RequestReleaseOutcome, RequestResourceKey
from penstock.testing import LimiterDriver, LimiterMachine
from penstock_breaker import BreakerConfig, BreakerLimiter

RESOURCE = RequestResourceKey("provider", "model", "chat")
CONFIG = BreakerConfig(minimum_calls=4, probes=2, window_seconds=10.0, open_seconds=2.0, open_max_seconds=8.0)
FAILURES = ("provider_failure", "provider_timeout")


class BreakerMachine(LimiterMachine):
    """The naive model: a list of how every call ended since the last change of state, and who was let out while."""

    def __init__(self) -> None:
        super().__init__()
        self.limiter = BreakerLimiter(RESOURCE, CONFIG, Random(0))
        self.driver = LimiterDriver(self.limiter, RESOURCE)
        self.ended: list[tuple[float, bool]] = []
        self.current: set[str] = set()  # the calls that went out since the last change of state
        self.open_until: float | None = None

    @rule(most=st.integers(1, 20))
    def admit(self, most: int) -> None:
        for _ in range(most):
            lease = self.driver.admit()
            if lease is None:
                break
            assert self.open_until is None or self.driver.now >= self.open_until, "a call went out while it was open"
            self.current.add(lease.lease_id)
        if self.open_until is not None:
            assert len(self.current) <= CONFIG.probes

    @precondition(lambda self: self.driver.out)
    @rule(data=st.data(), kind=st.sampled_from((*OUTCOME_KINDS, *FAILURES, *FAILURES)))
    def end(self, data: st.DataObject, kind: OutcomeKind) -> None:
        place = self.any_call(data)
        counts = self.driver.out[place][0].lease_id in self.current
        lease_id = self.driver.out[place][0].lease_id
        changes = self.driver.end(RequestReleaseOutcome(kind=kind), place)
        says_something = kind in (*FAILURES, "success")
        if not counts or not says_something:
            assert not changes, f"{kind} changed something"
            self.current.discard(lease_id)
            return
        now, failed = self.driver.now, kind in FAILURES
        if self.open_until is None:
            self.ended.append((now, failed))
        for change in changes:
            if change.kind == "request_limit_decreased":
                recent = [bad for at, bad in self.ended if at > now - CONFIG.window_seconds]
                assert failed
                assert self.open_until is not None or len(recent) >= CONFIG.minimum_calls
                assert self.open_until is not None or any(recent)
                self.open_until = change.blocked_until
            else:
                assert not failed
                assert self.open_until is not None
                self.open_until = None
            self.ended.clear()
            self.current.clear()
        if not changes and self.open_until is not None:
            assert not failed, "a failed probe must open it again"  # an answered one keeps its place in `current`
        elif self.open_until is None:
            self.current.discard(lease_id)

    @invariant()
    def nothing_goes_out_while_it_is_open(self) -> None:
        if self.open_until is not None and self.driver.now < self.open_until:
            assert self.driver.ask() is not None


TestBreakerStateful = BreakerMachine.TestCase
TestBreakerStateful.settings = settings(max_examples=60, stateful_step_count=40, deadline=None)
