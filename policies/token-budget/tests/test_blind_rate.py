"""A rate that is learnt from refusals alone, against a bucket and against slots, call by call, in virtual time."""

from __future__ import annotations

import heapq
from collections.abc import Callable

import attrs

from penstock import RequestReleaseOutcome, RequestResourceKey, Settings
from penstock.testing import LimiterDriver
from penstock_token_budget import TokenBudgetConfig, TokenBudgetPlugin

MODEL = RequestResourceKey("acme", "small", "chat").provider_model
REFUSED = RequestReleaseOutcome(kind="rate_limited", status=429)
PAUSE = 0.5


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
    timed = attrs.evolve(REFUSED, retry_after_seconds=PAUSE)
    for refusal, learnt in ((attrs.evolve(timed, limited_by="requests"), 1), (timed, 0)):
        driver = limiter_and_calls()
        carry(driver, Bucket(20.0, 10.0).takes, 10.0, refusal=refusal)
        assert len(driver.snapshot.details["budgets"]) == learnt


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
