"""The plugin around the limiter: which scopes it limits, and what its configuration refuses."""

from __future__ import annotations

from math import inf
from typing import Any

import pytest

from penstock import LimiterScope, RequestLimiter, Scope, Settings
from penstock.testing import RequestLimiterPluginContract
from penstock_cooldown import CooldownConfig, CooldownPlugin


class TestCooldownPlugin(RequestLimiterPluginContract):
    def limiter_for(self, scope: Scope, configured: LimiterScope) -> RequestLimiter | None:
        return CooldownPlugin(CooldownConfig(scope=configured)).penstock_request_limiter(scope, Settings())


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("scope", "model"),
        ("default_seconds", 0.0),
        ("maximum_seconds", inf),
        ("lengthening_factor", 0.5),
        ("ramp_seconds", -1.0),
        ("refusal_timeout_factor", True),
    ],
)
def test_a_setting_that_makes_no_sense_is_refused_by_its_key(key: str, value: Any) -> None:
    with pytest.raises(ValueError, match=f"^{key} must be "):
        CooldownConfig(**{key: value})


def test_the_default_is_not_longer_than_the_maximum() -> None:
    with pytest.raises(ValueError, match=r"^default_seconds \(9\) must not be longer than maximum_seconds \(5\)$"):
        CooldownConfig(default_seconds=9.0, maximum_seconds=5.0)
