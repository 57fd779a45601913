"""What a cooldown does, sentence by sentence. Virtual time is passed in."""

from __future__ import annotations

from random import Random
from typing import Any

import pytest

from penstock import At, Released, RequestReleaseOutcome, RequestResourceKey
from penstock.testing import LimiterDriver
from penstock_cooldown import CooldownConfig, CooldownLimiter

RESOURCE = RequestResourceKey("provider", "model", "chat")
BAD_REQUEST = RequestReleaseOutcome(kind="provider_failure", status=400)
SERVER_ERROR = RequestReleaseOutcome(kind="provider_failure", status=503)


def cooldown(seed: int = 0, **config: Any) -> LimiterDriver:
    return LimiterDriver(CooldownLimiter(RESOURCE, CooldownConfig(**config), Random(seed)), RESOURCE)


def limited(retry_after: float | None = None) -> RequestReleaseOutcome:
    return RequestReleaseOutcome(kind="rate_limited", retry_after_seconds=retry_after, status=429)


def refuse(driver: LimiterDriver, retry_after: float | None = None, after: float = 0.05) -> None:
    """One call goes out and is refused `after` seconds later."""
    assert driver.admit() is not None
    driver.now += after
    driver.end(limited(retry_after), -1)


def half_open(driver: LimiterDriver, after: float = 0.05) -> LimiterDriver:
    """A call was refused `after` seconds, its cooldown of a second is over, and the probe is out."""
    refuse(driver, 1.0, after)
    driver.rest(1.0)
    driver.admit()
    return driver


def blocked_until(driver: LimiterDriver) -> float | None:
    return driver.snapshot.blocked_until


def phase(driver: LimiterDriver) -> object:
    return driver.snapshot.details["phase"]


def test_without_a_rate_limit_nothing_is_held_back() -> None:
    driver = cooldown()
    assert driver.admit_all(500) == 500
    assert driver.limiter.next_change(driver.now) is None


@pytest.mark.parametrize(
    "outcome",
    ["success", "provider_failure", "provider_timeout", "local_cancelled", "local_timeout", "unexpected_exception"],
)
def test_only_a_rate_limit_begins_a_cooldown(outcome: str) -> None:
    driver = cooldown()
    driver.admit()
    driver.end(outcome)
    assert phase(driver) == "open"


def test_nobody_calls_for_as_long_as_the_provider_asked() -> None:
    driver = cooldown()
    refuse(driver, 7.0)
    assert blocked_until(driver) == pytest.approx(7.05)
    denied = driver.ask()
    assert denied is not None
    assert denied.reason == "cooldown"
    assert denied.until == {At(driver.now + 7.0)}
    assert driver.limiter.next_change(driver.now) == driver.now + 7.0


def test_without_retry_after_the_default_holds() -> None:
    driver = cooldown(default_seconds=3.0)
    refuse(driver)
    assert blocked_until(driver) == driver.now + 3.0


def test_a_shorter_retry_after_never_shortens_a_cooldown() -> None:
    driver = cooldown()
    driver.admit_all(3)
    driver.end(limited(10.0))
    driver.now = 4.0
    driver.end(limited(1.0))
    assert blocked_until(driver) == 10.0
    driver.end(limited(9.0))
    assert blocked_until(driver) == 13.0


def test_no_cooldown_is_longer_than_the_maximum() -> None:
    driver = cooldown(maximum_seconds=60.0)
    refuse(driver, 86_400.0, after=0.0)
    assert blocked_until(driver) == 60.0


def test_a_retry_after_of_zero_asks_the_next_call_to_probe_at_once() -> None:
    driver = cooldown()
    refuse(driver, 0.0)
    assert driver.admit() is not None
    assert driver.ask() is not None


def test_every_rate_limit_is_told_with_the_moment_up_to_which_nobody_calls() -> None:
    driver = cooldown()
    driver.admit_all(2)
    driver.end(limited(10.0))
    driver.end(limited())
    assert [(change.kind, change.blocked_until) for change in driver.changes] == [("request_rate_limited", 10.0)] * 2
    assert [change.detail for change in driver.changes] == ["Retry-After 10 s", "no Retry-After"]


