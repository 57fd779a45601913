"""What the limiter remembers of a call that is out."""

from __future__ import annotations

import attrs

from penstock import LimiterTicket, RequestCost
from penstock_token_budget.amounts import Amounts
from penstock_token_budget.blind import BlindRate
from penstock_token_budget.budgets import EvenBudget, WindowBudget
from penstock_token_budget.learnt import LearntBudget

__all__ = ["Budget", "Ticket"]

Budget = EvenBudget | WindowBudget | BlindRate | LearntBudget
"""Each a `BudgetLine`; named one by one, since compiled code asks classes that it knows without looking names up."""


@attrs.define(slots=True, eq=False)
class Ticket(LimiterTicket):
    """One call that is out: what it was charged, and what all calls had been charged by then, where that is learnt
    from; `heard`: nothing is learnt from its answer, or not again.
    """

    held = "a charge on the budgets"
    number: int
    sent_at: float
    estimate: RequestCost
    charges: list[tuple[Budget, float, object]]
    total: Amounts
    heard: bool = False
