"""A request limiter that keeps to budgets of requests and tokens per time, configured or learnt from the answers."""

from __future__ import annotations

from penstock_token_budget.config import Budget, Rates, TokenBudgetConfig
from penstock_token_budget.limiter import TokenBudgetLimiter
from penstock_token_budget.plugin import TokenBudgetPlugin

__all__ = ["Budget", "Rates", "TokenBudgetConfig", "TokenBudgetLimiter", "TokenBudgetPlugin"]