def test_when_the_cooldown_is_over_exactly_one_call_probes() -> None:
    driver = cooldown()
    refuse(driver, 1.0)
    driver.now += 1.0
    assert driver.admit_all() == 1
    denied = driver.ask()
    assert denied is not None
    assert Released(RESOURCE) in denied.until
    assert phase(driver) == "half_open"


def test_all_who_are_held_back_are_one_equivalence_class() -> None:
    driver = cooldown()
    refuse(driver, 1.0)
    blocked = driver.ask()
    driver.now += 1.0
    driver.admit()
    probing = driver.ask()
    assert blocked is not None
    assert probing is not None
    assert blocked.cohort == probing.cohort is not None
    assert blocked.scope == "shape", "else each waiter is refused and moved by itself"


def test_a_refused_probe_lengthens_the_cooldown() -> None:
    driver = cooldown(lengthening_factor=2.0, lengthened_seconds=100.0)
    refuse(driver, 1.0)
    for expected in (2.0, 4.0, 8.0):
        until = blocked_until(driver)
        assert until is not None
        driver.now = until
        refuse(driver, 1.0)
        assert blocked_until(driver) == driver.now + expected


def test_the_lengthening_stops_at_its_bound_but_never_below_what_the_provider_asks() -> None:
    driver = cooldown(lengthening_factor=10.0, lengthened_seconds=8.0)
    refuse(driver, 1.0)
    driver.now += 1.0
    refuse(driver, 1.0)
    assert blocked_until(driver) == driver.now + 8.0
    driver.now += 8.0
    refuse(driver, 20.0)
    assert blocked_until(driver) == driver.now + 20.0


def test_an_answered_probe_ends_the_lengthening() -> None:
    driver = cooldown(refusal_timeout_factor=0.0)
    refuse(driver, 1.0)
    driver.now += 1.0
    refuse(driver, 1.0)
    driver.now += 2.0
    driver.admit()
    driver.end("success")
    refuse(driver, 1.0)
    assert blocked_until(driver) == driver.now + 1.0


@pytest.mark.parametrize(
    "outcome", ["local_cancelled", "local_timeout", "provider_timeout", "unexpected_exception", SERVER_ERROR]
)
def test_a_probe_that_came_to_nothing_gives_its_place_to_the_next(outcome: str | RequestReleaseOutcome) -> None:
    driver = half_open(cooldown(refusal_timeout_factor=0.0))
    driver.now += 5.0
    driver.end(outcome)
    assert driver.admit_all() == 1
    assert phase(driver) == "half_open"


@pytest.mark.parametrize("outcome", [RequestReleaseOutcome(kind="success"), BAD_REQUEST])
def test_a_probe_that_was_taken_on_opens_the_ramp(outcome: RequestReleaseOutcome) -> None:
    driver = half_open(cooldown(refusal_timeout_factor=0.0))
    driver.now += 5.0
    driver.end(outcome)
    assert phase(driver) == "ramp"


def test_a_probe_counts_as_let_in_once_it_is_out_for_longer_than_refusals_take() -> None:
    driver = cooldown(refusal_timeout_factor=3.0)
    refuse(driver, 1.0, after=0.1)
    driver.now += 1.0
    driver.admit()
    denied = driver.ask()
    assert denied is not None
    assert denied.next_moment() == pytest.approx(driver.now + 0.3)
    driver.now = denied.next_moment() or 0.0
    assert phase(driver) == "ramp"
    assert driver.admit() is not None


def test_a_probe_that_is_refused_late_lengthens_all_the_same() -> None:
    driver = cooldown(refusal_timeout_factor=3.0)
    refuse(driver, 1.0, after=0.1)
    driver.now += 1.0
    driver.admit()
    driver.now += 0.4
    driver.end(limited(1.0))
    assert blocked_until(driver) == driver.now + 2.0


@pytest.mark.parametrize("factor", [0.0, 1e308])
def test_without_a_timeout_only_an_answer_lets_the_others_in(factor: float) -> None:
    driver = half_open(cooldown(refusal_timeout_factor=factor), after=10.0)
    driver.now += 1000.0
    denied = driver.ask()
    assert denied is not None
    assert denied.until == {Released(RESOURCE)}


