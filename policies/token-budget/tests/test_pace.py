"""A rate kept evenly, and a limit over a long window."""

from __future__ import annotations

from random import Random

import pytest

from penstock_token_budget.pace import Pace
from penstock_token_budget.window import SlidingWindow


def go_at_once(pace: Pace, now: float, amount: float = 1.0, most: int = 100) -> int:
    """How many calls of `amount` may go at `now`."""
    gone = 0
    while pace.free_at <= now and gone < most:
        pace.charge(amount, now)
        gone += 1
    return gone


def test_calls_are_spaced_by_the_rate() -> None:
    pace = Pace(10.0, 0.0)
    moments = [0.0]
    for _ in range(20):
        pace.charge(1.0, moments[-1])
        moments.append(pace.free_at)
    assert moments == pytest.approx([n / 10 for n in range(21)])


def test_nothing_is_saved_before_the_first_call() -> None:
    pace = Pace(10.0, 5.0)
    assert go_at_once(pace, 1000.0) == 1


def test_what_is_saved_is_bounded_by_the_depth() -> None:
    pace = Pace(8.0, 0.5)
    go_at_once(pace, 0.0)
    assert go_at_once(pace, 1000.0) == 5  # half a second's worth, and the one that always may go


def test_what_is_saved_is_bounded_by_the_depth_from_the_first_moment_after_it() -> None:
    pace = Pace(8.0, 0.5)
    pace.put(0.0, 0.0)
    assert go_at_once(pace, 0.75) == 5


def test_any_amount_goes_when_the_debt_is_paid_and_puts_the_next_one_off_by_its_size() -> None:
    pace = Pace(1000.0, 0.0)
    pace.charge(5000.0, 0.0)
    assert pace.free_at == 5.0
    pace.charge(1.0, 5.0)
    assert pace.free_at == pytest.approx(5.001)


def test_a_correction_brings_the_moment_forward_or_puts_it_off() -> None:
    pace = Pace(1000.0, 0.0)
    pace.charge(5000.0, 0.0)
    pace.charge(-4000.0, 0.5)
    assert pace.free_at == 1.0
    pace.charge(3000.0, 0.5)
    assert pace.free_at == 4.0


def test_what_was_saved_and_not_used_is_lost_before_a_correction_counts() -> None:
    pace = Pace(1000.0, 1.0)
    pace.charge(100.0, 0.0)
    pace.charge(500.0, 100.0)
    assert pace.level(100.0) == pytest.approx(500.0)


def test_another_rate_goes_on_from_the_same_level() -> None:
    pace = Pace(1000.0, 1.0)
    pace.charge(5000.0, 0.0)
    pace.change(500.0, 1.0, 1.0)
    assert pace.level(1.0) == pytest.approx(-4000.0)
    assert pace.free_at == pytest.approx(9.0)


def test_no_stretch_of_time_sees_more_than_its_share_the_burst_and_one_call() -> None:
    rng = Random(1)
    pace, depth = Pace(20.0, 0.7), 0.7
    now, gone = 0.0, list[tuple[float, float]]()
    for _ in range(3000):
        now = max(now, pace.free_at) if rng.random() < 0.9 else now + rng.expovariate(0.5)
        if pace.free_at <= now:
            amount = rng.choice((1.0, 2.0, 30.0))
            pace.charge(amount, now)
            gone.append((now, amount))
    for start in range(0, len(gone), 7):
        total = 0.0
        for moment, amount in gone[start : start + 50]:
            assert total <= 20.0 * (moment - gone[start][0] + depth) + 30.0 + 1e-6
            total += amount


def test_a_window_lets_calls_out_until_its_limit_and_names_the_moment_at_which_room_is_again() -> None:
    window = SlidingWindow(100.0, 3600.0)
    for _ in range(4):
        window.charge(25.0, 130.0)
    assert window.used(130.0) == 100.0
    assert window.ready_at(130.0) == 3780.0  # the third minute ends at 180, and what it saw is an hour old at 3780
    assert window.ready_at(3780.0) == 3780.0
    assert window.used(3780.0) == 0.0


def test_room_comes_sub_window_by_sub_window() -> None:
    window = SlidingWindow(100.0, 3600.0)
    window.charge(60.0, 0.0)
    window.charge(60.0, 600.0)
    assert window.ready_at(600.0) == 3660.0
    assert window.used(3660.0) == 60.0


def test_a_correction_counts_where_the_call_was_charged() -> None:
    window = SlidingWindow(100.0, 3600.0)
    early = window.charge(90.0, 0.0)
    window.charge(10.0, 600.0)
    early.amount -= 80.0
    assert window.ready_at(600.0) == 600.0
    assert window.used(3700.0) == 10.0


def test_no_window_wherever_it_begins_sees_more_than_the_limit_and_one_call() -> None:
    rng = Random(2)
    window = SlidingWindow(50.0, 3600.0)
    now, gone = 0.0, list[tuple[float, float]]()
    for _ in range(2000):
        now += rng.expovariate(1 / 40)
        if window.ready_at(now) <= now:
            amount = rng.choice((1.0, 3.0))
            window.charge(amount, now)
            gone.append((now, amount))
    for start, (begin, _) in enumerate(gone):
        seen = [amount for moment, amount in gone[start:] if moment < begin + 3600.0]
        assert sum(seen) - seen[-1] < 50.0
