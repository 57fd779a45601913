"""Any order of calls, endings, moments and caps: what is promised holds after every step."""

from __future__ import annotations

from hypothesis import settings, strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from penstock import OUTCOME_KINDS, RequestReleaseOutcome, RequestResourceKey
from penstock.testing import LimiterDriver
from penstock_aimd import AimdConfig, AimdLimiter

RESOURCE = RequestResourceKey("provider", "model", "chat")


class AimdMachine(RuleBasedStateMachine):
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

    def limit(self) -> int:
        limit = self.limiter.snapshot(self.driver.now).current_limit
        assert limit is not None
        return limit

    @rule(most=st.integers(1, 40))
    def admit(self, most: int) -> None:
        before = len(self.driver.out)
        admitted = self.driver.admit_all(most)
        assert len(self.driver.out) == before + admitted
        assert not admitted or len(self.driver.out) <= self.limit() <= self.cap
        assert admitted == min(most, max(0, self.limit() - before))

    @rule(seconds=st.floats(0, 20, allow_nan=False))
    def wait(self, seconds: float) -> None:
        before = self.limit()
        self.driver.rest(seconds)
        assert self.limit() >= before

    @precondition(lambda self: self.driver.out)
    @rule(data=st.data(), kind=st.sampled_from(OUTCOME_KINDS))
    def end(self, data: st.DataObject, kind: str) -> None:
        place = data.draw(st.integers(0, len(self.driver.out) - 1))
        before = self.limit()
        self.driver.end(kind, place)
        if kind == "rate_limited":
            assert max(1, int(0.75 * before)) <= self.limit() <= before
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
    def the_state_is_consistent(self) -> None:
        self.limiter.check_invariants()
        self.driver.ask()


TestAimdStateful = AimdMachine.TestCase
TestAimdStateful.settings = settings(max_examples=60, stateful_step_count=40, deadline=None)
