"""The plugin around the limiter: which scopes have budgets, and what its configuration refuses."""

from __future__ import annotations

from typing import Any

import pytest

from penstock import (
    ConfigError,
    LimiterScope,
    PluginManager,
    ProviderKey,
    ProviderModelKey,
    RequestGroupKey,
    RequestLimiter,
    RequestResourceKey,
    Scope,
    Settings,
    load_config,
)
from penstock.testing import RequestLimiterPluginContract
from penstock_token_budget import Budget, Rates, TokenBudgetConfig, TokenBudgetPlugin

TEN_A_MINUTE = Rates(minute=10)


class TestTokenBudgetPlugin(RequestLimiterPluginContract):
    def limiter_for(self, scope: Scope, configured: LimiterScope) -> RequestLimiter | None:
        return TokenBudgetPlugin(TokenBudgetConfig(scope=configured)).penstock_request_limiter(scope, Settings())


@pytest.mark.parametrize(
    ("budget", "scope"),
    [
        (Budget(provider="acme", requests=TEN_A_MINUTE), ProviderKey("acme")),
        (Budget(provider="acme", model="small", requests=TEN_A_MINUTE), ProviderModelKey("acme", "small")),
        (
            Budget(provider="acme", model="small", domain="chat", requests=TEN_A_MINUTE),
            RequestResourceKey("acme", "small", "chat"),
        ),
        (Budget(group="tenant", requests=TEN_A_MINUTE), RequestGroupKey("tenant")),
    ],
)
def test_without_learning_only_what_has_a_budget_is_limited(budget: Budget, scope: Scope) -> None:
    plugin = TokenBudgetPlugin(TokenBudgetConfig(learn=False, budgets=(budget,)))
    assert plugin.penstock_request_limiter(scope, Settings()) is not None
    assert plugin.penstock_request_limiter(ProviderKey("other"), Settings()) is None


@pytest.mark.parametrize(
    ("record", "key", "value"),
    [
        (Rates, "second", 0),
        (Rates, "day", 1.5),
        (TokenBudgetConfig, "scope", "model"),
        (TokenBudgetConfig, "share", 0.0),
        (TokenBudgetConfig, "share", 1.1),
        (TokenBudgetConfig, "burst_seconds", 61.0),
    ],
)
def test_a_setting_that_makes_no_sense_is_refused_by_its_key(record: Any, key: str, value: Any) -> None:
    with pytest.raises(ValueError, match=f"^{key} must be "):
        record(**{key: value})


@pytest.mark.parametrize("key", ["provider", "model", "domain"])
def test_a_name_of_a_budget_is_not_empty(key: str) -> None:
    names: dict[str, Any] = {"provider": "acme", "model": "small", "domain": "chat", key: ""}
    with pytest.raises(ValueError, match=f"^{key} must not be empty$"):
        Budget(**names, requests=TEN_A_MINUTE)


def test_a_budget_of_a_domain_needs_the_model() -> None:
    with pytest.raises(ValueError, match=r"^domain 'chat' needs a model"):
        Budget(provider="acme", domain="chat", requests=TEN_A_MINUTE)


def test_a_budget_limits_something() -> None:
    with pytest.raises(ValueError, match=r"^requests or tokens of acme must be limited"):
        Budget(provider="acme")


def test_a_scope_has_one_budget() -> None:
    budget = Budget(provider="acme", requests=TEN_A_MINUTE)
    with pytest.raises(ValueError, match=r"^budgets must name acme once"):
        TokenBudgetConfig(budgets=(budget, budget))


def test_a_budget_of_what_is_not_there_is_told_by_its_place() -> None:
    tables = {
        "providers": {"acme": {"models": {"fast": {"max_parallel_requests": 2, "model": "acme-fast-2"}}}},
        "plugins": {
            "request_limiters": ["token-budget"],
            "token-budget": {
                "budgets": [
                    {"provider": "acme", "requests": {"minute": 1}},
                    {"provider": "acne", "requests": {"minute": 1}},
                    {"provider": "acme", "model": "fast", "requests": {"minute": 1}},
                    {"provider": "acme", "model": "acme-fast-2", "domain": "chta", "requests": {"minute": 1}},
                ]
            },
        },
    }
    with pytest.raises(ConfigError) as caught:
        PluginManager.from_config(load_config(tables).config)
    provider, model, domain = caught.value.problems
    assert provider.endswith("token-budget.budgets[1]: names no provider that is known: 'acne'; did you mean 'acme'?")
    assert model.endswith(
        "budgets[2]: names a model by 'fast', which is a name for it here; write its id, 'acme-fast-2'"
    )
    assert domain.endswith("budgets[3]: names no domain of acme: 'chta'; did you mean 'chat'?")
