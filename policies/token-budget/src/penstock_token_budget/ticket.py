"""What the limiter remembers of a call that is out."""

from __future__ import annotations

from penstock_token_budget.amounts import Amounts, Sum
from penstock_token_budget.blind import BlindRate
from penstock_token_budget.budgets import EvenBudget, WindowBudget
from penstock_token_budget.learnt import LearntBudget

__all__ = ["Budget", "Ticket"]

Budget = EvenBudget | WindowBudget | BlindRate | LearntBudget
"""Each a `BudgetLine`; named one by one, since compiled code asks classes that it knows without looking names up."""


class Ticket:
    """One call that is `out`, or has come back: its estimate, what it was charged for on each budget, with that one's
    entry of it, and what all calls had been charged by then, where that is learnt from; `heard`: nothing is learnt from
    its answer, or not again.
    """

    __slots__ = ("charges", "estimate", "heard", "number", "out", "sent_at", "total")

    def __init__(
        self,
        number: int,
        sent_at: float,
        estimate: Amounts,
        charges: list[tuple[Budget, float, object]],
        total: Sum,
        heard: bool,
    ) -> None:
        self.out = True
        self.number = number
        self.sent_at = sent_at
        self.estimate = estimate
        self.charges = charges
        self.total = total
        self.heard = heard
