"""A rate that is learnt from refusals alone, against a bucket and against slots, call by call, in virtual time."""

from __future__ import annotations

import heapq
from collections.abc import Callable
from typing import Any

import pytest
from msgspec.structs import replace

from penstock import RequestReleaseOutcome, RequestResourceKey, Settings
from penstock.testing import LimiterDriver
from penstock_token_budget import TokenBudgetConfig, TokenBudgetPlugin
from penstock_token_budget.testing import Calls

MODEL = RequestResourceKey("acme", "small", "chat").provider_model
PAUSE = 0.5
REFUSED = RequestReleaseOutcome(kind="rate_limited", status=429)
BY_TOKENS = replace(REFUSED, limited_by="tokens", retry_after_seconds=PAUSE)


class Bucket:
    def __init__(self, rate: float, burst: float) -> None:
        self.rate, self.burst, self.level, self.at = rate, burst, burst, 0.0

    def takes(self, now: float, running: int) -> bool:
        self.level = min(self.burst, self.level + (now - self.at) * self.rate)
        self.at = now
        if self.level < 1:
            return False
        self.level -= 1
        return True


def slots(count: int) -> Callable[[float, int], bool]:
    return lambda now, running: running < count


def limiter_and_calls() -> LimiterDriver:
    plugin = TokenBudgetPlugin(TokenBudgetConfig())
    limiter = plugin.penstock_request_limiter(MODEL, Settings(plugin="token-budget"))
    assert limiter is not None
    return LimiterDriver(limiter, RequestResourceKey("acme", "small", "chat"))


def carry(
    driver: LimiterDriver,
    takes: Callable[[float, int], bool],
    seconds: float,
    most: int = 12,
    refusal: RequestReleaseOutcome = REFUSED,
) -> int:
    """Calls of 0.2 s, at most `most` at a time, with a pause of everybody after each refusal; how many are refused."""
    ends: list[tuple[float, int, bool]] = []
    refused, running, number, paused_until, stop = 0, 0, 0, driver.now, driver.now + seconds
    order: list[int] = []
    while driver.now < stop:
        while driver.now >= paused_until and len(driver.out) < most and driver.admit() is not None:
            number += 1
            order.append(number)
            fits = takes(driver.now, running)
            running += fits
            heapq.heappush(ends, (driver.now + (0.2 if fits else 0.02), number, fits))
        opens = driver.limiter.next_change(driver.now)
        moments = [ends[0][0]] if ends else []
        moments += [moment for moment in (opens, paused_until) if moment is not None and moment > driver.now]
        driver.now = min(moments)
        while ends and ends[0][0] <= driver.now:
            _, ended, fits = heapq.heappop(ends)
            place = order.index(ended)
            order.pop(place)
            running -= fits
            driver.end("success" if fits else refusal, place)
            if not fits:
                refused += 1
                paused_until = driver.now + PAUSE
    return refused


def test_after_three_reopenings_that_soon_failed_calls_are_paced_at_what_was_let_in_between() -> None:
    driver = limiter_and_calls()
    carry(driver, Bucket(20.0, 10.0).takes, 10.0)
    (budget,) = driver.snapshot.details["budgets"]
    rate = float(budget["limit"].split()[0]) / 60
    assert 18.0 < rate < 22.0, "exact but for a call or two"


def test_a_refusal_by_requests_in_the_providers_own_words_counts_though_it_names_a_time() -> None:
    timed = replace(REFUSED, retry_after_seconds=PAUSE)
    for refusal, learnt in ((replace(timed, limited_by="requests"), 1), (timed, 0)):
        driver = limiter_and_calls()
        carry(driver, Bucket(20.0, 10.0).takes, 10.0, refusal=refusal)
        assert len(driver.snapshot.details["budgets"]) == learnt


class TokenBucket:
    """The same of tokens: calls of 50 to 150 of them by turns."""

    def __init__(self, rate: float, burst: float) -> None:
        self.rate, self.burst, self.level, self.at = rate, burst, burst, 0.0

    def takes(self, now: float, tokens: int) -> bool:
        self.level = min(self.burst, self.level + (now - self.at) * self.rate)
        self.at = now
        if self.level < tokens:
            return False
        self.level -= tokens
        return True


