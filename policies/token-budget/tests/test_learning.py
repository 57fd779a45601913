"""Limits that are learnt from what answers tell."""

from __future__ import annotations

import itertools

import pytest

from penstock import Released, RequestReleaseOutcome, RequestResourceKey, read_hints
from penstock_token_budget.testing import Calls

RESOURCE = RequestResourceKey("acme", "small", "chat")


def openai(kind: str, limit: int, remaining: int, reset: str) -> dict[str, str]:
    """The headers of one dimension."""
    return {
        f"x-ratelimit-limit-{kind}": str(limit),
        f"x-ratelimit-remaining-{kind}": str(remaining),
        f"x-ratelimit-reset-{kind}": reset,
    }


def answered(driver: Calls, headers: dict[str, str], *, tokens: int = 0, kind: str = "success") -> None:
    """A call goes out and is answered at once."""
    driver.end(driver.send(tokens), kind, used=(tokens, 0) if tokens else None, headers=headers)


def test_before_anything_is_learnt_calls_go_out() -> None:
    driver = Calls(learn=True)
    for _ in range(100):
        assert driver.ask() is None
        driver.send()


def test_what_the_first_answer_says_is_left_of_a_bucket_is_spent_at_once_but_for_a_reserve() -> None:
    driver = Calls(learn=True)
    answered(driver, openai("requests", 600, 19, "100ms"))
    spent = 0
    while driver.ask() is None:
        driver.send()
        spent += 1
    assert spent == 10, "a second's worth: the burst is bounded too"


def test_the_opening_lasts_until_a_call_that_knew_what_was_left_is_answered() -> None:
    driver = Calls(learn=True)
    unknowing = [driver.send() for _ in range(30)]
    driver.now = 0.5
    driver.end(unknowing[0], headers=openai("requests", 600, 19, "100ms"))  # by our count there is a debt of five
    driver.now = 1.5
    driver.end(unknowing[29], headers=openai("requests", 600, 0, "2s"))  # but 15 have come back since that call
    spent = 0
    while driver.ask() is None:
        driver.send()
        spent += 1
    assert 9 <= spent <= 10, "a second's worth, but for rounding"


def test_who_waits_for_a_learnt_budget_is_asked_again_when_an_answer_comes() -> None:
    driver = Calls(learn=True)
    unknowing = [driver.send() for _ in range(3)]
    driver.end(unknowing[0], headers=openai("requests", 600, 0, "2s"))  # nothing is left, so the pace is slow
    denied = driver.ask()
    assert denied is not None
    assert Released(RESOURCE) in denied.until
    for call in unknowing[1:]:
        driver.end(call)
    denied = driver.ask()
    assert denied is not None
    assert Released(RESOURCE) not in denied.until, "nothing is out that could tell more"


@pytest.mark.parametrize(("true", "slower"), [(100, False), (200, True), (50, True)])
def test_the_pace_leaves_room_for_wrong_estimates_only_where_they_have_been_wrong(true: int, slower: bool) -> None:
    driver = Calls(learn=True)
    for _ in range(40):
        headers = openai("tokens", 60_000, 600, "400ms")
        driver.end(driver.send(100), used=(true, 0), headers=headers)
        driver.now += true / 1000
    (pace,) = (budget["pace"] for budget in driver.budgets().values())
    assert (pace < 995) == slower


def test_a_refused_call_says_nothing_of_estimates() -> None:
    driver = Calls(learn=True)
    for _ in range(40):
        headers = openai("tokens", 60_000, 600, "400ms")
        driver.end(driver.send(100), used=(100, 0), headers=headers)
        driver.end(driver.send(100), "rate_limited", headers=headers)
        driver.now += 0.1
    (pace,) = (budget["pace"] for budget in driver.budgets().values())
    assert pace > 995


def test_calls_are_spaced_as_soon_as_one_answer_has_told_the_limit() -> None:
    driver = Calls(learn=True)
    answered(driver, openai("requests", 600, 600, "0s"))
    moments = []
    for _ in range(11):
        driver.wait()
        moments.append(driver.now)
        driver.send()
    spaces = {round(after - before, 3) for before, after in itertools.pairwise(moments)}
    assert spaces == {0.1}


