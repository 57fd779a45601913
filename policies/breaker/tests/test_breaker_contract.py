"""The contract of every request limiter, held by the breaker in several settings."""

from __future__ import annotations

from penstock import RequestLimiter, Settings
from penstock.testing import RequestLimiterContract, RequestLimiterScenarios
from penstock_breaker import BreakerConfig, BreakerLimiter


class TestBreakerContract(RequestLimiterContract):
    config = BreakerConfig(minimum_calls=3, failure_rate=0.3)

    def make_limiter(self, cap: int | None, seed: int) -> RequestLimiter:
        return BreakerLimiter(self.scope, self.config, Settings(plugin="breaker", seed=seed).rng())

    def make_successor(self, cap: int | None, seed: int) -> RequestLimiter:
        config = BreakerConfig(probes=2, minimum_calls=2, window_seconds=7.0)
        return BreakerLimiter(self.scope, config, Settings(plugin="breaker", seed=seed).rng())


class TestWithTheDefaults(TestBreakerContract):
    config = BreakerConfig()


class TestWithoutRampAndJitter(TestBreakerContract):
    config = BreakerConfig(minimum_calls=1, failure_rate=0.1, ramp_seconds=0.0, jitter=0.0)


class TestForAWholeProviderWithRateLimitsAndThreeProbes(TestBreakerContract):
    scope = RequestLimiterContract.resource.provider
    config = BreakerConfig(scope="provider", minimum_calls=2, probes=3, count_rate_limits=True, slow_seconds=1.0)


class TestWithFailFast(TestBreakerContract):
    """Nobody waits, so no refusal names a moment: `next_change` does."""

    config = BreakerConfig(minimum_calls=2, failure_rate=0.2, fail_fast=True)

    def test_whatever_happened_a_call_goes_out_again_by_itself(self) -> None:
        for seed in range(self.walks):
            driver = self.driver(seed)
            for _ in self.walk(driver, seed):
                pass
            driver.end_all("local_cancelled")
            while driver.ask() is not None:
                assert driver.rest_until_next_change()
            assert driver.admit() is not None


class TestBreakerInScenarios(RequestLimiterScenarios):
    plugin = "breaker"
