"""The plugin around the limiter: which scopes it limits, and what its configuration refuses."""

from __future__ import annotations

import re
from typing import Any

import pytest

from penstock import RequestLimiter, RequestResourceKey, Scope, Settings
from penstock_cooldown import CooldownConfig, CooldownPlugin

RESOURCE = RequestResourceKey("provider", "model", "chat")
SCOPES: dict[str, Scope] = {
    "resource": RESOURCE,
    "provider_model": RESOURCE.provider_model,
    "provider": RESOURCE.provider,
}


@pytest.mark.parametrize("scope", ["resource", "provider_model", "provider"])
def test_it_limits_the_configured_kind_of_scope_and_no_other(scope: Any) -> None:
    plugin = CooldownPlugin(CooldownConfig(scope=scope))
    made = {name: plugin.penstock_request_limiter(value, Settings()) for name, value in SCOPES.items()}
    assert {name for name, limiter in made.items() if limiter is not None} == {scope}
    limiter = made[scope]
    assert isinstance(limiter, RequestLimiter)
    assert limiter.scope == SCOPES[scope]


@pytest.mark.parametrize(
    ("setting", "message"),
    [
        ({"scope": "model"}, 'scope must be "resource", "provider_model" or "provider", not \'model\''),
        ({"default_seconds": 0.0}, "default_seconds must be a number of at least 0.001, not 0.0"),
        ({"maximum_seconds": float("inf")}, "maximum_seconds must be a number of at least 0.001, not inf"),
        ({"lengthening_factor": 0.5}, "lengthening_factor must be a number from 1 to 10, not 0.5"),
        ({"ramp_seconds": -1.0}, "ramp_seconds must be a number of at least 0, not -1.0"),
        ({"probe_patience": True}, "probe_patience must be a number of at least 0, not True"),
        (
            {"default_seconds": 9.0, "maximum_seconds": 5.0},
            "default_seconds (9) must not be longer than maximum_seconds (5)",
        ),
    ],
)
def test_a_setting_that_makes_no_sense_is_refused_with_what_would(setting: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=f"^{re.escape(message)}$"):
        CooldownConfig(**setting)
