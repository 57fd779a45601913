"""The machine for limiter authors finds what it is there to find."""

from __future__ import annotations

import pytest
from hypothesis import settings, strategies as st
from hypothesis.stateful import precondition, rule, run_state_machine_as_test

from penstock import OUTCOME_KINDS, RequestResourceKey
from penstock.testing import LimiterDriver, LimiterMachine, ScriptedLimiter

RESOURCE = RequestResourceKey("provider", "model", "chat")
FEW = settings(max_examples=20, stateful_step_count=20, deadline=None)


class ScriptedMachine(LimiterMachine):
    def __init__(self) -> None:
        super().__init__()
        self.driver = LimiterDriver(self.make_limiter(), RESOURCE)

    def make_limiter(self) -> ScriptedLimiter:
        return ScriptedLimiter(RESOURCE, places=3)

    @precondition(lambda self: self.driver.out)
    @rule(data=st.data(), kind=st.sampled_from(OUTCOME_KINDS))
    def end(self, data: st.DataObject, kind: str) -> None:
        self.driver.end(kind, self.any_call(data))


class GreedyMachine(ScriptedMachine):
    def make_limiter(self) -> ScriptedLimiter:
        limiter = ScriptedLimiter(RESOURCE, places=3)
        limiter.in_flight = -1  # it lets one more out than the limit that its snapshot shows
        return limiter


class BrokenMachine(ScriptedMachine):
    def make_limiter(self) -> ScriptedLimiter:
        class Broken(ScriptedLimiter):
            def check_invariants(self) -> None:
                assert self.in_flight < 2, "lost count"

        return Broken(RESOURCE, places=3)


def test_a_limiter_that_keeps_its_limit_passes() -> None:
    run_state_machine_as_test(ScriptedMachine, settings=FEW)


def test_a_limiter_that_lets_more_out_than_its_limit_is_found() -> None:
    with pytest.raises(AssertionError, match=r"3 allowed, \d let out"):
        run_state_machine_as_test(GreedyMachine, settings=FEW)


def test_a_limiter_whose_state_contradicts_itself_is_found() -> None:
    with pytest.raises(AssertionError, match="lost count"):
        run_state_machine_as_test(BrokenMachine, settings=FEW)
