"""Budgets that are configured: charged when a call goes out, corrected when it comes back."""

from __future__ import annotations

import pytest

from penstock import MOST_TOKENS, At, Released, RequestResourceKey
from penstock_token_budget.testing import Calls

MINUTE, HOUR, DAY = 60.0, 3600.0, 86400.0
RESOURCE = RequestResourceKey("acme", "small", "chat")


def test_requests_are_spaced_evenly() -> None:
    driver = Calls(("requests", MINUTE, 600))
    moments = []
    for _ in range(21):
        driver.wait()
        moments.append(driver.now)
        driver.send()
    assert moments == pytest.approx([n / 10 for n in range(21)])


def test_a_ten_second_window_of_the_provider_is_not_burst() -> None:
    driver = Calls(("requests", MINUTE, 600))
    driver.now, seen = 3.0, list[float]()
    for _ in range(1000):
        driver.wait()
        seen.append(driver.now)
        driver.send()
    windows = {int(moment // 10) for moment in seen}
    assert max(sum(moment // 10 == window for moment in seen) for window in windows) <= 101


def test_a_refusal_names_the_exact_moment_and_the_budget() -> None:
    driver = Calls(("requests", MINUTE, 600), ("input_tokens", MINUTE, 6000))
    driver.end(driver.send(500), used=(500, 0))
    denied = driver.ask()
    assert denied is not None
    assert denied.reason == "no_capacity"
    assert denied.until == {At(5.0)}
    assert denied.detail == "the budget of 6000 input tokens per minute is used"


def test_all_budgets_must_agree() -> None:
    driver = Calls(("tokens", MINUTE, 6000), ("output_tokens", MINUTE, 600), ("requests", 1.0, 1))
    driver.end(driver.send(100, output=20), used=(100, 20))
    assert driver.wait() == pytest.approx(2.0)  # 120 tokens take 1.2 s, one request 1 s, 20 tokens of output 2 s


def test_everybody_waits_for_the_same_moment_so_a_large_call_is_not_overtaken() -> None:
    driver = Calls(("tokens", MINUTE, 6000))
    driver.end(driver.send(1000), used=(1000, 0))
    small, large = driver.ask(1), driver.ask(5000)
    assert small is not None
    assert large is not None
    assert small.until == large.until
    assert small.cohort == large.cohort is not None
    assert small.scope == large.scope == "shape"


def test_one_who_waits_goes_and_puts_the_moment_off_for_the_others() -> None:
    driver = Calls(("tokens", MINUTE, 6000))
    driver.send(1000)
    driver.wait()
    driver.send(100)
    assert driver.wait() == pytest.approx(1.0)


def test_less_used_than_estimated_is_given_back() -> None:
    driver = Calls(("tokens", MINUTE, 6000))
    call = driver.send(2000, output=1000)
    driver.now = 1.0
    driver.end(call, used=(100, 50))
    assert driver.wait() == pytest.approx(0.5)


def test_more_used_than_estimated_is_paid_for() -> None:
    driver = Calls(("tokens", MINUTE, 6000))
    call = driver.send()
    driver.now = 1.0
    driver.end(call, used=(500, 500))
    assert driver.wait() == pytest.approx(9.0)  # ten seconds' worth since second 0


@pytest.mark.parametrize(
    "kind", ["success", "provider_failure", "provider_timeout", "local_cancelled", "local_timeout"]
)
def test_without_usage_the_estimate_stands(kind: str) -> None:
    driver = Calls(("tokens", MINUTE, 6000))
    driver.end(driver.send(1000), kind)
    assert driver.wait() == pytest.approx(10.0)


@pytest.mark.parametrize("kind", ["provider_failure", "local_cancelled", "rate_limited", "unexpected_exception"])
def test_usage_corrects_the_estimate_however_the_call_ended(kind: str) -> None:
    driver = Calls(("tokens", MINUTE, 6000))
    driver.end(driver.send(1000), kind, used=(200, 0))
    assert driver.wait() == pytest.approx(2.0)


def test_a_refused_call_gives_its_tokens_back_but_was_a_request() -> None:
    driver = Calls(("tokens", MINUTE, 6000), ("requests", MINUTE, 60))
    driver.end(driver.send(1000), "rate_limited")
    assert driver.wait() == pytest.approx(1.0)


def test_a_call_that_never_went_out_gives_everything_back() -> None:
    driver = Calls(("tokens", MINUTE, 6000), ("requests", MINUTE, 60), ("requests", DAY, 1))
    driver.end(driver.send(1000), "local_cancelled", went_out=False)
    assert driver.ask(1000) is None


def test_usage_beyond_reason_does_not_hold_calls_back_for_ever() -> None:
    driver = Calls(("tokens", MINUTE, 6000))
    driver.end(driver.send(1000), used=(MOST_TOKENS, 0))
    assert driver.wait() == pytest.approx(600.0)


def test_an_estimate_above_the_whole_budget_is_capped_to_it_and_the_lease_says_so() -> None:
    driver = Calls(("tokens", MINUTE, 6000), ("input_tokens", 1.0, 500))
    lease, token = driver.send(50_000)
    assert driver.wait() == pytest.approx(60.0)
    assert lease.diagnostics == {
        "capped to the budget of acme/small/chat": {
            "6000 tokens per minute": 50_000,
            "500 input tokens per second": 50_000,
        }
    }
    driver.end((lease, token), used=(50_000, 0))
    assert driver.wait() > 400.0, "what was really used counts in full"


def test_an_estimate_within_the_budget_leaves_no_note() -> None:
    lease, _ = Calls(("tokens", MINUTE, 6000)).send(6000)
    assert lease.diagnostics is None


def test_a_budget_of_a_day_is_used_as_needed_and_never_exceeded() -> None:
    driver = Calls(("requests", DAY, 100))
    driver.now = 5000.0
    for _ in range(100):
        assert driver.ask() is None
        driver.end(driver.send())
    assert driver.wait() == pytest.approx(DAY + 1440.0 - 5000.0 % 1440.0)


def test_budgets_of_several_windows_hold_at_once() -> None:
    driver = Calls(("requests", 1.0, 2), ("requests", HOUR, 10))
    for _ in range(10):
        driver.wait()
        driver.end(driver.send())
    assert driver.now == pytest.approx(4.5)
    assert driver.wait() == pytest.approx(HOUR + 60.0 - 4.5)


def test_a_share_leaves_the_rest_to_others() -> None:
    driver = Calls(("requests", MINUTE, 600), ("requests", DAY, 1000), share=0.5)
    driver.send()
    assert driver.wait() == pytest.approx(0.2)
    assert driver.budgets()["500 requests per day"]["left"] == 499.0


@pytest.mark.parametrize(("burst_seconds", "at_once"), [(0.0, 1), (1.0, 8), (2.0, 16)])
def test_what_may_be_saved_up_is_bounded(burst_seconds: float, at_once: int) -> None:
    driver = Calls(("requests", MINUTE, 480), burst_seconds=burst_seconds)
    driver.send()
    driver.now = 1000.0
    gone = 0
    while driver.ask() is None:
        driver.send()
        gone += 1
    assert gone == at_once


def test_while_tokens_are_out_a_release_may_let_the_next_one_go_sooner() -> None:
    driver = Calls(("tokens", MINUTE, 6000))
    call = driver.send(1000)
    denied = driver.ask()
    assert denied is not None
    assert denied.until == {At(10.0), Released(RESOURCE)}
    driver.end(call)
    denied = driver.ask()
    assert denied is not None
    assert denied.until == {At(10.0)}


def test_a_deadline_that_no_release_could_meet_is_told_so_and_holds_nobody_else_back() -> None:
    driver = Calls(("tokens", MINUTE, 6000))
    driver.end(driver.send(1000))
    driver.send(500)
    in_time, too_late = driver.ask(deadline=10.0), driver.ask(deadline=9.0)
    assert in_time is not None
    assert too_late is not None
    assert in_time.until == {At(15.0), Released(RESOURCE)}
    assert too_late.until == {At(15.0)}
    assert too_late.scope == "task"
    assert too_late.cohort is None


def test_what_is_known_is_told() -> None:
    driver = Calls(("tokens", MINUTE, 1_000_000), ("requests", DAY, 10))
    driver.end(driver.send(50_000), used=(50_000, 0))
    assert driver.budgets() == {
        "1000000 tokens per minute": {"limit": "1000000 tokens per minute", "left": -50_000.0},
        "10 requests per day": {"limit": "10 requests per day", "left": 9.0},
    }


def test_headers_teach_nothing_where_learning_is_off() -> None:
    driver = Calls(("requests", DAY, 10))
    driver.end(driver.send(), headers={"x-ratelimit-limit-requests": "1", "x-ratelimit-remaining-requests": "0"})
    assert len(driver.budgets()) == 1
    assert driver.changes == []
