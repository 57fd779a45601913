"""The state machine of a request limiter, for Hypothesis, which this module imports.

    class MyMachine(LimiterMachine):
        def __init__(self):
            super().__init__()
            self.driver = LimiterDriver(MyLimiter(...), RESOURCE)

        @precondition(lambda self: self.driver.out)
        @rule(data=st.data(), kind=st.sampled_from(OUTCOME_KINDS))
        def end(self, data, kind):
            self.driver.end(kind, self.any_call(data))

    TestMyLimiter = MyMachine.TestCase

Here are the rules that hold for every limiter: calls begin as long as the limit allows, time passes, and after
every step the limiter's answer obeys the rules. How calls end, and what that does, is the subclass's to say; a rule
that it overrides needs its `@rule` again.
"""

from __future__ import annotations

from math import inf

from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from penstock.testing.contracts.limiter import LimiterDriver

__all__ = ["LimiterMachine"]


class LimiterMachine(RuleBasedStateMachine):
    """The rules for every limiter. `driver` is set by the subclass, when it is made or by an initializing rule."""

    driver: LimiterDriver

    def limit(self) -> float:
        """The limit now, in calls in flight; infinity for a limiter that has none."""
        limit = self.driver.snapshot.current_limit
        return inf if limit is None else limit

    def any_call(self, data: st.DataObject) -> int:
        """The index of any of the calls in flight."""
        return data.draw(st.integers(0, len(self.driver.out) - 1))

    @rule(most=st.integers(1, 40))
    def admit(self, most: int) -> None:
        before = len(self.driver.out)
        admitted = self.driver.admit_all(most)
        assert len(self.driver.out) == before + admitted
        limit = self.limit()
        if limit < inf:
            assert admitted == min(most, max(0, limit - before)), f"{before} out, {limit} allowed, {admitted} let out"

    @rule(seconds=st.floats(0, 20, allow_nan=False))
    def wait(self, seconds: float) -> None:
        self.driver.rest(seconds)

    @rule()
    def wait_for_the_next_change(self) -> None:
        self.driver.rest_until_next_change()

    @invariant()
    def the_state_is_consistent(self) -> None:
        check = getattr(self.driver.limiter, "check_invariants", None)
        if check is not None:
            check()
        self.driver.ask()
