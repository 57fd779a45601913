"""Any order of calls, endings and moments: what is promised holds after every step."""

from __future__ import annotations

from random import Random

from hypothesis import settings, strategies as st
from hypothesis.stateful import invariant, precondition, rule

from penstock import OUTCOME_KINDS, RequestReleaseOutcome, RequestResourceKey
from penstock.testing import LimiterDriver, LimiterMachine
from penstock_cooldown import CooldownConfig, CooldownLimiter

RESOURCE = RequestResourceKey("provider", "model", "chat")


class CooldownMachine(LimiterMachine):
    """The naive model: the largest `now + Retry-After` of all refusals so far is when the first call may go."""

    def __init__(self) -> None:
        super().__init__()
        self.limiter = CooldownLimiter(RESOURCE, CooldownConfig(early_probe="never"), Random(0))
        self.driver = LimiterDriver(self.limiter, RESOURCE)
        self.not_before = 0.0
        self.since_cooldown = 0

    @rule(most=st.integers(1, 40))
    def admit(self, most: int) -> None:
        admitted = self.driver.admit_all(most)
        assert not admitted or self.driver.now >= self.not_before
        self.since_cooldown += admitted

    @precondition(lambda self: self.driver.out)
    @rule(data=st.data(), kind=st.sampled_from(OUTCOME_KINDS))
    def end(self, data: st.DataObject, kind: str) -> None:
        place = self.any_call(data)
        self.driver.end(kind, place)
        if kind == "rate_limited":
            self.not_before = max(self.not_before, self.driver.now + CooldownConfig().default_seconds)
            self.since_cooldown = 0

    @precondition(lambda self: self.driver.out)
    @rule(data=st.data(), retry_after=st.floats(0, 1000, allow_nan=False))
    def refuse(self, data: st.DataObject, retry_after: float) -> None:
        place = self.any_call(data)
        self.driver.end(RequestReleaseOutcome(kind="rate_limited", retry_after_seconds=retry_after), place)
        wait = min(retry_after, CooldownConfig().maximum_seconds)
        self.not_before = max(self.not_before, self.driver.now + wait)
        self.since_cooldown = 0

    @invariant()
    def nothing_goes_out_too_early(self) -> None:
        if self.driver.now < self.not_before:
            assert self.driver.ask() is not None
            assert self.since_cooldown == 0


TestCooldownStateful = CooldownMachine.TestCase
TestCooldownStateful.settings = settings(max_examples=60, stateful_step_count=40, deadline=None)
