"""What opens a breaker, what does not, how long it stays open, and how it closes."""

from __future__ import annotations

from random import Random
from typing import Any

import pytest

from penstock import NEVER, At, Released, RequestReleaseOutcome, RequestResourceKey
from penstock.testing import LimiterDriver
from penstock_breaker import BreakerConfig, BreakerLimiter

RESOURCE = RequestResourceKey("provider", "model", "chat")
BROKEN = RequestReleaseOutcome(kind="provider_failure", status=500)
REFUSED = RequestReleaseOutcome(kind="provider_failure", detail="ConnectionRefusedError")
BAD_REQUEST = RequestReleaseOutcome(kind="provider_failure", status=400)


def breaker(seed: int = 0, **settings: Any) -> LimiterDriver:
    config = BreakerConfig(**{"jitter": 0.0, **settings})
    return LimiterDriver(BreakerLimiter(RESOURCE, config, Random(seed)), RESOURCE)


def calls(driver: LimiterDriver, outcome: RequestReleaseOutcome | str, number: int) -> None:
    """So many calls, one after the other, that end in `outcome`."""
    for _ in range(number):
        assert driver.admit() is not None
        driver.end(outcome)


def phase(driver: LimiterDriver) -> str:
    return str(driver.snapshot.details["phase"])


def opened(**settings: Any) -> LimiterDriver:
    driver = breaker(**settings)
    calls(driver, BROKEN, 10)
    assert phase(driver) == "open"
    return driver


def half_open(**settings: Any) -> LimiterDriver:
    driver = opened(**settings)
    driver.rest_until_next_change()
    return driver


def test_it_opens_when_the_share_of_failures_is_reached_and_not_before() -> None:
    driver = breaker(failure_rate=0.6, minimum_calls=20)
    calls(driver, "success", 8)
    calls(driver, BROKEN, 11)
    assert phase(driver) == "closed"
    calls(driver, BROKEN, 1)
    denied = driver.ask()
    assert denied is not None
    assert denied.detail == "open: 12 of 20 calls failed in 30 s, last: status 500"
    assert denied.until == {At(5.0)}


def test_while_it_is_open_nobody_calls() -> None:
    driver = opened(open_seconds=5.0)
    driver.now = 4.99
    assert driver.admit_all() == 0
    driver.now = 5.0
    assert driver.admit_all() == 1


def test_fewer_calls_than_the_minimum_open_nothing() -> None:
    driver = breaker(minimum_calls=10)
    calls(driver, BROKEN, 9)
    assert phase(driver) == "closed"


def test_failures_that_are_older_than_the_window_are_forgotten() -> None:
    driver = breaker(window_seconds=30.0)
    calls(driver, BROKEN, 9)
    driver.rest(31.0)
    calls(driver, BROKEN, 9)
    assert phase(driver) == "closed"
    driver.rest(20.0)
    calls(driver, BROKEN, 1)
    assert phase(driver) == "open"


@pytest.mark.parametrize(
    "outcome",
    [
        "local_cancelled",
        "local_timeout",
        "unexpected_exception",
        "rate_limited",
        BAD_REQUEST,
        RequestReleaseOutcome(kind="provider_failure", status=500, went_out=False),
    ],
)
def test_what_says_nothing_of_the_endpoint_never_opens_it(outcome: RequestReleaseOutcome | str) -> None:
    driver = breaker(minimum_calls=1)
    calls(driver, outcome, 50)
    assert phase(driver) == "closed"


def test_what_says_nothing_is_not_taken_for_success_either() -> None:
    driver = breaker(minimum_calls=10)
    calls(driver, "local_cancelled", 100)
    calls(driver, "rate_limited", 100)
    calls(driver, BROKEN, 10)
    assert phase(driver) == "open"


@pytest.mark.parametrize(
    ("outcome", "words"),
    [(BROKEN, "status 500"), (REFUSED, "ConnectionRefusedError"), ("provider_timeout", "provider timeout")],
)
def test_an_endpoint_that_is_not_well_is_told_by_its_last_failure(
    outcome: RequestReleaseOutcome | str, words: str
) -> None:
    driver = breaker()
    calls(driver, outcome, 10)
    denied = driver.ask()
    assert denied is not None
    assert denied.detail.endswith(f"last: {words}")


def test_rate_limits_count_if_that_is_configured() -> None:
    driver = breaker(count_rate_limits=True)
    calls(driver, "rate_limited", 10)
    assert phase(driver) == "open"