def test_a_limit_that_is_learnt_is_told_once_and_told_again_when_it_is_lowered_or_raised() -> None:
    driver = Calls(learn=True)
    for limit in (600, 600, 300, 1200):
        answered(driver, openai("requests", limit, 10, "1s"))
        driver.now += 1.0
    assert [(change.kind, change.detail) for change in driver.changes] == [
        ("request_effective_cap_changed", "learnt: 600 requests per minute"),
        ("request_effective_cap_changed", "learnt: 300 requests per minute, was 600 requests per minute"),
        ("request_effective_cap_changed", "learnt: 1200 requests per minute, was 300 requests per minute"),
    ]


@pytest.mark.parametrize(("limit", "space"), [(300, 0.2), (1200, 0.05)])
def test_a_lowered_or_raised_limit_holds_from_the_next_call_on(limit: int, space: float) -> None:
    driver = Calls(learn=True, burst_seconds=0.0)
    answered(driver, openai("requests", 600, 600, "0s"))
    driver.now += 10.0
    answered(driver, openai("requests", limit, limit, "0s"))
    driver.wait()
    driver.send()
    assert driver.wait() == pytest.approx(space)


def test_what_remained_counts_minus_what_went_out_after_that_call() -> None:
    driver = Calls(learn=True)
    first = driver.send()
    others = [driver.send() for _ in range(9)]
    driver.now = 1.0
    driver.end(first, headers=openai("requests", 60, 10, "50s"))
    # 10 remained after the first; 9 have gone out since, and one second has brought one back
    assert driver.budgets()["60 requests per minute"]["left"] == pytest.approx(2.0)
    driver.now = 1.5
    driver.end(others[-1], headers=openai("requests", 60, 1, "59s"))
    assert driver.budgets()["60 requests per minute"]["left"] == pytest.approx(2.5)


def test_an_answer_that_was_overtaken_teaches_nothing_new() -> None:
    driver = Calls(learn=True)
    early, late = driver.send(), driver.send()
    driver.now = 0.5
    driver.end(late, headers=openai("requests", 60, 30, "30s"))
    before = driver.budgets()["60 requests per minute"]["left"]
    driver.end(early, headers=openai("requests", 60, 59, "1s"))
    assert driver.budgets()["60 requests per minute"]["left"] == before


def test_while_nothing_is_left_nothing_goes_out() -> None:
    driver = Calls(learn=True)
    answered(driver, openai("requests", 60, 0, "60s"), kind="rate_limited")
    assert driver.ask() is not None
    assert driver.wait() >= 0.9


def test_a_large_call_waits_until_so_much_is_left() -> None:
    driver = Calls(learn=True)
    answered(driver, openai("tokens", 600_000, 2000, "1800ms"), tokens=1)
    assert driver.wait(1000) < 0.2
    assert 1.0 <= driver.wait(12_000) < 1.8


def test_a_call_larger_than_all_that_the_provider_keeps_waits_until_that_is_there() -> None:
    driver = Calls(learn=True)
    answered(driver, openai("tokens", 600_000, 2000, "1800ms"), tokens=1)
    assert driver.wait(5_000_000) == pytest.approx(1.8, abs=0.01)


def test_how_much_the_provider_keeps_is_read_from_the_reset() -> None:
    driver = Calls(learn=True)
    answered(driver, openai("requests", 600, 15, "500ms"))
    assert driver.budgets()["600 requests per minute"]["kept_by_provider"] == 20.0


def test_a_reset_of_hours_tells_of_a_day_and_then_what_is_left_may_be_used() -> None:
    driver = Calls(learn=True)
    answered(driver, openai("requests", 200, 180, "2h24m"))
    gone = 0
    while driver.ask() is None:
        driver.send()
        gone += 1
    assert "200 requests per day" in driver.budgets()
    assert 175 <= gone <= 180


