"""The plugin around the limiter: which scopes it limits, and what its configuration refuses."""

from __future__ import annotations

import re
from typing import Any

import pytest

from penstock import RequestLimiter, RequestResourceKey, Scope
from penstock_aimd import AimdConfig, AimdPlugin

RESOURCE = RequestResourceKey("provider", "model", "chat")
SCOPES: dict[str, Scope] = {
    "resource": RESOURCE,
    "provider_model": RESOURCE.provider_model,
    "provider": RESOURCE.provider,
}


@pytest.mark.parametrize("scope", ["resource", "provider_model", "provider"])
def test_it_limits_the_configured_kind_of_scope_and_no_other(scope: Any) -> None:
    plugin = AimdPlugin(AimdConfig(scope=scope, effective_max=9))
    made = {name: plugin.penstock_request_limiter(value, 64) for name, value in SCOPES.items()}
    assert {name for name, limiter in made.items() if limiter is not None} == {scope}
    limiter = made[scope]
    assert isinstance(limiter, RequestLimiter)
    assert limiter.scope == SCOPES[scope]
    assert limiter.snapshot(0.0).effective_max == 9


@pytest.mark.parametrize(
    ("setting", "message"),
    [
        ({"scope": "model"}, 'scope must be "resource", "provider_model" or "provider", not \'model\''),
        ({"effective_max": 0}, "effective_max must be a whole number from 1 on, not 0"),
        ({"initial_limit": 2.5}, "initial_limit must be a whole number from 1 on, not 2.5"),
        ({"startup_ramp_seconds": -1.0}, "startup_ramp_seconds must be a number of at least 0, not -1.0"),
        (
            {"multiplicative_decrease_factor": 1.0},
            "multiplicative_decrease_factor must be a number from 0.01 to 0.99, not 1.0",
        ),
        ({"additive_increase_step": 0.0}, "additive_increase_step must be a number of at least 0.001, not 0.0"),
        ({"successes_until_increase": True}, "successes_until_increase must be a whole number from 1 on, not True"),
        ({"scope": "provider"}, 'scope "provider" needs effective_max: a provider has no static cap to grow to'),
        ({"ceiling_hold": 9.0, "ceiling_hold_max": 5.0}, "ceiling_hold_max must be at least ceiling_hold (9), not 5"),
    ],
)
def test_a_setting_that_makes_no_sense_is_refused_with_what_would(setting: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=f"^{re.escape(message)}$"):
        AimdConfig(**setting)
