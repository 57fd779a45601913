"""The contract of every request limiter, held by the cooldown in several settings."""

from __future__ import annotations

from penstock import RequestLimiter, Settings
from penstock.testing import RequestLimiterContract, RequestLimiterScenarios
from penstock_cooldown import CooldownConfig, CooldownLimiter


class TestCooldownContract(RequestLimiterContract):
    config = CooldownConfig(early_probe="never")

    def make_limiter(self, cap: int | None, seed: int) -> RequestLimiter:
        return CooldownLimiter(self.scope, self.config, Settings(plugin="cooldown", seed=seed).rng())

    def make_successor(self, cap: int | None, seed: int) -> RequestLimiter:
        config = CooldownConfig(
            scope=self.config.scope,
            maximum_seconds=1.0,
            default_seconds=0.5,
            ramp_seconds=9.0,
            early_probe=self.config.early_probe,
        )
        return CooldownLimiter(self.scope, config, Settings(plugin="cooldown", seed=seed).rng())


class TestWithoutRampAndTimeout(TestCooldownContract):
    config = CooldownConfig(ramp_seconds=0.0, refusal_timeout_factor=0.0, early_probe="never")


class TestForAWholeProvider(TestCooldownContract):
    scope = RequestLimiterContract.resource.provider
    config = CooldownConfig(scope="provider", maximum_seconds=5.0, ramp_seconds=3.0, early_probe="never")


class TestWithEarlyProbes(TestCooldownContract):
    config = CooldownConfig(early_probe="always")

    # an early probe that is let in ends a cooldown: see test_early_probes.py
    test_a_cooldown_never_gets_shorter = None  # type: ignore[assignment]


class TestCooldownInScenarios(RequestLimiterScenarios):
    plugin = "cooldown"
