"""What the limit keeps between two calls: its last refusal, and how far its first climb has come."""

from __future__ import annotations

from penstock import Denied, RequestResourceKey
from penstock.testing import LimiterDriver
from penstock_aimd import AimdConfig, AimdLimiter

RESOURCE = RequestResourceKey("provider", "model", "chat")


def aimd(cap: int, startup_ramp_seconds: float = 0.0) -> LimiterDriver:
    config = AimdConfig(startup_ramp_seconds=startup_ramp_seconds)
    return LimiterDriver(AimdLimiter(RESOURCE, cap, config), RESOURCE)


def test_a_limit_that_is_used_up_refuses_by_the_same_record_until_something_changes() -> None:
    driver = aimd(2)
    driver.admit_all()
    refused = driver.limiter.check(driver.item, 1.0)

    assert driver.limiter.check(driver.item, 2.0) is refused
    assert isinstance(refused, Denied)
    assert refused.detail == "2 in flight, limit 2"

    driver.limiter.set_cap(1, 3.0)
    lowered = driver.limiter.check(driver.item, 3.0)
    assert isinstance(lowered, Denied)
    assert lowered.detail == "2 in flight, limit 1"


def test_after_time_in_which_a_place_was_free_the_climb_goes_on_from_where_it_was() -> None:
    driver = aimd(8, startup_ramp_seconds=7.0)
    driver.admit()
    driver.end("success")
    driver.rest(0.55)  # of which 0.05 s count
    driver.admit()
    driver.rest(0.6)
    driver.end("success")
    driver.admit()
    driver.rest(0.3)
    assert driver.snapshot.current_limit == 1
    driver.rest(0.1)
    assert driver.snapshot.current_limit == 2
