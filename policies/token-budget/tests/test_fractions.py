"""What is left to a fraction of a call, and the reserve that is small then."""

from __future__ import annotations

import random

import pytest

from penstock_token_budget.fractions import AGREEING, Fractions
from penstock_token_budget.testing import Calls


class Bucket:
    """600 a minute, of which it keeps 20; calls come to it late by up to `jitter` seconds."""

    def __init__(self, jitter: float = 0.0, *, digits: int = 3) -> None:
        self.level, self.at = 20.0, 0.0
        self._jitter, self._digits = jitter, digits
        self._rng = random.Random(7)

    def call(self, now: float) -> tuple[str, dict[str, str]]:
        self.at, before = max(self.at, now + self._rng.uniform(0, self._jitter)), self.at
        self.level = min(20.0, self.level + 10 * (self.at - before))
        fits = self.level >= 1
        self.level -= fits
        reset = round((20 - self.level) / 10, self._digits)
        return "success" if fits else "rate_limited", {
            "x-ratelimit-limit-requests": "600",
            "x-ratelimit-remaining-requests": str(int(self.level)),
            "x-ratelimit-reset-requests": f"{reset:.{self._digits}f}s",
        }


def run(driver: Calls, there: Bucket, calls: int) -> int:
    """So many calls, each answered after 0.05 s; how many were refused."""
    refused = 0
    for _ in range(calls):
        driver.wait()
        call, sent_at = driver.send(), driver.now
        kind, headers = there.call(sent_at)
        driver.now = sent_at + 0.05
        driver.end(call, kind, headers=headers)
        refused += kind == "rate_limited"
    return refused


def test_a_bucket_that_tells_its_fraction_is_spent_down_to_half_a_call() -> None:
    driver, there = Calls(learn=True), Bucket()
    there.level = 5.0
    refused = run(driver, there, 400)
    assert there.level < 1.5, "fifteen hundredths of what it keeps would be three calls"
    assert refused == 0


def test_whole_seconds_tell_no_fraction_so_the_reserve_stays() -> None:
    driver, there = Calls(learn=True), Bucket(digits=0)
    run(driver, there, 400)
    assert there.level > 1.5


def test_calls_that_come_late_by_chance_are_what_the_reserve_is_for() -> None:
    driver, there = Calls(learn=True), Bucket(jitter=0.09)
    assert run(driver, there, 600) <= 2


def test_who_shares_a_bucket_keeps_to_his_share_of_it() -> None:
    driver, there = Calls(learn=True, share=0.5), Bucket()
    run(driver, there, 300)
    begin = driver.now
    run(driver, there, 100)
    assert driver.now - begin == pytest.approx(100 / 5, rel=0.02)


def test_what_was_not_used_for_a_time_is_no_reserve_so_calls_go_at_the_pace_of_the_limit() -> None:
    driver, there = Calls(learn=True), Bucket()
    run(driver, there, 300)
    driver.now += 60.0
    run(driver, there, 20)  # what was saved up
    begin = driver.now
    run(driver, there, 100)
    assert there.level > 6.0
    assert driver.now - begin == pytest.approx(100 / 10, rel=0.01)


def agreed(bucket: Fractions, answers: int = AGREEING) -> float | None:
    """The last of so many answers of a bucket of 20 with 2.6 calls left."""
    return [bucket.left(2.0, 1.74) for _ in range(answers)][-1]


def test_a_fraction_is_known_after_enough_answers_of_one_bucket() -> None:
    bucket = Fractions(10.0)
    bucket.left(3.0, 1.7)
    assert agreed(bucket, AGREEING - 2) is None
    assert bucket.left(2.0, 1.74) == pytest.approx(2.6)


def test_what_once_moved_by_more_than_a_call_is_no_bucket() -> None:
    bucket = Fractions(10.0)
    bucket.left(5.0, 1.74)
    assert agreed(bucket, 10 * AGREEING) is None


def test_a_refusal_asks_for_more_answers_than_before() -> None:
    bucket = Fractions(10.0)
    agreed(bucket)
    bucket.refused(known=True)
    assert agreed(bucket) is None
    assert agreed(bucket) is not None


def test_the_largest_surprise_is_remembered_and_fades() -> None:
    bucket = Fractions(10.0)
    bucket.differs(-0.5)
    bucket.differs(0.1)
    assert 0.4 < bucket.surprise < 0.5
