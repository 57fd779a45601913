"""The early probe: whether a provider is full or closed, found out in the place of an answered call."""

from __future__ import annotations

from random import Random
from typing import Any

import pytest

from penstock import PROBE, At, Denied, Released, RequestReleaseOutcome, RequestResourceKey
from penstock.testing import LimiterDriver
from penstock_cooldown import CooldownConfig, CooldownLimiter

RESOURCE = RequestResourceKey("provider", "model", "chat")


def refused(named: float | None = None, **config: Any) -> LimiterDriver:
    """Three calls are out, of which the last was refused within 0.05 s."""
    driver = LimiterDriver(CooldownLimiter(RESOURCE, CooldownConfig(**config), Random(0)), RESOURCE)
    driver.admit_all(3)
    driver.rest(0.05)
    driver.end(RequestReleaseOutcome(kind="rate_limited", retry_after_seconds=named), -1)
    return driver


def answer(driver: LimiterDriver) -> Denied | object | None:
    return driver.limiter.check(driver.item, driver.now)


def test_after_a_first_refusal_the_place_of_an_answered_call_may_be_tried_at_once() -> None:
    driver = refused()
    denied = driver.ask()
    assert denied is not None
    assert denied.until == {At(0.55), Released(RESOURCE)}
    driver.end("success")
    assert answer(driver) is PROBE
    assert driver.admit_all() == 1, "and by one call"


def test_let_in_the_cooldown_is_over_without_a_ramp() -> None:
    driver = refused()
    driver.end("success")
    driver.admit()
    driver.end("success", -1)
    assert driver.admit_all(50) == 50


def test_refused_the_cooldown_goes_on_and_is_no_longer_for_it() -> None:
    driver = refused()
    driver.end("success")
    driver.admit()
    driver.rest(0.05)
    driver.end("rate_limited", -1)
    assert driver.snapshot.blocked_until == pytest.approx(0.6)
    driver.end("success")
    assert isinstance(answer(driver), Denied), "a second one is not sent"


@pytest.mark.parametrize("answered", [True, False])
def test_if_a_call_was_answered_in_the_cooldown_all_follow_its_probe_without_a_ramp(answered: bool) -> None:
    driver = refused(1.0)
    driver.end("success" if answered else "provider_timeout")
    driver.rest(1.0)
    assert driver.admit_all(50) == 1
    driver.rest(0.075)  # one and a half times what the refusal took
    assert driver.admit_all(50) == (50 if answered else 0)


def test_after_such_a_reopening_that_soon_failed_the_next_one_has_a_ramp() -> None:
    driver = refused(1.0)
    for all_at_once in (True, False):
        driver.end("success")
        driver.rest(1.0)
        assert driver.admit_all(50) == 1
        driver.rest(0.15)
        assert (driver.admit_all(50) == 50) == all_at_once
        driver.rest(0.05)
        driver.end(RequestReleaseOutcome(kind="rate_limited", retry_after_seconds=1.0), -1)


def burst_refused_late() -> LimiterDriver:
    """An early probe is out when another call of the first burst is refused."""
    driver = refused()
    driver.end("success")
    driver.admit()
    driver.rest(0.02)
    driver.end("rate_limited", 0)
    return driver


def test_a_late_refusal_of_the_same_burst_does_not_take_an_early_probe_with_it() -> None:
    driver = burst_refused_late()
    assert driver.admit_all() == 0
    driver.end("success", -1)
    assert driver.admit_all(50) == 50


def test_but_lengthens_the_cooldown_that_goes_on_if_the_probe_is_refused_too() -> None:
    driver = burst_refused_late()
    driver.rest(0.01)
    driver.end("local_cancelled", -1)
    assert driver.snapshot.blocked_until == pytest.approx(0.57)


@pytest.mark.parametrize(
    ("config", "named", "early"),
    [("obedient", None, True), ("obedient", 1.0, False), ("always", 1.0, True), ("never", None, False)],
)
def test_a_named_time_is_obeyed_unless_asked_otherwise(config: str, named: float | None, early: bool) -> None:
    driver = refused(named, early_probe=config)
    driver.end("success")
    assert (answer(driver) is PROBE) == early


def test_a_probe_that_never_came_to_the_provider_shortens_nothing() -> None:
    driver = refused(10.0, early_probe="always")
    driver.end("success")
    driver.admit()
    driver.end("local_cancelled", -1)
    assert driver.snapshot.blocked_until == pytest.approx(10.05)


def test_after_a_reopening_that_soon_failed_the_next_refusal_is_met_by_a_plain_cooldown() -> None:
    driver = refused()
    driver.end("success")
    driver.admit()
    driver.end("success", -1)  # let in
    driver.admit_all(2)
    driver.rest(0.1)
    driver.end("rate_limited", -1)  # and soon refused again
    driver.end("success")
    assert isinstance(answer(driver), Denied)