def carry_tokens(calls: Calls, bucket: TokenBucket, seconds: float, *, estimate: int) -> int:
    """Calls of 0.2 s, at most 12 at a time, each with so many tokens more than the one before (modulo); the true ones
    are told when it ends. With a pause of everybody after each refusal; how many are refused.
    """
    ends: list[tuple[float, int, bool, int, Any]] = []
    refused, number, paused_until, stop = 0, 0, calls.now, calls.now + seconds
    while calls.now < stop:
        while calls.now >= paused_until and len(ends) < 12 and calls.ask(estimate) is None:
            number += 1
            tokens = 50 + number * 37 % 101
            fits = bucket.takes(calls.now, tokens)
            ends.append((calls.now + (0.2 if fits else 0.02), number, fits, tokens, calls.send(estimate)))
        opens = calls.limiter.next_change(calls.now)
        moments = [min(ends)[0]] if ends else []
        moments += [moment for moment in (opens, paused_until) if moment is not None and moment > calls.now]
        calls.now = min(moments)
        for end in sorted(end for end in ends if end[0] <= calls.now):
            ends.remove(end)
            _, _, fits, tokens, call = end
            if fits:
                calls.end(call, used=(tokens, 0))
            else:
                refused, paused_until = refused + 1, calls.now + PAUSE
                lease, token = call
                calls.limiter.release(lease, token, BY_TOKENS, calls.now)
    return refused


@pytest.mark.parametrize("estimate", [50, 100, 200])
def test_a_rate_of_tokens_is_learnt_in_true_tokens_though_estimates_are_half_or_double(estimate: int) -> None:
    calls, bucket = Calls(learn=True), TokenBucket(2000.0, 1000.0)
    carry_tokens(calls, bucket, 20.0, estimate=estimate)
    (limit,) = calls.budgets()
    assert limit.endswith("tokens per minute, learnt from refusals")
    assert 1400 < float(limit.split()[0]) / 60 < 2200


def test_where_nobody_estimates_tokens_no_rate_of_them_is_learnt() -> None:
    calls = Calls(learn=True)
    carry_tokens(calls, TokenBucket(2000.0, 1000.0), 20.0, estimate=0)
    assert calls.budgets() == {}


def test_once_the_rate_of_tokens_is_known_few_are_refused() -> None:
    calls, bucket = Calls(learn=True), TokenBucket(2000.0, 1000.0)
    before = carry_tokens(calls, bucket, 10.0, estimate=100)
    assert carry_tokens(calls, bucket, 60.0, estimate=100) < before + 0.03 * 60 * 20


def test_a_refusal_by_places_is_no_sign_of_a_rate() -> None:
    driver = limiter_and_calls()
    carry(driver, Bucket(20.0, 10.0).takes, 10.0, refusal=replace(REFUSED, limited_by="places"))
    assert driver.snapshot.details["budgets"] == []


def test_refusals_become_rare_once_the_rate_is_known() -> None:
    driver, bucket = limiter_and_calls(), Bucket(20.0, 10.0)
    carry(driver, bucket.takes, 10.0)
    assert carry(driver, bucket.takes, 60.0) < 0.02 * 60 * 20


def test_a_rate_that_has_risen_is_found_within_a_minute() -> None:
    driver, bucket = limiter_and_calls(), Bucket(20.0, 10.0)
    carry(driver, bucket.takes, 20.0)
    bucket.rate = 40.0
    carry(driver, bucket.takes, 60.0)
    (budget,) = driver.snapshot.details["budgets"]
    assert float(budget["limit"].split()[0]) / 60 > 36


def test_slots_that_are_met_now_and_then_are_no_rate() -> None:
    driver = limiter_and_calls()
    for _ in range(10):
        carry(driver, slots(8), 5.0, most=8)
        carry(driver, slots(8), 0.03, most=9)
    assert driver.snapshot.details["budgets"] == []


def test_an_outage_is_no_evidence_of_a_rate() -> None:
    driver = limiter_and_calls()
    over = driver.now + 10.0
    carry(driver, lambda now, running: now > over and running < (12 if now < over + 0.7 else 8), 11.0)
    assert driver.snapshot.details["budgets"] == []


def test_single_calls_that_are_refused_for_minutes_are_no_rate() -> None:
    driver = limiter_and_calls()
    for _ in range(120):
        carry(driver, lambda now, running: False, 1.0, most=1)
        assert driver.snapshot.details["budgets"] == []


def test_a_refusal_is_explained_by_requests_once_the_rate_is_known_and_not_before() -> None:
    driver = limiter_and_calls()
    assert driver.admit() is not None
    lease, token = driver.out[-1]
    explain = driver.limiter.explain_refusal  # type: ignore[attr-defined]
    assert explain(lease, token, REFUSED, driver.now) is None
    driver.end("success")
    carry(driver, Bucket(20.0, 10.0).takes, 10.0)
    driver.end_all("success")
    driver.rest(5.0)
    assert driver.admit() is not None
    lease, token = driver.out[-1]
    assert explain(lease, token, REFUSED, driver.now) == "requests"