def test_an_answer_that_took_too_long_counts_as_failed_if_that_is_configured() -> None:
    driver = breaker(slow_seconds=2.0)
    calls(driver, RequestReleaseOutcome(kind="success", elapsed=2.0), 30)
    assert phase(driver) == "closed"
    calls(driver, RequestReleaseOutcome(kind="success", elapsed=3.5), 30)
    denied = driver.ask()
    assert denied is not None
    assert denied.detail.endswith("last: took 3.5 s")


def test_opening_and_closing_are_told() -> None:
    driver = half_open()
    calls(driver, "success", 1)
    assert [(change.kind, change.blocked_until) for change in driver.changes] == [
        ("request_limit_decreased", 5.0),
        ("request_fully_recovered", None),
    ]
    assert driver.changes[0].detail == "opened: 10 of 10 calls failed in 30 s, last: status 500"


def test_calls_that_were_out_when_it_opened_count_for_nothing() -> None:
    driver = breaker()
    driver.admit_all(30)
    for _ in range(10):
        driver.end(BROKEN)
    until = driver.snapshot.blocked_until
    driver.rest(1.0)
    for _ in range(10):
        driver.end(BROKEN)
    assert driver.snapshot.blocked_until == until
    driver.now = until or 0.0
    assert driver.admit() is not None
    for _ in range(5):
        driver.end("success")
    assert phase(driver) == "half_open", "only the probe says how the endpoint is now"
    for _ in range(5):
        driver.end(BROKEN)
    assert phase(driver) == "half_open"
    driver.end("success")
    assert phase(driver) == "ramp"


def test_calls_from_before_the_outage_count_for_nothing_after_it_either() -> None:
    driver = breaker(ramp_seconds=0.0)
    driver.admit_all(30)
    for _ in range(10):
        driver.end(BROKEN)
    driver.now = 5.0
    assert driver.admit() is not None
    driver.end("success", len(driver.out) - 1)
    assert phase(driver) == "closed"
    driver.end_all(BROKEN)
    assert phase(driver) == "closed"


@pytest.mark.parametrize("probes", [1, 3])
def test_when_the_time_is_over_the_probes_go_out_and_nobody_else(probes: int) -> None:
    driver = half_open(probes=probes)
    assert driver.admit_all() == probes
    denied = driver.ask()
    assert denied is not None
    assert denied.until == {Released(RESOURCE)}
    for _ in range(probes - 1):
        driver.end("success")
        assert phase(driver) == "half_open"
        assert driver.admit() is None
    driver.end("success")
    assert phase(driver) == "ramp"


@pytest.mark.parametrize("outcome", ["local_cancelled", "local_timeout", "rate_limited", "unexpected_exception"])
def test_a_probe_that_came_to_nothing_gives_its_place_back(outcome: str) -> None:
    driver = half_open()
    for _ in range(3):
        assert driver.admit_all() == 1
        driver.end(outcome)
    assert phase(driver) == "half_open"


def test_an_answered_probe_closes_it_also_if_the_call_itself_was_wrong() -> None:
    driver = half_open()
    calls(driver, BAD_REQUEST, 1)
    assert phase(driver) == "ramp"


def test_each_failed_probe_in_a_row_lengthens_the_time_up_to_the_most() -> None:
    driver = half_open(open_seconds=5.0, open_growth=2.0, open_max_seconds=30.0)
    waits = []
    for _ in range(4):
        calls(driver, BROKEN, 1)
        until = driver.snapshot.blocked_until
        assert until is not None
        waits.append(until - driver.now)
        driver.now = until
    assert waits == [10.0, 20.0, 30.0, 30.0]


def test_an_endpoint_that_breaks_again_within_a_window_is_left_alone_for_longer() -> None:
    driver = half_open(ramp_seconds=0.0, window_seconds=30.0)
    calls(driver, "success", 1)
    driver.rest(10.0)
    calls(driver, BROKEN, 10)
    assert driver.limiter.next_change(driver.now) == driver.now + 10.0


def test_an_endpoint_that_was_well_for_a_window_starts_anew() -> None:
    driver = half_open(ramp_seconds=0.0, window_seconds=30.0)
    calls(driver, "success", 1)
    driver.rest(30.0)
    calls(driver, BROKEN, 10)
    assert driver.limiter.next_change(driver.now) == driver.now + 5.0


