"""The plugin around the limiter: which scopes it limits, and what its configuration refuses."""

from __future__ import annotations

from typing import Any

import pytest

from penstock import LimiterScope, RequestAdmissionItem, RequestAdmissionLease, RequestLimiter, Scope
from penstock.testing import RequestLimiterPluginContract
from penstock_aimd import AimdConfig, AimdPlugin


class TestAimdPlugin(RequestLimiterPluginContract):
    def limiter_for(self, scope: Scope, configured: LimiterScope) -> RequestLimiter | None:
        return AimdPlugin(AimdConfig(scope=configured, effective_max=9)).penstock_request_limiter(scope, 64)


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("scope", "model"),
        ("effective_max", 0),
        ("initial_limit", 2.5),
        ("startup_ramp_seconds", -1.0),
        ("multiplicative_decrease_factor", 1.0),
        ("additive_increase_step", 0.0),
        ("successes_until_increase", True),
    ],
)
def test_a_setting_that_makes_no_sense_is_refused_by_its_key(key: str, value: Any) -> None:
    with pytest.raises(ValueError, match=f"^{key} must be "):
        AimdConfig(**{key: value})


def test_the_effective_max_bounds_the_cap() -> None:
    limiter = AimdPlugin(AimdConfig(effective_max=9)).penstock_request_limiter(TestAimdPlugin.resource, 64)
    assert limiter is not None
    assert limiter.snapshot(0.0).effective_max == 9


def test_a_whole_provider_needs_an_effective_max() -> None:
    with pytest.raises(ValueError, match="effective_max"):
        AimdConfig(scope="provider")


def test_the_longest_hold_is_not_below_the_first() -> None:
    with pytest.raises(ValueError, match=r"^ceiling_hold_max must be at least ceiling_hold \(9\), not 5$"):
        AimdConfig(ceiling_hold=9.0, ceiling_hold_max=5.0)


def test_a_climb_to_a_cap_beyond_all_measure_is_reckoned_at_once() -> None:
    limiter = AimdPlugin(AimdConfig(startup_ramp_seconds=1e-300)).penstock_request_limiter(
        TestAimdPlugin.resource, 10**18
    )
    assert limiter is not None
    item = RequestAdmissionItem(TestAimdPlugin.resource)
    lease = RequestAdmissionLease("request-1", item, 1000.0, 1)
    assert limiter.check(item, 1000.0) is None
    limiter.acquire(lease, 1000.0)
    for moment in (1000.0, 1000.5, 1e6):
        assert limiter.check(item, moment) is None
        assert limiter.snapshot(moment).current_limit == 10**18


def test_a_climb_beyond_all_measure_waits_for_those_who_use_it() -> None:
    limiter = AimdPlugin(AimdConfig(startup_ramp_seconds=10.0)).penstock_request_limiter(
        TestAimdPlugin.resource, 10**18
    )
    assert limiter is not None
    limiter.acquire(
        RequestAdmissionLease("request-1", RequestAdmissionItem(TestAimdPlugin.resource), 1000.0, 1), 1000.0
    )
    opened = limiter.snapshot(1005.0).current_limit
    assert opened is not None
    assert opened == pytest.approx(10**18 * 0.05 / 10.0, rel=1e-3), "what opens while a call that waits may be late"
    assert limiter.next_change(1005.0) is None, "places are free: time alone opens no more"