def test_after_the_probe_the_places_double_from_step_to_step() -> None:
    driver = half_open(cooldown(ramp_seconds=8.0, refusal_timeout_factor=0.0))
    driver.end("success")
    admitted = [driver.admit_all()]
    for _ in range(4):
        assert driver.rest_until_next_change()
        admitted.append(driver.admit_all())
    assert admitted == [1, 2, 4, 8, 16]


def test_the_ramp_is_jittered_by_the_seed_alone() -> None:
    def steps(seed: int) -> list[float]:
        driver = half_open(cooldown(seed, refusal_timeout_factor=0.0))
        driver.end("success")
        moments = []
        for _ in range(8):
            assert driver.rest_until_next_change()
            moments.append(driver.now)
        assert not driver.rest_until_next_change()
        return moments

    assert steps(1) == steps(1)
    assert steps(1) != steps(2)


def test_when_the_ramp_is_over_everything_is_open() -> None:
    driver = half_open(cooldown(ramp_seconds=0.5))
    driver.now += 1.0
    assert driver.admit_all(500) == 500
    assert phase(driver) == "open"
    assert driver.limiter.next_change(driver.now) is None


def test_a_rate_limit_during_the_ramp_begins_a_new_cooldown() -> None:
    driver = half_open(cooldown(ramp_seconds=8.0, refusal_timeout_factor=0.0))
    driver.end("success")
    driver.admit()
    driver.end(limited(3.0))
    assert blocked_until(driver) == driver.now + 3.0
    driver.now += 3.0
    assert driver.admit_all() == 1


def test_a_success_of_an_older_call_does_not_end_a_cooldown() -> None:
    driver = cooldown()
    driver.admit_all(5)
    driver.end(limited(2.0))
    driver.end("success")
    assert blocked_until(driver) == 2.0
    driver.now = 2.0
    driver.admit()
    driver.end("success", 0)  # an older one again: the probe is still out
    assert phase(driver) == "half_open"


def test_a_late_refusal_of_an_older_call_takes_the_probe_with_it() -> None:
    driver = cooldown(refusal_timeout_factor=0.0)
    driver.admit_all(2)
    driver.end(limited(1.0))
    driver.now = 1.0
    driver.admit()
    driver.end(limited(5.0), 0)
    driver.end("success")
    assert blocked_until(driver) == 6.0


def test_in_an_outage_every_cooldown_costs_one_probe() -> None:
    driver = cooldown(lengthening_factor=1.0)
    driver.admit_all(20)
    driver.now = 0.05
    driver.end_all(limited(2.0))
    probes = 0
    while driver.now < 600.0:
        assert driver.rest_until_next_change()
        assert driver.admit_all() == 1
        probes += 1
        driver.now += 0.05
        driver.end(limited(2.0))
    assert probes == pytest.approx(600 / 2.05, abs=2)


def test_a_wait_of_nothing_has_a_floor_once_a_probe_that_kept_to_it_was_refused() -> None:
    driver = cooldown()
    waits = []
    for _ in range(6):
        refuse(driver, 0.0)
        until = blocked_until(driver)
        waits.append(0.0 if until is None else until - driver.now)
        driver.rest(waits[-1])
    assert waits == pytest.approx([0.0, 0.2, 0.4, 0.8, 1.6, 3.2])


@pytest.mark.parametrize("retry_after", [None, 0.0, 0.01])
def test_no_number_of_refused_probes_is_too_many_to_reckon_with(retry_after: float | None) -> None:
    driver = cooldown()
    for _ in range(1100):
        refuse(driver, retry_after)
        until = blocked_until(driver)
        driver.rest(0.0 if until is None else until - driver.now)
    assert until is not None
    assert until - driver.now <= 8.0
    assert driver.ask() is None


@pytest.mark.parametrize("whom", ["call", "account"])
def test_a_refusal_for_good_cools_nobody(whom: str) -> None:
    driver = cooldown()
    driver.admit()
    driver.end(RequestReleaseOutcome(kind="rate_limited", of=whom), -1)  # type: ignore[arg-type]
    assert phase(driver) == "open"