def test_a_retry_after_lengthens_the_time_but_not_beyond_the_most() -> None:
    driver = breaker(open_max_seconds=30.0)
    calls(driver, BROKEN, 9)
    calls(driver, RequestReleaseOutcome(kind="provider_failure", status=500, retry_after_seconds=12.0), 1)
    assert driver.limiter.next_change(0.0) == 12.0
    driver.now = 12.0
    calls(driver, RequestReleaseOutcome(kind="provider_failure", status=500, retry_after_seconds=999.0), 1)
    assert driver.limiter.next_change(12.0) == 42.0


def test_the_time_is_jittered_by_the_seed_alone() -> None:
    times = {opened(seed=seed, jitter=0.2).limiter.next_change(0.0) for seed in (1, 1, 2, 3)}
    assert len(times) == 3
    assert all(time is not None and 4.0 <= time <= 5.0 for time in times)


def test_after_the_probe_the_places_double_from_step_to_step() -> None:
    driver = half_open(ramp_seconds=8.0)
    calls(driver, "success", 1)
    admitted = [driver.admit_all()]
    while driver.rest_until_next_change():
        admitted.append(driver.admit_all())
    assert admitted == [1, 2, 4, 8, 16, 32, 64, 128, 1000]
    assert phase(driver) == "closed"


def test_with_fail_fast_a_call_is_refused_for_good_with_what_failed() -> None:
    driver = opened(fail_fast=True)
    denied = driver.ask()
    assert denied is not None
    assert (denied.reason, denied.until) == ("hard_policy_denial", frozenset({NEVER}))
    assert denied.detail == "open: 10 of 10 calls failed in 30 s, last: status 500"
    driver.rest_until_next_change()
    assert driver.admit_all() == 1


def test_all_who_are_held_back_are_one_equivalence_class() -> None:
    driver = opened()
    is_open = driver.ask()
    driver.now = 5.0
    driver.admit()
    probing = driver.ask()
    assert is_open is not None
    assert probing is not None
    assert is_open.cohort == probing.cohort is not None
    assert is_open.scope == "shape", "else each waiter is refused and moved by itself"


def take_over(driver: LimiterDriver, **settings: Any) -> None:
    """The limiter gets another `Config`, as by a reconfiguration."""
    successor = BreakerLimiter(RESOURCE, BreakerConfig(**{"jitter": 0.0, **settings}), Random(1))
    assert isinstance(driver.limiter, BreakerLimiter)
    successor.adopt(driver.limiter)
    driver.limiter = successor


def test_with_another_config_an_open_breaker_stays_open_until_the_moment_that_it_named() -> None:
    driver = opened()
    named = driver.snapshot.blocked_until
    take_over(driver, open_seconds=600.0, open_max_seconds=600.0)
    assert driver.snapshot.blocked_until == named
    assert driver.snapshot.details["why"] == "10 of 10 calls failed in 30 s, last: status 500"


def test_with_another_config_failures_go_on_being_counted_in_a_window_of_the_same_length() -> None:
    driver = breaker()
    calls(driver, BROKEN, 9)
    take_over(driver, failure_rate=0.4)
    calls(driver, BROKEN, 1)
    assert phase(driver) == "open"


def test_failures_of_a_window_of_another_length_are_not_counted_any_more() -> None:
    driver = breaker()
    calls(driver, BROKEN, 9)
    take_over(driver, window_seconds=20.0)
    calls(driver, BROKEN, 1)
    assert phase(driver) == "closed"


@pytest.mark.parametrize("answered", [0, 1])
def test_where_fewer_probes_are_wanted_now_they_begin_anew(answered: int) -> None:
    driver = half_open(probes=2)
    assert driver.admit_all() == 2
    for _ in range(answered):
        driver.end("success")
    take_over(driver, probes=1)
    assert driver.admit_all() == 1
    driver.end(BROKEN)  # of a probe from before: it says nothing to the new ones
    assert phase(driver) == "half_open"
    driver.end_all("success")
    assert phase(driver) in ("ramp", "closed")


def test_a_probe_that_is_out_closes_the_breaker_that_took_over() -> None:
    driver = half_open()
    assert driver.admit() is not None
    take_over(driver, failure_rate=0.9)
    assert driver.admit() is None
    driver.end("success")
    assert phase(driver) in ("ramp", "closed")
