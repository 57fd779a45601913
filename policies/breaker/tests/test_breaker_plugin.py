"""The plugin around the limiter: which scopes it limits, and what its configuration refuses."""

from __future__ import annotations

from math import inf
from typing import Any

import pytest

from penstock import LimiterScope, RequestLimiter, Scope, Settings
from penstock.testing import RequestLimiterPluginContract
from penstock_breaker import BreakerConfig, BreakerPlugin


class TestBreakerPlugin(RequestLimiterPluginContract):
    def limiter_for(self, scope: Scope, configured: LimiterScope) -> RequestLimiter | None:
        return BreakerPlugin(BreakerConfig(scope=configured)).penstock_request_limiter(scope, Settings())


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("scope", "model"),
        ("failure_rate", 0.0),
        ("failure_rate", 50),
        ("window_seconds", inf),
        ("minimum_calls", 0),
        ("probes", True),
        ("fail_fast", "yes"),
    ],
)
def test_a_setting_that_makes_no_sense_is_refused_by_its_key(key: str, value: Any) -> None:
    with pytest.raises(ValueError, match=f"^{key} must be "):
        BreakerConfig(**{key: value})


def test_the_first_opening_is_not_longer_than_the_longest() -> None:
    with pytest.raises(ValueError, match=r"^open_seconds \(9\) must not be longer than open_max_seconds \(5\)$"):
        BreakerConfig(open_seconds=9.0, open_max_seconds=5.0)
