"""What the adaptive limit does, sentence by sentence. Virtual time is passed in."""

from __future__ import annotations

from typing import Any

import pytest

from penstock import At, Released, RequestReleaseOutcome, RequestResourceKey
from penstock.testing import LimiterDriver
from penstock_aimd import AimdConfig, AimdLimiter

RESOURCE = RequestResourceKey("provider", "model", "chat")


def aimd(cap: int | None = 64, **config: Any) -> LimiterDriver:
    """A limiter that starts at its maximum, unless `config` says otherwise."""
    config.setdefault("startup_ramp_seconds", 0.0)
    return LimiterDriver(AimdLimiter(RESOURCE, cap, AimdConfig(**config)), RESOURCE)


def limited(retry_after: float | None = 1.0) -> RequestReleaseOutcome:
    return RequestReleaseOutcome(kind="rate_limited", retry_after_seconds=retry_after, status=429)


def limit(driver: LimiterDriver) -> int | None:
    return driver.snapshot.current_limit


def ceiling(driver: LimiterDriver) -> float | None:
    return driver.snapshot.rate_limit_ceiling


def kinds(driver: LimiterDriver) -> list[str]:
    """The kinds of change since this was last asked."""
    found: list[str] = [change.kind for change in driver.changes]
    driver.changes.clear()
    return found


def succeed(driver: LimiterDriver, calls: int) -> None:
    """So many calls succeed, one after the other, each replaced at once: the limit stays in use."""
    for _ in range(calls):
        driver.admit_all()
        driver.rest(0.01)
        driver.end("success")
    driver.admit_all()


def succeed_until(driver: LimiterDriver, wanted: int, pause: float = 0.0) -> float:
    """Calls succeed, one every `pause` seconds, until the limit is `wanted`; the seconds that it took."""
    begun = driver.now
    for _ in range(2000):
        if limit(driver) == wanted:
            return driver.now - begun
        driver.rest(pause)
        succeed(driver, 1)
    raise AssertionError(f"the limit is {limit(driver)}, not {wanted}, after {driver.now - begun:.0f} s")


def climb(driver: LimiterDriver, until: float) -> None:
    """Each place of the first climb is taken as soon as it opens, up to a moment."""
    driver.admit_all()
    while (opens := driver.limiter.next_change(driver.now)) is not None and opens <= until:
        driver.now = opens
        driver.admit_all()
    driver.now = until


def fill_and_refuse_the_last(driver: LimiterDriver) -> None:
    driver.admit_all()
    driver.rest(0.05)
    driver.end(limited(), -1)


def cool_down(driver: LimiterDriver, seconds: float = 1.0) -> None:
    """Nobody calls for a while, and what is out ends well."""
    driver.rest(seconds)
    driver.end_all("success")


# -- where it starts --


def test_it_starts_at_the_effective_max_without_a_ramp() -> None:
    driver = aimd(64)
    assert limit(driver) == 64
    assert driver.admit_all() == 64


def test_it_starts_at_the_initial_limit_if_there_is_one() -> None:
    assert aimd(64, initial_limit=10).admit_all() == 10


def test_an_initial_limit_above_the_cap_is_the_cap() -> None:
    assert aimd(4, initial_limit=10).admit_all() == 4


def test_the_effective_max_is_the_cap_lowered_by_the_clamp() -> None:
    assert aimd(64, effective_max=10).admit_all() == 10
    assert aimd(5, effective_max=10).admit_all() == 5


def test_the_ramp_climbs_evenly_from_one_to_the_effective_max_from_the_first_call_on() -> None:
    driver = aimd(11, startup_ramp_seconds=5.0)
    driver.now = 100.0
    assert limit(driver) == 1
    climb(driver, 102.5)
    assert limit(driver) == 6
    climb(driver, 105.0)
    assert limit(driver) == 11
    driver.now = 500.0
    assert limit(driver) == 11


