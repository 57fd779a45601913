"""What the limiter remembers of a call that is out."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from penstock_token_budget.amounts import Amounts, Sum
from penstock_token_budget.blind import BlindRate
from penstock_token_budget.budgets import EvenBudget, WindowBudget
from penstock_token_budget.learnt import LearntBudget

__all__ = ["Budget", "Ticket"]

Budget = EvenBudget | WindowBudget | BlindRate | LearntBudget
"""Each a `BudgetLine`; named one by one, since compiled code asks classes that it knows without looking names up."""


class Ticket:
    """One call that is out, or has come back: what it was charged for on these budgets, and their `entries` of it, one
    for each; `capped` has the amounts on those that are smaller than the call, by their keys. `total` is what all calls
    had been charged by then, where that is learnt from; `heard`: nothing is learnt from its answer, or not again.
    """

    __slots__ = ("budgets", "capped", "entries", "estimate", "heard", "number", "out", "sent_at", "total")

    def __init__(
        self,
        number: int,
        sent_at: float,
        estimate: Amounts,
        budgets: Sequence[Budget],
        entries: list[object],
        capped: Mapping[tuple[str, float], float] | None,
        total: Sum,
        heard: bool,
    ) -> None:
        self.out = True
        self.number = number
        self.sent_at = sent_at
        self.estimate = estimate
        self.budgets = budgets
        self.entries = entries
        self.capped = capped
        self.total = total
        self.heard = heard
