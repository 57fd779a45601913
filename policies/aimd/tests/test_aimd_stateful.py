"""Any order of calls, endings, moments and caps: what is promised holds after every step."""

from __future__ import annotations

from hypothesis import settings, strategies as st
from hypothesis.stateful import initialize, invariant, precondition, rule

from penstock import OUTCOME_KINDS, RequestReleaseOutcome, RequestResourceKey
from penstock.testing import LimiterDriver, LimiterMachine
from penstock_aimd import AimdConfig, AimdLimiter

RESOURCE = RequestResourceKey("provider", "model", "chat")


class AimdMachine(LimiterMachine):
    """The naive model: a bound that no grant exceeds, and falls that come from rate limits and lowered caps alone."""

    @initialize(
        cap=st.integers(1, 30),
        initial=st.none() | st.integers(1, 40),
        ramp=st.sampled_from([0.0, 3.0]),
        successes=st.integers(1, 4),
    )
    def begin(self, cap: int, initial: int | None, ramp: float, successes: int) -> None:
        config = AimdConfig(initial_limit=initial, startup_ramp_seconds=ramp, successes_until_increase=successes)
        self.limiter = AimdLimiter(RESOURCE, cap, config)
        self.driver = LimiterDriver(self.limiter, RESOURCE)
        self.cap = cap

    @rule(seconds=st.floats(0, 20, allow_nan=False))
    def wait(self, seconds: float) -> None:
        before = self.limit()
        self.driver.rest(seconds)
        assert self.limit() >= before

    @precondition(lambda self: self.driver.out)
    @rule(data=st.data(), kind=st.sampled_from(OUTCOME_KINDS))
    def end(self, data: st.DataObject, kind: str) -> None:
        place = self.any_call(data)
        before = self.limit()
        self.driver.end(kind, place)
        if kind == "rate_limited":
            assert 1 <= self.limit() <= before
        elif kind == "success":
            assert self.limit() >= before
        else:
            assert self.limit() == before

    @rule()
    def refuse_all(self) -> None:
        before = self.limit()
        self.driver.end_all(RequestReleaseOutcome(kind="rate_limited", retry_after_seconds=1.0))
        assert self.limit() <= before

    @rule()
    def succeed_all(self) -> None:
        self.driver.end_all("success")

    @rule(cap=st.integers(1, 30))
    def set_cap(self, cap: int) -> None:
        before, fresh = self.limit(), not self.driver.changes and not self.driver.out
        self.limiter.set_cap(cap, self.driver.now)
        self.cap = cap
        assert self.limit() <= cap
        assert fresh or self.limit() == min(before, cap) or self.limit() >= before

    @invariant()
    def the_limit_keeps_the_cap(self) -> None:
        assert 1 <= self.limit() <= self.cap


TestAimdStateful = AimdMachine.TestCase
TestAimdStateful.settings = settings(max_examples=60, stateful_step_count=40, deadline=None)