def test_during_the_ramp_a_refusal_names_the_moment_of_the_next_place() -> None:
    driver = aimd(11, startup_ramp_seconds=5.0)
    driver.admit()
    denied = driver.ask()
    assert denied is not None
    assert denied.until == {Released(RESOURCE), At(0.5)}
    assert driver.limiter.next_change(0.0) == 0.5
    driver.now = 0.5
    assert driver.admit_all() == 1


@pytest.mark.parametrize("cap", [2, 3, 7, 64, 1000, 9973])
def test_every_place_of_the_ramp_opens_at_the_moment_that_was_named(cap: int) -> None:
    driver = aimd(cap, startup_ramp_seconds=3.3)
    driver.now = 12345.678
    driver.admit()
    for places in range(2, min(cap, 300) + 1):
        assert driver.rest_until_next_change()
        assert limit(driver) == places
        driver.admit()


def test_a_rate_limit_ends_the_ramp() -> None:
    driver = aimd(64, startup_ramp_seconds=6.3)
    climb(driver, 1.9 + 1e-9)
    assert len(driver.out) == 20
    driver.end(limited(), -1)
    assert limit(driver) == 15
    driver.rest(100.0)
    assert limit(driver) == 15
    assert driver.limiter.next_change(driver.now) is None


def test_successes_do_not_disturb_the_ramp() -> None:
    driver = aimd(64, startup_ramp_seconds=6.3)
    for _ in range(100):
        driver.admit()
        driver.end("success")
    assert limit(driver) == 1


# -- what cuts it --


def test_a_rate_limit_cuts_the_limit_by_a_quarter() -> None:
    driver = aimd(64)
    driver.admit()
    (change,) = driver.end(limited())
    assert (change.kind, change.before, change.after) == ("request_limit_decreased", 64.0, 48.0)
    assert limit(driver) == 48


def test_a_burst_of_refusals_cuts_the_limit_once() -> None:
    driver = aimd(64)
    driver.admit_all()
    for _ in range(44):
        driver.end(limited(), -1)
    assert limit(driver) == 48


def test_the_next_burst_cuts_it_again() -> None:
    driver = aimd(64)
    driver.admit_all()
    driver.end_all(limited())
    driver.admit_all()
    driver.end_all(limited())
    assert limit(driver) == 36


def test_a_late_refusal_of_an_earlier_burst_does_not_cut_again_even_after_recovery() -> None:
    driver = aimd(4, successes_until_increase=1, ceiling_hold=0.0)
    driver.admit_all()
    driver.end(limited(), -1)
    straggler = driver.out.pop(0)
    driver.rest(1.0)
    for _ in range(10):
        driver.admit_all()
        driver.end("success")
    assert limit(driver) == 4
    driver.out.append(straggler)
    driver.end(limited(), -1)
    assert limit(driver) == 4


def test_it_never_falls_below_one() -> None:
    driver = aimd(2)
    for _ in range(20):
        driver.admit_all()
        driver.end_all(limited())
    assert limit(driver) == 1


@pytest.mark.parametrize(
    "outcome", ["provider_failure", "provider_timeout", "local_cancelled", "local_timeout", "unexpected_exception"]
)
def test_other_outcomes_change_no_limit(outcome: str) -> None:
    driver = aimd(64, initial_limit=8)
    for _ in range(200):
        driver.admit_all()
        driver.end(outcome)
    assert limit(driver) == 8
    assert driver.changes == []


def test_a_refused_probe_changes_nothing_else() -> None:
    driver = aimd(64)
    driver.admit_all()
    driver.end_all(limited())
    for _ in range(10):
        driver.rest(1.0)
        assert driver.admit() is not None
        assert driver.end(limited()) == ()
    assert limit(driver) == 48
    assert driver.snapshot.consecutive_rate_limits == 74


@pytest.mark.parametrize("pause", [0.0, 0.1, 1.0, 100.0])
def test_the_first_call_after_a_refusal_is_no_new_cut_whatever_the_pause_and_the_second_is(pause: float) -> None:
    driver = aimd(64)
    fill_and_refuse_the_last(driver)
    driver.end_all("success")
    driver.rest(pause)
    driver.admit()
    driver.end(limited())
    assert limit(driver) == 48
    driver.admit_all(48)
    driver.end(limited(), -1)
    assert limit(driver) == 36


