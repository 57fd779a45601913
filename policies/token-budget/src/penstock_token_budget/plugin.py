"""The plugin: the budgets of each scope that is configured, and of each at which limits are learnt.

How a budget is kept is described in `pace.py` (GCRA, ITU-T I.371) and `window.py`, how it is learnt in `learnt.py`.
"""

from __future__ import annotations

from penstock import Problem, RequestLimiter, Scope, Settings, hookimpl, scope_kind, unknown_in
from penstock_token_budget.config import TokenBudgetConfig
from penstock_token_budget.limiter import TokenBudgetLimiter

__all__ = ["TokenBudgetPlugin"]


class TokenBudgetPlugin:
    """Requests and tokens per second, minute, hour and day: configured, and learnt from the headers of answers.

    Each call is charged its estimate when it goes out and corrected by its usage when it ends. Limits per second and
    minute are kept evenly, so that no shorter window of the provider's is burst. Refusals name the exact moment.
    """

    Config = TokenBudgetConfig

    def __init__(self, config: TokenBudgetConfig) -> None:
        self.config = config

    @hookimpl
    def penstock_check_names(self, settings: Settings) -> list[Problem]:
        """The budgets of what is not there."""
        checked = ((place, unknown_in(budget.scope, settings)) for place, budget in enumerate(self.config.budgets))
        return [Problem(("budgets", place), unknown) for place, unknown in checked if unknown is not None]

    @hookimpl
    def penstock_request_limiter(self, scope: Scope, settings: Settings) -> RequestLimiter | None:
        """The budgets of `scope`; `None` if none is configured for it and none is learnt there."""
        config = self.config
        learn = config.learn and scope_kind(scope) == config.scope
        limits = [limit for budget in config.budgets if budget.scope == scope for limit in budget.limits]
        if not (limits or learn):
            return None
        return TokenBudgetLimiter(
            scope,
            limits,
            learn=learn,
            share=config.share,
            burst_seconds=config.burst_seconds,
        )
