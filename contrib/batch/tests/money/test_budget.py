"""A budget: what goes, waits and is refused, beside a naive one that keeps lists and adds them up each time."""

from __future__ import annotations

from collections.abc import Hashable
from typing import Any

import pytest
from hypothesis import settings, strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, consumes, invariant, rule

from penstock_batch.money.budget import Budget, Decision, Ended
from penstock_batch.money.estimates import Most


def test_a_call_goes_while_all_that_are_out_may_cost_what_they_may() -> None:
    budget = Budget(10.0)
    assert budget.ask("a", "s", Most(6.0)) == "goes"
    assert budget.ask("b", "s", Most(4.0)) == "goes"
    assert (budget.out, budget.spent) == (10.0, 0.0)


def test_a_call_waits_that_fits_if_those_out_cost_less() -> None:
    budget = Budget(10.0)
    budget.ask("a", "s", Most(6.0))
    assert budget.ask("b", "s", Most(5.0)) == "waits"
    assert budget.end("a", 2.0) == Ended(going=("b",))
    assert (budget.out, budget.spent) == (5.0, 2.0)


def test_who_waits_is_refused_when_the_money_is_gone() -> None:
    budget = Budget(10.0)
    budget.ask("a", "s", Most(6.0))
    budget.ask("b", "s", Most(5.0))
    assert budget.end("a", 6.0) == Ended(refused=(("b", "spent"),))


def test_a_budget_that_is_spent_asks_nobody_any_more() -> None:
    budget = Budget(10.0, spent=4.0)
    budget.ask("a", "s", Most(5.0))
    budget.end("a", 5.0)
    assert budget.ask("b", "s", Most(2.0)) == "spent"
    assert budget.closed
    assert budget.ask("c", "s", Most(0.5)) == "spent"


def test_a_call_that_is_too_dear_by_itself_ends_nothing_for_others() -> None:
    budget = Budget(10.0)
    assert budget.ask("a", "s", Most(11.0)) == "too_dear"
    assert not budget.closed
    assert budget.ask("b", "s", Most(1.0)) == "goes"


def test_nothing_goes_where_earlier_runs_spent_it_all() -> None:
    assert Budget(10.0, spent=10.0).ask("a", "s", Most(0.1)) == "spent"


def test_those_that_wait_are_decided_by_their_own_size_when_the_budget_closes() -> None:
    budget = Budget(10.0)
    budget.ask("a", "s", Most(7.0))
    budget.ask("b", "s", Most(2.0))
    budget.ask("large", "s", Most(6.0))
    budget.ask("small", "s", Most(2.0))
    assert budget.end("a", 6.0) == Ended(going=("small",), refused=(("large", "spent"),))


def test_the_first_call_that_nothing_bounds_goes_alone_of_its_step() -> None:
    budget = Budget(10.0)
    unknown = Most(0.1, bounded=False)
    assert budget.ask("a", "s", unknown) == "goes"
    assert budget.ask("b", "s", unknown) == "waits"
    assert budget.ask("c", "other", unknown) == "goes"
    assert budget.end("a", None) == Ended(going=("b",))


def test_what_costs_nothing_goes_whatever_is_spent() -> None:
    budget = Budget(1.0, spent=2.0)
    assert budget.ask("a", "s", Most(0.0)) == "goes"
    assert budget.passed_by == 1.0


def test_a_call_without_an_answer_costs_nothing() -> None:
    budget = Budget(1.0)
    budget.ask("a", "s", Most(1.0))
    budget.end("a", None)
    assert (budget.spent, budget.out) == (0.0, 0.0)


def test_who_is_out_is_not_asked_again() -> None:
    budget = Budget(1.0)
    budget.ask("a", "s", Most(1.0))
    with pytest.raises(ValueError, match="already"):
        budget.ask("a", "s", Most(1.0))


class BesideANaiveOne(RuleBasedStateMachine):
    """Whole amounts of money, so that sums are exact and the naive one may add them up anew."""

    calls = Bundle("calls")

    def __init__(self) -> None:
        super().__init__()
        self.budget: Any = None
        self.names = 0
        self.start(20, 0)

    def start(self, limit: int, spent: int) -> None:
        self.budget = Budget(limit, spent)
        self.limit, self.at_first = limit, limit - spent
        self.paid = [spent]
        self.out: dict[int, tuple[str, Most]] = {}
        self.waiting: dict[int, tuple[str, Most]] = {}
        self.is_spent = spent > 0 and spent >= limit

    def naive(self, step: str, most: Most) -> Decision:
        left = self.limit - sum(self.paid)
        if most.free:
            return "goes"
        if most.cost > left or left <= 0:
            if most.cost <= self.at_first:
                self.is_spent = True
                return "spent"
            return "too_dear"
        first = not most.bounded and any(s == step and not m.bounded for s, m in self.out.values())
        return "waits" if first or most.cost > left - sum(m.cost for _, m in self.out.values()) else "goes"

    @rule(
        target=calls, step=st.sampled_from("xy"), cost=st.integers(0, 12), bounded=st.booleans(), share=st.floats(0, 1)
    )
    def ask(self, step: str, cost: int, bounded: bool, share: float) -> tuple[int, int | None]:
        self.names += 1
        most = Most(cost, bounded)
        wanted = "spent" if self.is_spent and not most.free else self.naive(step, most)
        assert self.budget.ask(self.names, step, most) == wanted
        if wanted in ("goes", "waits"):
            (self.out if wanted == "goes" else self.waiting)[self.names] = (step, most)
        return self.names, None if share < 0.2 else int(cost * share)

    @rule(call=consumes(calls))
    def end(self, call: tuple[int, int | None]) -> None:
        name, cost = call
        if name not in self.out:
            if self.waiting.pop(name, None) is not None:
                assert self.budget.end(name, None) == Ended()
            return
        del self.out[name]
        self.paid.append(cost or 0)
        going: list[Hashable] = []
        refused: list[tuple[Hashable, Decision]] = []
        for other in list(self.waiting):
            step, most = self.waiting[other]
            decision = self.naive(step, most)
            if decision == "goes":
                self.out[other] = self.waiting.pop(other)
                going.append(other)
            elif decision != "waits":
                del self.waiting[other]
                refused.append((other, decision))
        assert self.budget.end(name, cost) == Ended(tuple(going), tuple(refused))

    @invariant()
    def they_agree_and_the_budget_holds(self) -> None:
        self.budget.check_invariants()
        assert self.budget.spent == sum(self.paid)
        assert self.budget.out == sum(most.cost for _, most in self.out.values())
        assert self.budget.spent + self.budget.out <= self.limit
        assert self.budget.closed == self.is_spent


TestBesideANaiveOne = BesideANaiveOne.TestCase
TestBesideANaiveOne.settings = settings(max_examples=200, stateful_step_count=40, deadline=None)
