"""The contract of every request limiter, held by the latency limiter in several settings."""

from __future__ import annotations

from penstock import RequestLimiter
from penstock.testing import RequestLimiterContract, RequestLimiterScenarios
from penstock_latency import LatencyConfig, LatencyLimiter


class TestLatencyContract(RequestLimiterContract):
    config = LatencyConfig()

    def make_limiter(self, cap: int | None, seed: int) -> RequestLimiter:
        return LatencyLimiter(self.scope, cap, self.config)

    def make_successor(self, cap: int | None, seed: int) -> RequestLimiter:
        return LatencyLimiter(self.scope, cap, LatencyConfig(effective_max=5, healthy_latency=0.5, window_samples=4))


class TestWithShortWindows(TestLatencyContract):
    config = LatencyConfig(window_samples=4, probe_every=2)


class TestFromOneCall(TestLatencyContract):
    config = LatencyConfig(initial_limit=1, window_samples=4, probe_every=0)


class TestForAWholeProvider(TestLatencyContract):
    scope = RequestLimiterContract.resource.provider
    cap = None
    config = LatencyConfig(scope="provider", effective_max=12)


class TestWithoutAnyBound(TestLatencyContract):
    cap = None


class TestLatencyInScenarios(RequestLimiterScenarios):
    plugin = "latency"
