"""Any order of calls, endings and moments: what is promised holds after every step."""

from __future__ import annotations

from random import Random

from hypothesis import settings, strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from penstock import OUTCOME_KINDS, RequestReleaseOutcome, RequestResourceKey
from penstock.testing import LimiterDriver
from penstock_cooldown import CooldownConfig, CooldownLimiter

RESOURCE = RequestResourceKey("provider", "model", "chat")


class CooldownMachine(RuleBasedStateMachine):
    """The naive model: the largest `now + Retry-After` of all refusals so far is when the first call may go."""

    def __init__(self) -> None:
        super().__init__()
        self.limiter = CooldownLimiter(RESOURCE, CooldownConfig(), Random(0))
        self.driver = LimiterDriver(self.limiter, RESOURCE)
        self.not_before = 0.0
        self.since_cooldown = 0

    @rule(most=st.integers(1, 40))
    def admit(self, most: int) -> None:
        admitted = self.driver.admit_all(most)
        assert not admitted or self.driver.now >= self.not_before
        self.since_cooldown += admitted

    @rule(seconds=st.floats(0, 20, allow_nan=False))
    def wait(self, seconds: float) -> None:
        self.driver.rest(seconds)

    @rule()
    def wait_for_the_next_change(self) -> None:
        moment = self.limiter.next_change(self.driver.now)
        if moment is not None:
            self.driver.now = moment

    @precondition(lambda self: self.driver.out)
    @rule(data=st.data(), kind=st.sampled_from(OUTCOME_KINDS))
    def end(self, data: st.DataObject, kind: str) -> None:
        place = data.draw(st.integers(0, len(self.driver.out) - 1))
        self.driver.end(kind, place)
        if kind == "rate_limited":
            self.not_before = max(self.not_before, self.driver.now + CooldownConfig().default_seconds)
            self.since_cooldown = 0

    @precondition(lambda self: self.driver.out)
    @rule(data=st.data(), retry_after=st.floats(0, 1000, allow_nan=False))
    def refuse(self, data: st.DataObject, retry_after: float) -> None:
        place = data.draw(st.integers(0, len(self.driver.out) - 1))
        self.driver.end(RequestReleaseOutcome(kind="rate_limited", retry_after_seconds=retry_after), place)
        wait = min(retry_after, CooldownConfig().maximum_seconds)
        self.not_before = max(self.not_before, self.driver.now + wait)
        self.since_cooldown = 0

    @invariant()
    def nothing_goes_out_too_early(self) -> None:
        if self.driver.now < self.not_before:
            assert self.driver.ask() is not None
            assert self.since_cooldown == 0

    @invariant()
    def the_state_is_consistent(self) -> None:
        self.limiter.check_invariants()
        self.driver.ask()


TestCooldownStateful = CooldownMachine.TestCase
TestCooldownStateful.settings = settings(max_examples=60, stateful_step_count=40, deadline=None)
