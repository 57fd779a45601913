"""The plugin around the limiter: which scopes it limits, and what its configuration refuses."""

from __future__ import annotations

import re
from math import inf
from typing import Any

import pytest

from penstock import RequestLimiter, RequestResourceKey, Scope
from penstock_latency import LatencyConfig, LatencyPlugin

RESOURCE = RequestResourceKey("provider", "model", "chat")
SCOPES: dict[str, Scope] = {
    "resource": RESOURCE,
    "provider_model": RESOURCE.provider_model,
    "provider": RESOURCE.provider,
}


@pytest.mark.parametrize("scope", ["resource", "provider_model", "provider"])
def test_it_limits_the_configured_kind_of_scope_and_no_other(scope: Any) -> None:
    plugin = LatencyPlugin(LatencyConfig(scope=scope, effective_max=9))
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
        (
            {"signal": "ttft"},
            'signal must be "auto", "first_token", "output_token" or "elapsed", not \'ttft\'',
        ),
        ({"window_samples": 3}, "window_samples must be a whole number from 4 on, not 3"),
        ({"probe_every": True}, "probe_every must be a whole number from 0 on, not True"),
        ({"healthy_ratio": 0.5}, "healthy_ratio must be a number of at least 1, not 0.5"),
        ({"healthy_ratio": inf}, "healthy_ratio must be a number of at least 1, not inf"),
        ({"healthy_latency": 0}, "healthy_latency must be a number above 0, not 0"),
        ({"scope": "provider"}, 'scope "provider" needs effective_max: a provider has no static cap to grow to'),
    ],
)
def test_a_setting_that_makes_no_sense_is_refused_with_what_would(setting: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=f"^{re.escape(message)}$"):
        LatencyConfig(**setting)
