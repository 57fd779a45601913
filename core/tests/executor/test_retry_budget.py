"""Retries are a share of all calls, where that is asked for."""

from __future__ import annotations

from random import Random

import pytest
import trio
from trio.testing import MockClock

import penstock
from penstock import Attempt, ConfigError, RequestReleaseOutcome, ResponseFacts
from penstock.executor.retries import Retries, RetryRules
from penstock.executor.retry_budget import RetryBudget

PROVIDER = {"acme": {"models": {"small": {"max_parallel_requests": 4}}}}
FAILED = RequestReleaseOutcome(kind="provider_failure", status=500)
CRASHED = RequestReleaseOutcome(kind="unexpected_exception")


class ServerError(Exception):
    """What the client raises for a 500."""


def test_a_few_retries_are_there_from_the_start_and_each_call_adds_its_share() -> None:
    budget = RetryBudget(0.25)
    assert [budget.take() for _ in range(11)] == [True] * 10 + [False]
    for _ in range(8):
        budget.called()
    assert [budget.take() for _ in range(3)] == [True, True, False]
    assert budget.refused == 2


def test_an_hour_of_health_does_not_pay_for_a_storm() -> None:
    budget = RetryBudget(0.1)
    for _ in range(100_000):
        budget.called()
    assert sum(budget.take() for _ in range(1_000)) == 110


def test_a_rate_limit_takes_nothing_out_of_the_budget() -> None:
    budget = RetryBudget(0.0)
    plan = Retries(RetryRules(), Random(1), budget=budget)
    limited = RequestReleaseOutcome(kind="rate_limited")
    assert all(plan.pause_after(limited, 0.0, held_back=True) == 0.0 for _ in range(50))
    assert plan.pause_after(FAILED, 0.0, held_back=False) is not None


def test_only_what_is_listed_is_tried_again() -> None:
    plan = Retries(RetryRules(kinds=frozenset({"rate_limited", "unexpected_exception"})), Random(1))
    assert plan.pause_after(FAILED, 0.0, held_back=False) is None
    assert plan.pause_after(CRASHED, 0.0, held_back=False) is not None
    assert Retries(RetryRules(), Random(1)).pause_after(CRASHED, 0.0, held_back=False) is None


async def test_a_provider_that_fails_everything_is_asked_little_more_often_than_there_are_calls(
    autojump_clock: MockClock,
) -> None:
    config = {"providers": PROVIDER, "requests": {"retry_budget": 0.125, "retry_backoff": 0.1}}
    asked = 0

    async def call(attempt: Attempt) -> None:
        nonlocal asked
        asked += 1
        attempt.answered(ResponseFacts(status=500))
        raise ServerError

    async with penstock.open_scheduler(config) as scheduler:
        for _ in range(200):
            with pytest.raises(ServerError):
                await scheduler.requests.execute(call, "acme/small")
    assert asked == 200 + 10 + 25


async def test_every_attempt_is_given_the_same_idempotency_key(autojump_clock: MockClock) -> None:
    keys = []

    async def call(attempt: Attempt) -> str:
        keys.append(attempt.idempotency_key)
        if len(keys) < 3:
            attempt.answered(ResponseFacts(status=503))
            raise ServerError
        return "done"

    async with penstock.open_scheduler({"providers": PROVIDER}):
        assert await penstock.execute(call, "acme/small", idempotency_key="row-7") == "done"
        await trio.sleep(0)
    assert keys == ["row-7"] * 3


@pytest.mark.parametrize(
    ("key", "value", "says"),
    [
        ("retry_budget", 1.5, "share from 0 to 1"),
        ("retry_budget", True, "retry_budget"),
        ("retry_on", ["success"], "retry_on"),
        ("retry_on", "rate_limited", "retry_on"),
    ],
)
def test_a_wrong_retry_setting_is_an_error_that_names_it(key: str, value: object, says: str) -> None:
    with pytest.raises(ConfigError, match=says):
        penstock.load_config({"requests": {key: value}})


def test_another_share_keeps_what_is_left_up_to_what_may_be_saved() -> None:
    budget = RetryBudget(0.9)
    for _ in range(10_000):
        budget.called()
    budget.set_share(0.1)
    assert sum(budget.take() for _ in range(1_000)) == 110
    budget.set_share(0.9)
    assert not budget.take()
