"""The contract of every request limiter, held by AIMD in several settings."""

from __future__ import annotations

from penstock import RequestLimiter
from penstock.testing import RequestLimiterContract, RequestLimiterScenarios
from penstock_aimd import AimdConfig, AimdLimiter


class TestAimdContract(RequestLimiterContract):
    config = AimdConfig()

    def make_limiter(self, cap: int | None, seed: int) -> RequestLimiter:
        return AimdLimiter(self.scope, cap, self.config)

    def make_successor(self, cap: int | None, seed: int) -> RequestLimiter:
        return AimdLimiter(self.scope, cap, AimdConfig(effective_max=5, successes_until_increase=2, ceiling_hold=1.0))


class TestFromTheMaximum(TestAimdContract):
    config = AimdConfig(startup_ramp_seconds=0.0)


class TestFromAnInitialLimit(TestAimdContract):
    config = AimdConfig(initial_limit=3, successes_until_increase=2)


class TestWithASlowRampAndALargeCap(TestAimdContract):
    cap = 1000
    config = AimdConfig(startup_ramp_seconds=333.0)


class TestForAWholeProvider(TestAimdContract):
    scope = RequestLimiterContract.resource.provider
    cap = None
    config = AimdConfig(scope="provider", effective_max=12)


class TestWithoutAnyBound(TestAimdContract):
    cap = None


class TestAimdInScenarios(RequestLimiterScenarios):
    plugin = "aimd"
