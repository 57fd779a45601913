"""How long the window is of a limit that is reported without it."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from typing import Protocol

import pytest

from penstock_token_budget.resets import Resets
from penstock_token_budget.testing import Calls


class Provider(Protocol):
    """A limit of requests. A call comes in, or is refused; what remains then, and the time until the reset."""

    limit: int

    def call(self, now: float) -> tuple[bool, int, float]: ...


class Bucket:
    """Refilled continuously; holds `kept`."""

    def __init__(self, limit: int, seconds: float, kept: int | None = None) -> None:
        self.limit, self.rate = limit, limit / seconds
        self.kept = self.level = float(kept or limit)
        self.at = 0.0

    def call(self, now: float, amount: int = 1) -> tuple[bool, int, float]:
        self.level = min(self.kept, self.level + (now - self.at) * self.rate)
        self.at = now
        fits = self.level >= amount
        self.level -= amount * fits
        return fits, int(self.level), (self.kept - self.level) / self.rate


class Fixed:
    """Windows one after the other; the first has begun `begun` seconds ago."""

    def __init__(self, limit: int, seconds: float, begun: float = 0.0) -> None:
        self.limit, self.seconds, self.begun = limit, seconds, begun
        self.used = (0, 0)

    def call(self, now: float) -> tuple[bool, int, float]:
        number, into = divmod(now + self.begun, self.seconds)
        used = self.used[1] if self.used[0] == number else 0
        fits = used < self.limit
        self.used = (int(number), used + fits)
        return fits, self.limit - used - fits, self.seconds - into


class Sliding:
    """The window before each call; the reset is when the oldest call leaves it."""

    def __init__(self, limit: int, seconds: float) -> None:
        self.limit, self.seconds = limit, seconds
        self.calls: deque[float] = deque()

    def call(self, now: float) -> tuple[bool, int, float]:
        while self.calls and self.calls[0] <= now - self.seconds:
            self.calls.popleft()
        fits = len(self.calls) < self.limit
        if fits:
            self.calls.append(now)
        return fits, self.limit - len(self.calls), self.calls[0] + self.seconds - now


def headers_of(limit: int, remaining: int, reset: float) -> dict[str, str]:
    """As OpenAI tells them; the reset in whole milliseconds, rounded down."""
    return {
        "x-ratelimit-limit-requests": str(limit),
        "x-ratelimit-remaining-requests": str(remaining),
        "x-ratelimit-reset-requests": f"{int(reset * 1000)}ms",
    }


def calls_one_by_one(driver: Calls, provider: Provider, calls: int, *, every: float = 0.0, latency: float = 0.0) -> int:
    """So many calls, each as soon as it may go, or `every` so many seconds if that is later; how many were refused."""
    refused = 0
    for _ in range(calls):
        driver.wait()
        call = driver.send()
        fits, remaining, reset = provider.call(driver.now)
        refused += not fits
        driver.now += max(latency, every)
        driver.end(call, "success" if fits else "rate_limited", headers=headers_of(provider.limit, remaining, reset))
    return refused


def calls_at_once(driver: Calls, provider: Provider, calls: int) -> None:
    """So many calls at one moment, answered in turn."""
    out = [(driver.send(), provider.call(driver.now)) for _ in range(calls)]
    for call, (fits, remaining, reset) in out:
        driver.now += 0.001
        driver.end(call, "success" if fits else "rate_limited", headers=headers_of(provider.limit, remaining, reset))


MINUTES: dict[str, Callable[[], Provider]] = {
    "bucket of 20": lambda: Bucket(20, 60.0),
    "bucket of 600": lambda: Bucket(600, 60.0),
    "bucket of 600 that keeps 590": lambda: Bucket(600, 60.0, 590),
    "bucket of 600 that keeps 20": lambda: Bucket(600, 60.0, 20),
    "bucket of 600 that keeps 3": lambda: Bucket(600, 60.0, 3),
    "bucket of 100000": lambda: Bucket(100_000, 60.0),
    "bucket of 35000": lambda: Bucket(35_000, 60.0),
    "fixed window of 20": lambda: Fixed(20, 60.0),
    "fixed window of 20 that soon ends": lambda: Fixed(20, 60.0, 58.5),
    "fixed window of 600 that soon ends": lambda: Fixed(600, 60.0, 58.5),
    "sliding window of 20": lambda: Sliding(20, 60.0),
    "sliding window of 600": lambda: Sliding(600, 60.0),
}


@pytest.mark.parametrize("provider", MINUTES)
@pytest.mark.parametrize("at_once", [0, 5, 32])
@pytest.mark.parametrize("every", [0.0, 0.7, 7.0])
def test_a_minute_stays_a_minute(provider: str, at_once: int, every: float) -> None:
    driver, there = Calls(learn=True), MINUTES[provider]()
    calls_at_once(driver, there, at_once)

    calls_one_by_one(driver, there, 150, every=every)

    assert list(driver.budgets()) == [f"{there.limit} requests per minute"]
    assert len(driver.changes) == 1, "nothing else was ever believed"


def test_what_went_out_after_a_call_does_not_count_for_it() -> None:
    driver, there = Calls(learn=True), Fixed(20, 60.0, 58.7)
    calls_at_once(driver, there, 1)
    calls_at_once(driver, there, 19)
    assert list(driver.budgets()) == ["20 requests per minute"]


def test_one_longer_reset_begins_it_all_anew() -> None:
    resets = Resets(exact=True)
    reported = [
        resets.shorter(20.0, 60.0, 19.0, 40.0 if at in (4, 7) else 0.05, sent_at=float(at), sent=10.0 * at)
        for at in range(1, 12)
    ]
    assert reported == [None] * 10 + [1.0]


SHORT: dict[str, tuple[Callable[[], Provider], str]] = {
    "bucket of 20 a second": (lambda: Bucket(20, 1.0), "20 requests per second"),
    "bucket of 500 a second": (lambda: Bucket(500, 1.0), "500 requests per second"),
    "fixed window of 20 a second": (lambda: Fixed(20, 1.0), "20 requests per second"),
    "sliding window of 20 a second": (lambda: Sliding(20, 1.0), "20 requests per second"),
    "bucket of 50 in ten seconds": (lambda: Bucket(50, 10.0), "50 requests per 10 s"),
    "fixed window of 50 in ten seconds": (lambda: Fixed(50, 10.0), "50 requests per 10 s"),
}


@pytest.mark.parametrize("provider", SHORT)
@pytest.mark.parametrize("at_once", [0, 16])
def test_resets_that_are_too_short_for_a_minute_tell_of_a_shorter_window(provider: str, at_once: int) -> None:
    make, window = SHORT[provider]
    driver, there = Calls(learn=True), make()
    calls_at_once(driver, there, at_once)

    refused = calls_one_by_one(driver, there, 300, latency=0.02)

    assert list(driver.budgets()) == [window]
    assert refused <= 3


def test_a_hundred_calls_at_twenty_a_second_take_no_minute() -> None:
    driver, there = Calls(learn=True), Bucket(20, 1.0)

    assert calls_one_by_one(driver, there, 100, latency=0.02) == 0

    assert driver.now < 30.0
    assert [change.detail for change in driver.changes] == [
        "learnt: 20 requests per minute",
        "learnt: 20 requests per second, was 20 requests per minute",
    ]


def test_a_window_that_was_too_short_is_given_up_for_good_by_a_longer_reset() -> None:
    driver = Calls(learn=True)
    calls_one_by_one(driver, Bucket(20, 1.0), 10)
    assert list(driver.budgets()) == ["20 requests per second"]

    calls_one_by_one(driver, Bucket(20, 10.0), 40)
    assert list(driver.budgets()) == ["20 requests per 10 s"]

    calls_one_by_one(driver, Bucket(20, 1.0), 100)
    assert list(driver.budgets()) == ["20 requests per 10 s"]


def test_a_short_window_of_tokens_is_recognised_too() -> None:
    driver, there = Calls(learn=True), Bucket(5000, 1.0)
    for number in range(60):
        tokens = 100 + 300 * (number % 3)
        driver.wait(tokens)
        call = driver.send(tokens)
        _, remaining, reset = there.call(driver.now, tokens)
        names = {name.replace("requests", "tokens"): text for name, text in headers_of(5000, remaining, reset).items()}
        driver.now += 0.02
        driver.end(call, used=(tokens, 0), headers=names)
    assert list(driver.budgets()) == ["5000 tokens per second"]


@pytest.mark.parametrize(("seconds", "words"), [(1.0, "second"), (60.0, "minute"), (86400.0, "day")])
def test_the_window_that_the_configuration_names_for_the_same_limit_counts(seconds: float, words: str) -> None:
    driver = Calls(("requests", seconds, 20.0), learn=True)

    calls_one_by_one(driver, Bucket(20, 1.0), 20)

    learnt = [budget for budget in driver.limiter.snapshot(driver.now).details["budgets"] if "learnt" in budget]
    assert [budget["limit"] for budget in learnt] == [f"20 requests per {words}"]
    assert [change.detail for change in driver.changes] == [f"learnt: 20 requests per {words}"]


def test_the_window_of_another_limit_says_nothing() -> None:
    driver = Calls(("requests", 86400.0, 10_000.0), learn=True)

    calls_one_by_one(driver, Bucket(600, 60.0), 20)

    assert list(driver.budgets()) == ["10000 requests per day", "600 requests per minute"]