def test_a_second_cut_in_a_row_goes_to_the_place_of_the_refused_call() -> None:
    driver = aimd(64)
    fill_and_refuse_the_last(driver)
    assert limit(driver) == 48
    driver.end_all("local_cancelled")
    driver.admit_all(11)
    driver.end(limited(), -1)
    assert limit(driver) == 10


def test_a_refusal_that_was_about_a_budget_takes_the_cuts_of_the_series_back() -> None:
    driver = aimd(64)
    for _ in range(2):
        fill_and_refuse_the_last(driver)
        driver.end_all("local_cancelled")
    assert limit(driver) == 36
    driver.admit()
    driver.end(RequestReleaseOutcome(kind="rate_limited", status=429, limited_by="requests"))
    assert (limit(driver), ceiling(driver)) == (64, None)


def test_time_in_which_a_place_was_free_counts_for_no_climb() -> None:
    driver = aimd(64, startup_ramp_seconds=6.3)
    for _ in range(100):
        driver.admit()
        driver.rest(0.05)
        driver.end("success")
        driver.rest(0.5)
    assert driver.admit_all() <= 3


# -- what raises it --


def test_successes_raise_it_by_one_for_every_25() -> None:
    driver = aimd(64, initial_limit=10)
    succeed(driver, 24)
    assert limit(driver) == 10
    succeed(driver, 1)
    assert limit(driver) == 11
    assert kinds(driver) == ["request_limit_increased"]


def test_it_grows_up_to_the_effective_max_and_no_further() -> None:
    driver = aimd(12, initial_limit=10)
    succeed(driver, 200)
    assert limit(driver) == 12


def test_a_limit_that_is_not_in_use_does_not_grow() -> None:
    driver = aimd(64, initial_limit=10)
    driver.admit_all(8)
    for _ in range(500):
        driver.admit()
        driver.end("success")
    assert limit(driver) == 10


def test_a_fractional_step_counts_inside_and_is_whole_outside() -> None:
    driver = aimd(64, initial_limit=10, additive_increase_step=0.5)
    succeed(driver, 25)
    assert limit(driver) == 10
    succeed(driver, 25)
    assert limit(driver) == 11


def test_successes_of_calls_that_went_out_before_a_refusal_do_not_raise_it() -> None:
    driver = aimd(64, successes_until_increase=1)
    driver.admit_all()
    driver.end(limited(), -1)
    driver.end_all("success")
    assert limit(driver) == 48


def test_after_a_cooldown_it_returns_at_once_to_the_limit_that_was_proven() -> None:
    driver = aimd(64, initial_limit=20)
    succeed(driver, 25)
    fill_and_refuse_the_last(driver)
    assert limit(driver) == 15
    cool_down(driver)
    succeed(driver, 15)
    assert limit(driver) == 20


def test_a_refusal_takes_the_proof_from_its_place_on() -> None:
    driver = aimd(64, initial_limit=20)
    succeed(driver, 25)
    for expected in (20, 19, 18):
        fill_and_refuse_the_last(driver)
        cool_down(driver)
        succeed(driver, 20)
        assert limit(driver) == expected


def test_calls_that_were_out_beside_the_refused_one_prove_their_places() -> None:
    driver = aimd(64, startup_ramp_seconds=6.3)
    climb(driver, 1.95)
    assert len(driver.out) == 20
    driver.end(limited(), -1)
    cool_down(driver)
    succeed(driver, 15)
    assert limit(driver) == 19


def grown_by_one(driver: LimiterDriver) -> None:
    """A limit of 20 is proven and has just grown to 21: two calls have gone out at one moment."""
    while limit(driver) != 21:
        succeed(driver, 1)
    assert len(driver.out) == 21
    driver.rest(0.05)


@pytest.mark.parametrize("refused", [-1, -2])
def test_of_two_calls_of_one_moment_either_may_be_the_one_that_was_too_many(refused: int) -> None:
    driver = aimd(64, initial_limit=20)
    grown_by_one(driver)

    driver.end(limited(), refused)
    assert ceiling(driver) == 21

    cool_down(driver)
    succeed(driver, 16)
    assert limit(driver) == 20


