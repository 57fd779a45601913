"""Any order of calls, endings, latencies and caps: what is promised holds after every step."""

from __future__ import annotations

from hypothesis import settings, strategies as st
from hypothesis.stateful import initialize, invariant, precondition, rule

from penstock import OUTCOME_KINDS, OutcomeKind, RequestReleaseOutcome, RequestResourceKey, Usage
from penstock.testing import LimiterDriver, LimiterMachine
from penstock_latency import LatencyConfig, LatencyLimiter

RESOURCE = RequestResourceKey("provider", "model", "chat")
SECONDS = st.none() | st.sampled_from([0.0, 0.001, 0.1, 1.0, 30.0])


class LatencyMachine(LimiterMachine):
    """The naive model: a bound that no grant exceeds, and a limit that only successes and lowered caps change."""

    @initialize(cap=st.integers(1, 30), initial=st.integers(1, 40), every=st.integers(0, 3))
    def begin(self, cap: int, initial: int, every: int) -> None:
        config = LatencyConfig(initial_limit=initial, window_samples=4, probe_every=every)
        self.limiter = LatencyLimiter(RESOURCE, cap, config)
        self.driver = LimiterDriver(self.limiter, RESOURCE)
        self.cap = cap

    @rule(seconds=st.floats(0, 20, allow_nan=False))
    def wait(self, seconds: float) -> None:
        before = self.limit()
        self.driver.rest(seconds)
        assert self.limit() == before

    @precondition(lambda self: self.driver.out)
    @rule(
        data=st.data(),
        kind=st.sampled_from(OUTCOME_KINDS),
        elapsed=SECONDS,
        first=SECONDS,
        tokens=st.none() | st.integers(0, 9),
    )
    def end(
        self, data: st.DataObject, kind: OutcomeKind, elapsed: float | None, first: float | None, tokens: int | None
    ) -> None:
        place = self.any_call(data)
        before = self.limit()
        usage = None if tokens is None else Usage(0, tokens)
        outcome = RequestReleaseOutcome(kind=kind, elapsed=elapsed, first_token_at=first, usage=usage)
        self.driver.end(outcome, place)
        if kind != "success":
            assert self.limit() == before

    @rule(seconds=st.sampled_from([0.1, 1.0, 30.0]), rounds=st.integers(1, 6))
    def serve(self, seconds: float, rounds: int) -> None:
        for _ in range(rounds):
            self.driver.admit_all()
            self.driver.rest(seconds)
            self.driver.end_all(RequestReleaseOutcome(kind="success", elapsed=seconds))

    @rule(cap=st.integers(1, 30))
    def set_cap(self, cap: int) -> None:
        before, fresh = self.limit(), not self.driver.changes and not self.driver.out
        self.limiter.set_cap(cap, self.driver.now)
        self.cap = cap
        assert fresh or self.limit() == min(before, cap)

    @invariant()
    def the_limit_keeps_the_cap(self) -> None:
        assert 1 <= self.limit() <= self.cap


TestLatencyStateful = LatencyMachine.TestCase
TestLatencyStateful.settings = settings(max_examples=50, stateful_step_count=40, deadline=None)
