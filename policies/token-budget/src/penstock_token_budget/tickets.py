"""What a call that is out was charged, and what it counts for in the end."""

from __future__ import annotations

import attrs

from penstock import LimiterTicket, RequestCost, RequestReleaseOutcome, Usage
from penstock_token_budget.budgets import Amounts, BudgetLine

__all__ = ["Ticket", "used_by"]


@attrs.define(slots=True, eq=False)
class Ticket(LimiterTicket):
    """One call that is out: what it was charged, and what all calls had been charged by then, where that is learnt
    from; `heard`: nothing is learnt from its answer, or not again.
    """

    held = "a charge on the budgets"
    number: int
    sent_at: float
    estimate: RequestCost
    charges: list[tuple[BudgetLine, float, object]]
    total: Amounts
    heard: bool = False


def used_by(estimate: RequestCost, outcome: RequestReleaseOutcome) -> Amounts | None:
    """What a call counts for, now that it has ended; `None`: nothing better than the estimate is known."""
    if not outcome.went_out:
        return Amounts()
    usage: Usage | None = outcome.usage
    reported = (None, None) if usage is None else (usage.input_tokens, usage.output_tokens)
    if reported == (None, None):
        return Amounts(estimate.requests) if outcome.kind == "rate_limited" else None
    inp, out = reported  # what was not reported refunds nothing
    return Amounts(
        estimate.requests, estimate.input_tokens if inp is None else inp, estimate.output_tokens if out is None else out
    )