def test_each_refusal_among_the_calls_of_one_moment_says_that_one_less_fits() -> None:
    driver = aimd(64, initial_limit=30)
    driver.admit_all()
    driver.rest(0.05)

    for _ in range(10):
        driver.end(limited(), 3)  # the provider took the others first

    assert ceiling(driver) == 21


# -- the soft ceiling --


def cut_at_21(**config: Any) -> LimiterDriver:
    """Proven at 20, cut at 21, and back at 20; getting over it took one second."""
    driver = aimd(64, initial_limit=20, **config)
    succeed(driver, 25)
    fill_and_refuse_the_last(driver)
    cool_down(driver)
    succeed(driver, 16)
    assert limit(driver) == 20
    kinds(driver)
    return driver


def test_the_ceiling_is_where_the_last_cut_came_from() -> None:
    assert ceiling(cut_at_21()) == 21


def test_growth_stops_below_the_ceiling_while_it_holds() -> None:
    driver = cut_at_21(ceiling_hold=28.0)
    succeed(driver, 500)
    assert limit(driver) == 20


def test_the_ceiling_decays_and_growth_goes_on() -> None:
    driver = cut_at_21(ceiling_hold=7.0)
    driver.rest(8.0)
    succeed(driver, 25)
    assert limit(driver) == 21
    assert ceiling(driver) == 21


def test_a_limit_proven_at_the_ceiling_ends_it_with_an_event() -> None:
    driver = cut_at_21(ceiling_hold=7.0)
    driver.rest(8.0)
    succeed(driver, 50)
    assert ceiling(driver) is None
    assert "request_soft_ceiling_recovered" in kinds(driver)


def test_past_the_ceiling_growth_becomes_faster() -> None:
    driver = cut_at_21(ceiling_hold=0.0)
    succeed(driver, 25)
    limits = []
    for _ in range(4):
        succeed(driver, 25)
        limits.append(limit(driver))
    assert limits == [22, 24, 27, 31]


def test_back_at_the_effective_max_it_is_fully_recovered_and_says_so_once() -> None:
    driver = aimd(4, successes_until_increase=2, ceiling_hold=0.0)
    fill_and_refuse_the_last(driver)
    cool_down(driver)
    succeed(driver, 40)
    assert limit(driver) == 4
    assert kinds(driver).count("request_fully_recovered") == 1


def hold_after_cuts(cuts: int, cost: float, **config: Any) -> float:
    """How long growth is held back after so many cuts at one place, each of which took `cost` seconds to get over."""
    driver = aimd(64, initial_limit=20, successes_until_increase=5, **config)
    succeed(driver, 5)
    for _ in range(cuts):
        succeed_until(driver, 21, pause=1.0)
        fill_and_refuse_the_last(driver)
        cool_down(driver, cost)
        succeed(driver, 16)
    return succeed_until(driver, 21, pause=0.5)


def test_the_ceiling_holds_in_proportion_to_what_a_cut_costs() -> None:
    assert hold_after_cuts(1, 1.0) == pytest.approx(8.0, abs=3.0)
    assert hold_after_cuts(1, 10.0) == pytest.approx(80.0, abs=5.0)


def test_each_further_cut_at_the_same_place_doubles_the_hold_up_to_a_bound() -> None:
    config = {"ceiling_hold": 40.0, "ceiling_hold_max": 160.0}
    holds = [hold_after_cuts(cuts, 2.0, **config) for cuts in (1, 2, 3, 4)]
    assert holds == pytest.approx([40.0, 80.0, 160.0, 160.0], abs=8.0)


def test_no_ceiling_holds_longer_than_its_bound_in_seconds() -> None:
    assert hold_after_cuts(1, 100.0, ceiling_hold_max_seconds=50.0) == pytest.approx(50.0, abs=5.0)


