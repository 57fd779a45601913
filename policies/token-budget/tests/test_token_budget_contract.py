"""The contract of every request limiter, held by configured budgets and by those to be learnt."""

from __future__ import annotations

from penstock import RequestLimiter
from penstock.testing import RequestLimiterContract, RequestLimiterScenarios
from penstock_token_budget import TokenBudgetLimiter


class TestEvenBudgetsContract(RequestLimiterContract):
    limits: tuple[tuple[str, float, float], ...] = (("requests", 60.0, 600), ("tokens", 1.0, 1000))
    learn = False

    def make_limiter(self, cap: int | None, seed: int) -> RequestLimiter:
        return TokenBudgetLimiter(self.scope, self.limits, learn=self.learn)

    def make_successor(self, cap: int | None, seed: int) -> RequestLimiter:
        limits = [(dimension, seconds, 2 * amount) for dimension, seconds, amount in self.limits[:1]]
        return TokenBudgetLimiter(self.scope, limits, learn=self.learn, share=0.5)

    def test_a_lowered_cap_holds_at_once_and_a_raised_one_takes_nothing_away(self) -> None:
        """A budget has no use for the cap: neither changes an answer."""
        driver = self.driver()
        driver.admit_all()
        answer = driver.ask()
        for cap in (2, 50):
            driver.limiter.set_cap(cap, driver.now)
            assert driver.ask() == answer


class TestABudgetForTheDay(TestEvenBudgetsContract):
    limits = (("requests", 86400.0, 500),)


class TestForAWholeProviderThatTellsItsLimits(TestEvenBudgetsContract):
    scope = RequestLimiterContract.resource.provider
    limits = ()
    learn = True


class TestTokenBudgetInScenarios(RequestLimiterScenarios):
    plugin = "token-budget"
