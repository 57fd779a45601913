"""The kit for limiter authors finds what it is there to find."""

from __future__ import annotations

import pytest
from hypothesis import settings, strategies as st
from hypothesis.stateful import precondition, rule, run_state_machine_as_test

from penstock import OUTCOME_KINDS, LimiterScope, RequestLimiter, RequestResourceKey, Scope, scope_kind
from penstock.testing import LimiterDriver, LimiterMachine, RequestLimiterPluginContract, ScriptedLimiter

RESOURCE = RequestResourceKey("provider", "model", "chat")
FEW = settings(max_examples=20, stateful_step_count=20, deadline=None)


# -- the driver --


def test_the_driver_rests_until_the_next_change_if_there_is_one() -> None:
    limiter = ScriptedLimiter(RESOURCE)
    limiter.blocked_until = 7.0
    driver = LimiterDriver(limiter, RESOURCE, now=2.0)
    assert driver.snapshot == limiter.snapshot(2.0) != limiter.snapshot(7.0)
    assert driver.rest_until_next_change()
    assert driver.now == 7.0
    assert driver.snapshot == limiter.snapshot(7.0)
    assert not driver.rest_until_next_change()
    assert driver.now == 7.0


# -- the machine --


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
    with pytest.raises(AssertionError, match="3 allowed, 4 let out"):
        run_state_machine_as_test(GreedyMachine, settings=FEW)


def test_a_limiter_whose_state_contradicts_itself_is_found() -> None:
    with pytest.raises(AssertionError, match="lost count"):
        run_state_machine_as_test(BrokenMachine, settings=FEW)


# -- the suite for plugins --


class TestPlugin(RequestLimiterPluginContract):
    def limiter_for(self, scope: Scope, configured: LimiterScope) -> RequestLimiter | None:
        return ScriptedLimiter(scope) if scope_kind(scope) == configured else None


class ForEverything(RequestLimiterPluginContract):
    def limiter_for(self, scope: Scope, configured: LimiterScope) -> RequestLimiter | None:
        return ScriptedLimiter(scope)


class OfAnother(RequestLimiterPluginContract):
    def limiter_for(self, scope: Scope, configured: LimiterScope) -> RequestLimiter | None:
        return ScriptedLimiter(self.resource) if scope_kind(scope) == configured else None


@pytest.mark.parametrize("suite", [ForEverything(), OfAnother()])
def test_a_plugin_that_limits_another_scope_is_found(suite: RequestLimiterPluginContract) -> None:
    with pytest.raises(AssertionError):
        suite.test_it_limits_the_configured_kind_of_scope_and_no_other()