def test_a_reset_within_the_minute_tells_of_no_other_window() -> None:
    driver = Calls(learn=True)
    answered(driver, openai("requests", 600, 599, "59s"))
    assert "600 requests per minute" in driver.budgets()


def test_the_window_of_a_policy_counts() -> None:
    driver = Calls(learn=True)
    headers = {
        "ratelimit-limit": "10",
        "ratelimit-policy": "10;w=1",
        "ratelimit-remaining": "9",
        "ratelimit-reset": "1",
    }
    answered(driver, headers)
    assert "10 requests per second" in driver.budgets()


def test_what_others_use_with_the_same_key_makes_the_pace_fall() -> None:
    alone, shared = Calls(learn=True), Calls(learn=True)
    for driver, lost in ((alone, 0), (shared, 6)):
        remaining = 60
        for _ in range(9):
            driver.wait()
            answered(driver, openai("requests", 600, remaining, f"{(600 - remaining) / 10}s"))
            remaining -= lost
        driver.wait()
        driver.send()
    assert alone.wait() == pytest.approx(0.1, rel=0.15)
    assert shared.wait() > 0.2
    assert shared.budgets()["600 requests per minute"]["used_by_others"] > 5.0


def test_a_share_leaves_what_belongs_to_others_alone() -> None:
    driver = Calls(learn=True, share=0.5)
    answered(driver, openai("tokens", 6000, 3000, "30s"), tokens=1)
    assert driver.wait(1000) >= 10.0, "half of what the provider keeps is not ours"


def test_headers_that_make_no_sense_are_ignored_counted_and_told_once() -> None:
    driver = Calls(learn=True)
    for _ in range(3):
        answered(driver, {"x-ratelimit-limit-tokens": "lots", "x-ratelimit-remaining-tokens": "-1"})
    assert driver.ask(1_000_000) is None
    assert driver.limiter.snapshot(0.0).details["ignored_headers"] == {
        "x-ratelimit-limit-tokens": 3,
        "x-ratelimit-remaining-tokens": 3,
    }
    assert [(change.kind, change.detail) for change in driver.changes] == [
        ("request_release_diagnostic", "x-ratelimit-limit-tokens makes no sense: ignored"),
        ("request_release_diagnostic", "x-ratelimit-remaining-tokens makes no sense: ignored"),
    ]


def test_nonsense_in_one_answer_does_not_unlearn_what_others_told() -> None:
    driver = Calls(learn=True)
    answered(driver, openai("requests", 600, 600, "0s"))
    answered(driver, openai("requests", 0, 99, "yesterday"))
    assert list(driver.budgets()) == ["600 requests per minute"]


def test_the_head_of_an_answer_teaches_before_its_body_has_ended() -> None:
    driver = Calls(learn=True)
    call = driver.send()
    headers = openai("requests", 60, 0, "60s")
    changes = driver.limiter.observe_call(*call, read_hints(headers, refused=False), driver.now)
    assert [change.detail for change in changes] == ["learnt: 60 requests per minute"]
    assert driver.ask() is not None
    driver.end(call, headers=headers)
    assert driver.changes == [], "the same headers come again with the release"


@pytest.mark.parametrize(
    ("headers", "about"),
    [
        (openai("requests", 60, 0, "60s"), "requests"),
        (openai("tokens", 6000, 1200, "50s"), "tokens"),
        (openai("tokens", 6000, 5000, "10s"), None),
        ({"retry-after": "1"}, None),
        ({}, None),
    ],
)
def test_a_refusal_is_explained_by_what_it_says_was_left(headers: dict[str, str], about: str | None) -> None:
    driver = Calls(learn=True)
    lease, token = driver.send(1000)
    outcome = RequestReleaseOutcome(kind="rate_limited", hints=read_hints(headers, refused=True))
    assert driver.limiter.explain_refusal(lease, token, outcome, 0.1) == about
    driver.end((lease, token), "rate_limited", headers=headers)
