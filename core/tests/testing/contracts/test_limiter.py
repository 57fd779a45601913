"""The driver of a limiter, which is at a moment of its own."""

from __future__ import annotations

from penstock import RequestResourceKey
from penstock.testing import LimiterDriver, ScriptedLimiter

RESOURCE = RequestResourceKey("provider", "model", "chat")


def test_the_driver_rests_until_the_next_change_if_there_is_one() -> None:
    limiter = ScriptedLimiter(RESOURCE)
    limiter.blocked_until = 7.0
    driver = LimiterDriver(limiter, RESOURCE, now=2.0)
    assert driver.snapshot == limiter.snapshot(2.0) != limiter.snapshot(7.0)
    assert driver.rest_until_next_change()
    assert driver.now == 7.0
    assert driver.snapshot == limiter.snapshot(7.0)
    assert not driver.rest_until_next_change()
    assert driver.now == 7.0
