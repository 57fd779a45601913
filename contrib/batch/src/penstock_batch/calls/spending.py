"""The budget of a run as its calls meet it: a call waits until it may go out, and says what it cost when it has ended.

What goes, waits and is refused is decided by `penstock_batch.money.budget`; here is only the waiting.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from functools import partial
from itertools import count
from typing import Any

import attrs
import trio

from penstock import Usage
from penstock_batch.money.budget import Budget, Decision
from penstock_batch.money.estimates import Estimates, Most, text_bytes
from penstock_batch.pipeline.steps import Step
from penstock_batch.providers.models import StepModel
from penstock_batch.store.spent import Spent

__all__ = ["BudgetRefusal", "OpenCall", "Spending", "spending_of"]


class BudgetRefusal(Exception):
    """The refusal of a call that the budget does not allow, in one line."""


@attrs.define
class OpenCall:
    """A call that is out. `paid` is to be called when its answer has come, `lost` when what has come is none; without,
    it cost nothing.
    """

    step: Step
    model: StepModel
    size: int
    most: float
    cost: float | None = None
    usage: Usage | None = None

    def paid(self, cost: float | None, usage: Usage) -> float:
        """Note what the answer cost, and return it. Where its provider did not say, it is the most that it may be."""
        cost = self.most if cost is None else cost
        self.lost(cost, usage)
        return cost

    def lost(self, cost: float, usage: Usage) -> None:
        """Note what was paid for an answer that cannot be used; another may come."""
        self.cost = (self.cost or 0.0) + cost
        self.usage = usage


@attrs.define
class _Turn:
    decision: Decision
    most: Most
    estimate: Callable[[], Most]
    came: trio.Event = attrs.field(factory=trio.Event)


def spending_of(budget: float | None, spent: Spent) -> Spending | None:
    """The spending under a budget, where there is one, by what the answers that are kept have cost."""
    if budget is None:
        return None
    estimates = Estimates()
    for step, each in spent.steps.items():
        if each.largest is not None:
            estimates.note_output(step, each.largest)
    return Spending(Budget(budget, spent.cost), estimates)


class Spending:
    """The calls of a run, held to its budget. `estimates` know what earlier answers tell."""

    def __init__(self, budget: Budget, estimates: Estimates) -> None:
        self.budget = budget
        self.estimates = estimates
        self._turns: dict[int, _Turn] = {}
        self._names = count()

    @property
    def reason(self) -> str:
        """What is said of a cell that is not called, since the budget is spent."""
        return f"not called, the budget of {self.budget.limit:g} is spent"

    @property
    def closed(self) -> str | None:
        """Why no more calls are made, if the budget is spent."""
        return self.reason if self.budget.closed else None

    @asynccontextmanager
    async def call(self, step: Step, model: StepModel, body: Mapping[str, Any]) -> AsyncIterator[OpenCall]:
        """A block in which this call may go out. Raises `BudgetRefusal` if the budget does not hold it."""
        if model.prices is None:  # a step's own model has one, by what is checked before the run
            raise BudgetRefusal(f"not called, {model.name} has no price, and there is a budget")
        name, size = next(self._names), text_bytes(body)
        estimate = partial(self.estimates.most, step.name, step.kind, model.name, model.prices, size, body)
        most = estimate()
        turn = _Turn(self.budget.ask(name, step.name, most), most, estimate)
        call = OpenCall(step, model, size, most.cost)
        try:
            if turn.decision == "waits":
                await self._wait(name, turn)
                call.most = turn.most.cost
            if turn.decision == "too_dear":
                raise BudgetRefusal(f"not called, it may cost more than the budget of {self.budget.limit:g} leaves")
            if turn.decision == "spent":
                raise BudgetRefusal(self.reason)
            yield call
        finally:
            if turn.decision in ("goes", "waits"):
                if call.usage is not None:
                    self.estimates.note(step.name, model.name, size, call.usage)
                self._end(name, call.cost)

    async def _wait(self, name: int, turn: _Turn) -> None:
        self._turns[name] = turn
        try:
            await turn.came.wait()
        finally:
            del self._turns[name]

    def _end(self, name: int, cost: float | None) -> None:
        for waiting, turn in self._turns.items():
            if not turn.most.bounded:  # an answer may tell by now what nobody knew when it came
                turn.most = turn.estimate()
                self.budget.estimated(waiting, turn.most)
        ended = self.budget.end(name, cost)
        for other in ended.going:
            self._tell(other, "goes")
        for other, decision in ended.refused:
            self._tell(other, decision)

    def _tell(self, name: object, decision: Decision) -> None:
        assert isinstance(name, int)
        turn = self._turns[name]
        turn.decision = decision
        turn.came.set()
