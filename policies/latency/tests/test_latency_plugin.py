"""The plugin around the limiter: which scopes it limits, and what its configuration refuses."""

from __future__ import annotations

from math import inf
from typing import Any

import pytest

from penstock import LimiterScope, RequestLimiter, Scope
from penstock.testing import RequestLimiterPluginContract
from penstock_latency import LatencyConfig, LatencyPlugin


class TestLatencyPlugin(RequestLimiterPluginContract):
    def limiter_for(self, scope: Scope, configured: LimiterScope) -> RequestLimiter | None:
        return LatencyPlugin(LatencyConfig(scope=configured, effective_max=9)).penstock_request_limiter(scope, 64)


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("scope", "model"),
        ("effective_max", 0),
        ("initial_limit", 2.5),
        ("signal", "ttft"),
        ("window_samples", 3),
        ("probe_every", True),
        ("healthy_ratio", 0.5),
        ("healthy_ratio", inf),
        ("healthy_latency", 0),
    ],
)
def test_a_setting_that_makes_no_sense_is_refused_by_its_key(key: str, value: Any) -> None:
    with pytest.raises(ValueError, match=f"^{key} must be "):
        LatencyConfig(**{key: value})


def test_the_effective_max_bounds_the_cap() -> None:
    limiter = LatencyPlugin(LatencyConfig(effective_max=9)).penstock_request_limiter(TestLatencyPlugin.resource, 64)
    assert limiter is not None
    assert limiter.snapshot(0.0).effective_max == 9


def test_a_whole_provider_needs_an_effective_max() -> None:
    with pytest.raises(ValueError, match="effective_max"):
        LatencyConfig(scope="provider")
