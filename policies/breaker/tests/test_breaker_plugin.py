"""The plugin around the limiter: which scopes it limits, and what its configuration refuses."""

from __future__ import annotations

import re
from typing import Any

import pytest

from penstock import RequestLimiter, RequestResourceKey, Scope, Settings
from penstock_breaker import BreakerConfig, BreakerPlugin

RESOURCE = RequestResourceKey("provider", "model", "chat")
SCOPES: dict[str, Scope] = {
    "resource": RESOURCE,
    "provider_model": RESOURCE.provider_model,
    "provider": RESOURCE.provider,
}


@pytest.mark.parametrize("scope", ["resource", "provider_model", "provider"])
def test_it_limits_the_configured_kind_of_scope_and_no_other(scope: Any) -> None:
    plugin = BreakerPlugin(BreakerConfig(scope=scope))
    made = {name: plugin.penstock_request_limiter(value, Settings()) for name, value in SCOPES.items()}
    assert {name for name, limiter in made.items() if limiter is not None} == {scope}
    limiter = made[scope]
    assert isinstance(limiter, RequestLimiter)
    assert limiter.scope == SCOPES[scope]


@pytest.mark.parametrize(
    ("setting", "message"),
    [
        ({"scope": "model"}, 'scope must be "resource", "provider_model" or "provider", not \'model\''),
        ({"failure_rate": 0.0}, "failure_rate must be a number from 0.01 to 1, not 0.0"),
        ({"failure_rate": 50}, "failure_rate must be a number from 0.01 to 1, not 50"),
        ({"window_seconds": float("inf")}, "window_seconds must be a number of at least 0.1, not inf"),
        ({"minimum_calls": 0}, "minimum_calls must be a whole number from 1 on, not 0"),
        ({"probes": True}, "probes must be a whole number from 1 on, not True"),
        ({"fail_fast": "yes"}, "fail_fast must be true or false, not 'yes'"),
        (
            {"open_seconds": 9.0, "open_max_seconds": 5.0},
            "open_seconds (9) must not be longer than open_max_seconds (5)",
        ),
    ],
)
def test_a_setting_that_makes_no_sense_is_refused_with_what_would(setting: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=f"^{re.escape(message)}$"):
        BreakerConfig(**setting)
