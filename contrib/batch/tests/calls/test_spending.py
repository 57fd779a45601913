"""Calls that wait for a budget: who goes, who is refused, and what a cancelled one gives back."""

from __future__ import annotations

from typing import Any

import pytest
import trio
import trio.testing

from penstock import Usage
from penstock_batch.calls.spending import BudgetRefusal, Spending
from penstock_batch.money.budget import Budget
from penstock_batch.money.estimates import Estimates
from penstock_batch.pipeline.steps import Step
from penstock_batch.providers.models import StepModel
from penstock_dialects import Prices

MODEL = StepModel("p/m", "p", "m", 8, prices=Prices(input=0.0, output=1_000_000.0))
"""A token of output costs 1."""


def step(most: int | None) -> Step:
    params = {} if most is None else {"max_tokens": most}
    return Step(name="s", kind="chat", uses=frozenset(), model=MODEL, params=params)


def spending(limit: float) -> Spending:
    return Spending(Budget(limit), Estimates())


async def call(money: Spending, most: int | None, cost: float | None, ended: list[Any], takes: float = 1.0) -> None:
    """A call that takes some seconds and costs this."""
    try:
        asking = step(most)
        async with money.call(asking, MODEL, {**asking.params, "input": "x"}) as out:
            await trio.sleep(takes)
            out.paid(cost, Usage(1, None if cost is None else int(cost)))
            ended.append((trio.current_time(), cost))
    except BudgetRefusal as refusal:
        ended.append((trio.current_time(), str(refusal)))


async def test_a_call_waits_for_what_others_will_have_cost(autojump_clock: trio.testing.MockClock) -> None:
    money, ended = spending(10.0), list[Any]()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(call, money, 8, 2.0, ended)
        await trio.testing.wait_all_tasks_blocked()
        nursery.start_soon(call, money, 8, 8.0, ended)
    assert [cost for _, cost in ended] == [2.0, 8.0]
    assert ended[1][0] - ended[0][0] == 1.0
    assert (money.budget.spent, money.budget.out) == (10.0, 0.0)


async def test_calls_that_wait_for_the_first_answer_go_together_after_it(
    autojump_clock: trio.testing.MockClock,
) -> None:
    money, ended = spending(100.0), list[Any]()
    async with trio.open_nursery() as nursery:
        for _ in range(9):
            nursery.start_soon(call, money, None, 2.0, ended)
    assert [cost for _, cost in ended] == [2.0] * 9
    assert trio.current_time() == 2.0
    money.budget.check_invariants()


async def test_no_call_goes_out_once_it_is_spent(autojump_clock: trio.testing.MockClock) -> None:
    money, ended = spending(10.0), list[Any]()
    async with trio.open_nursery() as nursery:
        for _ in range(10):
            nursery.start_soon(call, money, 3, 3.0, ended)
    assert sorted(map(str, (cost for _, cost in ended))) == ["3.0"] * 3 + ["not called, the budget of 10 is spent"] * 7
    assert money.budget.spent == 9.0


async def test_an_answer_whose_cost_is_not_told_counts_for_the_most(autojump_clock: trio.testing.MockClock) -> None:
    money = spending(10.0)
    await call(money, 4, None, [])
    assert money.budget.spent == 4.0


async def test_the_first_answer_tells_what_the_next_may_cost(autojump_clock: trio.testing.MockClock) -> None:
    money, ended = spending(20.0), list[Any]()
    async with trio.open_nursery() as nursery:
        for _ in range(4):
            nursery.start_soon(call, money, None, 4.0, ended)
    # One goes alone; each of the next may cost 6, and two such would fit.
    assert [cost for _, cost in ended] == [4.0, 4.0, 4.0, 4.0]
    assert money.budget.spent == 16.0


async def test_a_model_without_a_price_is_not_called_under_a_budget() -> None:
    unpriced = StepModel("p/other", "p", "other", 8)
    with pytest.raises(BudgetRefusal, match="p/other has no price"):
        async with spending(10.0).call(step(1), unpriced, {}):
            pytest.fail("it was called")


@pytest.mark.parametrize("when", [0.5, 1.0])
async def test_who_is_cancelled_gives_back_what_it_held(autojump_clock: trio.testing.MockClock, when: float) -> None:
    """While it waits, and just as its turn has come."""
    money, ended = spending(10.0), list[Any]()
    with trio.CancelScope() as scope:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(call, money, 8, 1.0, ended)
            await trio.testing.wait_all_tasks_blocked()
            nursery.start_soon(call, money, 8, 8.0, ended)
            await trio.sleep(when)
            scope.cancel()
    assert money.budget.out == 0.0
    money.budget.check_invariants()
    assert money.budget.waiting == 0


async def test_who_is_cancelled_while_it_is_refused_has_nothing_to_give_back(
    autojump_clock: trio.testing.MockClock,
) -> None:
    money, ended = spending(10.0), list[Any]()
    with trio.CancelScope() as waits:
        async with trio.open_nursery() as nursery:
            out = money.call(step(8), MODEL, {})
            first = await out.__aenter__()
            nursery.start_soon(call, money, 8, 8.0, ended)
            await trio.testing.wait_all_tasks_blocked()
            first.paid(8.0, Usage(1, 8))
            waits.cancel()
            await out.__aexit__(None, None, None)
    assert (money.budget.spent, money.budget.out, ended) == (8.0, 0.0, [])