def test_a_long_outage_does_not_count_as_the_cost_of_a_cut() -> None:
    driver = aimd(64, initial_limit=20)
    succeed(driver, 25)
    fill_and_refuse_the_last(driver)
    cool_down(driver)
    for _ in range(600):
        driver.rest(1.0)
        driver.admit()
        driver.end(limited())
    driver.rest(1.0)
    driver.admit()
    driver.end("success")
    driver.rest(30.0)
    succeed(driver, 60)
    held_at = 19  # below the place of the cut
    assert (limit(driver) or 0) > held_at


# -- the cap --


def test_above_a_lowered_limit_nobody_is_admitted_until_enough_have_come_back() -> None:
    driver = aimd(10)
    driver.admit_all()
    driver.limiter.set_cap(4, driver.now)
    assert limit(driver) == 4
    for _ in range(6):
        assert driver.ask() is not None
        driver.end("local_cancelled")
    assert driver.ask() is not None
    driver.end("local_cancelled")
    assert driver.ask() is None


def test_a_refusal_of_a_call_that_went_out_under_a_larger_limit_does_not_cut() -> None:
    driver = aimd(64)
    driver.admit_all()
    driver.limiter.set_cap(10, driver.now)
    driver.end(limited(), -1)
    assert limit(driver) == 10


def test_a_raised_cap_is_grown_into() -> None:
    driver = aimd(10)
    succeed(driver, 1)
    (change,) = driver.limiter.set_cap(64, driver.now)
    assert (change.kind, change.before, change.after) == ("request_effective_cap_changed", 10.0, 64.0)
    assert limit(driver) == 10
    succeed(driver, 25)
    assert limit(driver) == 11


def test_the_same_cap_again_is_no_change() -> None:
    driver = aimd(10)
    assert driver.limiter.set_cap(10, driver.now) == ()


def test_a_cap_raised_during_the_ramp_is_not_jumped_into() -> None:
    driver = aimd(10, startup_ramp_seconds=9.0)
    climb(driver, 3.0)
    driver.limiter.set_cap(64, driver.now)
    assert limit(driver) == 4
    climb(driver, 9.0)
    assert limit(driver) == 10
    succeed(driver, 25)
    assert limit(driver) == 11


def test_a_cap_that_comes_before_the_first_call_is_where_it_starts() -> None:
    driver = aimd(1)
    driver.limiter.set_cap(64, 0.0)
    assert driver.admit_all() == 64


def test_a_call_before_the_cap_is_known_pins_nothing() -> None:
    driver = aimd(None)
    assert limit(driver) is None
    driver.admit()
    driver.end("success")
    driver.limiter.set_cap(64, driver.now)
    assert limit(driver) == 64


def test_without_any_bound_the_first_limit_is_learnt_from_what_was_in_flight() -> None:
    driver = aimd(None)
    driver.admit_all(20)
    driver.end(limited(), -1)
    assert limit(driver) == 15


def test_a_refusal_that_is_known_to_be_about_tokens_changes_no_limit() -> None:
    driver = aimd(8)
    driver.admit_all()
    driver.end(RequestReleaseOutcome(kind="rate_limited", status=429, limited_by="tokens"), -1)
    assert (limit(driver), ceiling(driver), kinds(driver)) == (8, None, [])
    driver.end(limited(), -1)
    assert limit(driver) == 6


def test_the_more_places_a_cut_leaves_empty_the_longer_its_ceiling_holds() -> None:
    def held(left_out: int) -> float:
        driver = aimd(32, initial_limit=16, ceiling_hold=10.0, ceiling_hold_max_seconds=1000.0)
        driver.admit_all()
        driver.end(limited())
        for _ in range(15 - left_out):
            driver.end("local_cancelled")
        driver.admit()
        driver.rest(10.0)
        driver.end("success", place=-1)
        return succeed_until(driver, 16, pause=0.05)

    busy, idle = held(11), held(0)

    assert busy == pytest.approx(10.0 * 5.0, abs=2.0)  # half of the time at least
    assert idle == pytest.approx(10.0 * 10.0 * 14 / 15, abs=2.0)
