"""Whether a call is tried again, and after how long."""

from __future__ import annotations

from random import Random

import pytest
from hypothesis import given, strategies as st

from penstock import ConfigError, RequestReleaseOutcome
from penstock.executor.retries import Retries, RetryRules

FAILED = RequestReleaseOutcome(kind="provider_failure", status=500)
TIMED_OUT = RequestReleaseOutcome(kind="provider_timeout")
LIMITED = RequestReleaseOutcome(kind="rate_limited")


def retries(*, attempts: int = 4, deadline: float | None = None) -> Retries:
    return Retries(RetryRules(max_attempts=attempts, backoff=1.0, backoff_max=8.0), Random(1), deadline)


def test_the_pause_doubles_up_to_its_maximum_and_half_of_it_is_random() -> None:
    plan = retries(attempts=9)
    pauses = [plan.pause_after(FAILED, 0.0, held_back=False) for _ in range(8)]
    for pause, full in zip(pauses, [1, 2, 4, 8, 8, 8, 8, 8], strict=True):
        assert pause is not None
        assert full / 2 <= pause <= full
    assert len(set(pauses)) == 8


def test_attempts_run_out() -> None:
    plan = retries(attempts=2)
    assert plan.pause_after(TIMED_OUT, 0.0, held_back=False) is not None
    assert plan.pause_after(TIMED_OUT, 0.0, held_back=False) is None


def test_what_cannot_help_is_not_tried_again() -> None:
    for outcome in (
        RequestReleaseOutcome(kind="provider_failure", status=400),
        RequestReleaseOutcome(kind="unexpected_exception"),
        RequestReleaseOutcome(kind="local_timeout"),
    ):
        assert retries().pause_after(outcome, 0.0, held_back=False) is None


def test_a_rate_limit_uses_up_no_attempt_and_is_paced_by_admission() -> None:
    plan = retries(attempts=2)
    assert [plan.pause_after(LIMITED, 0.0, held_back=True) for _ in range(50)] == [0.0] * 50
    assert plan.pause_after(FAILED, 0.0, held_back=False) is not None


def test_a_failure_waits_as_long_as_the_provider_asks_if_that_is_longer() -> None:
    plan = retries()
    asked = RequestReleaseOutcome(kind="provider_failure", status=503, retry_after_seconds=17.0)
    assert plan.pause_after(asked, 0.0, held_back=False) == 17.0
    soon = RequestReleaseOutcome(kind="provider_failure", status=503, retry_after_seconds=0.1)
    pause = plan.pause_after(soon, 0.0, held_back=False)
    assert pause is not None
    assert pause >= 1.0


def test_a_rate_limit_that_nobody_paces_waits_as_long_as_the_provider_asks() -> None:
    asked = RequestReleaseOutcome(kind="rate_limited", retry_after_seconds=17.0)
    assert retries().pause_after(asked, 0.0, held_back=False) == 17.0


def test_a_rate_limit_that_nobody_paces_and_that_names_no_time_backs_off() -> None:
    plan = retries()
    pauses = [plan.pause_after(LIMITED, 0.0, held_back=False) or 0.0 for _ in range(6)]
    assert pauses[0] >= 0.5
    assert pauses[5] >= 4.0


def test_there_is_no_pause_beyond_the_deadline() -> None:
    assert retries(deadline=10.0).pause_after(FAILED, 9.4, held_back=False) is not None
    assert retries(deadline=10.0).pause_after(FAILED, 9.9, held_back=False) is None


@given(st.integers(1, 2000))
def test_no_number_of_rate_limits_makes_the_pause_longer_than_its_maximum(times: int) -> None:
    plan = retries()
    last = [plan.pause_after(LIMITED, 0.0, held_back=False) for _ in range(times)][-1]
    assert last is not None
    assert 0 < last <= 8.0


@pytest.mark.parametrize("value", [0, -1, True, 1.5, "4"])
def test_attempts_that_are_no_count_are_an_error(value: object) -> None:
    with pytest.raises(ConfigError, match="max_attempts must be a whole number from 1 on"):
        RetryRules(max_attempts=value)  # type: ignore[arg-type]


@pytest.mark.parametrize("value", [-1.0, float("nan"), float("inf"), True, "1"])
def test_a_backoff_that_is_no_duration_is_an_error(value: object) -> None:
    with pytest.raises(ConfigError, match="retry_backoff must be a finite number"):
        RetryRules(backoff=value)  # type: ignore[arg-type]
