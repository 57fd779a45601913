from __future__ import annotations

from penstock_batch.calls.step_health import StepHealth


def test_a_demand_that_nothing_fulfils_is_given_up() -> None:
    health = StepHealth(3)
    for _ in range(2):
        health.rejected("it is no JSON")
        assert health.given_up is None
    health.rejected("it is no JSON")
    assert health.given_up is not None
    assert health.given_up.endswith("it is no JSON")


def test_one_that_was_fulfilled_once_is_not() -> None:
    health = StepHealth(3)
    health.rejected("no")
    health.accepted()
    for _ in range(10):
        health.rejected("no")
    assert health.given_up is None
