"""How long a run will still take: from what is known, and nothing before that."""

from __future__ import annotations

import pytest

from penstock_batch.running.time_left import Left, StepCount, TimeLeft


def looks(left: TimeLeft, *counts: dict[str, StepCount], start: int = 0) -> Left:
    """What is left after one look a second."""
    answer = Left()
    for second, each in enumerate(counts, start):
        answer = left.look(each, float(second))
    return answer


def going(seconds: int, rate: int, rows: int = 1000, kept: int = 0, price: float | None = None) -> list[StepCount]:
    """A step that ends so many cells a second; `kept` of them came in the first second."""
    return [
        StepCount(rows, kept=kept, ended=rate * s, cost=None if price is None else price * rate * s)
        for s in range(seconds + 1)
    ]


def test_nothing_is_known_at_first() -> None:
    assert looks(TimeLeft(), {"a": StepCount(100)}) == Left()
    assert looks(TimeLeft(), {"a": StepCount(100)}, {"a": StepCount(100, ended=2)}).seconds is None


def test_what_is_left_is_done_at_the_rate_of_late() -> None:
    counts = going(60, 5)
    assert looks(TimeLeft(), *({"a": count} for count in counts)).seconds == pytest.approx((1000 - 300) / 5)


def test_the_slowest_step_decides() -> None:
    pairs = zip(going(40, 5), going(40, 10), strict=True)
    assert looks(TimeLeft(), *({"a": a, "b": b} for a, b in pairs)).seconds == pytest.approx(800 / 5)


def test_a_flood_of_kept_cells_makes_nothing_known() -> None:
    flood = ({"a": StepCount(1000, kept=100 * second)} for second in range(6))
    assert looks(TimeLeft(), *flood) == Left()


def test_a_flood_before_does_not_skew_what_comes_after() -> None:
    left = TimeLeft()
    left.look({"a": StepCount(1000)}, 0.0)
    left.look({"a": StepCount(1000, kept=500)}, 1.0)
    answer = looks(left, *({"a": StepCount(1000, kept=500, ended=5 * s)} for s in range(1, 20)), start=2)
    # One second of twenty was all kept: 405 are left, and at 95 of 20 s they take 85 s.
    assert answer.seconds == pytest.approx(405 * (19 / 20) / (95 / 20))


def test_a_step_whose_cells_are_all_kept_holds_nothing_up() -> None:
    counts = ({"old": StepCount(1000, kept=5 * s), "new": StepCount(1000, ended=5 * s)} for s in range(31))
    assert looks(TimeLeft(), *counts).seconds == pytest.approx(850 / 5)


def test_a_step_that_has_not_begun_comes_on_top() -> None:
    counts = ({"a": count, "b": StepCount(1000)} for count in going(30, 5))
    answer = looks(TimeLeft(), *counts)
    assert answer.at_least
    assert answer.seconds == pytest.approx(850 / 5)


def test_a_step_whose_rows_are_not_known_yet_comes_on_top_too() -> None:
    counts = ({"a": count, "b": StepCount(None)} for count in going(30, 5))
    assert looks(TimeLeft(), *counts).at_least
    assert looks(TimeLeft(), {"a": StepCount(10, ended=10), "b": StepCount(None)}) == Left()


def test_cells_of_rows_that_failed_are_not_left() -> None:
    counts = ({"a": StepCount(1000, ended=5 * s, dropped=5 * s)} for s in range(31))
    assert looks(TimeLeft(), *counts).seconds == pytest.approx(700 / 5)


def test_the_cost_at_the_end_goes_by_what_each_new_cell_has_cost() -> None:
    counts = ({"a": count} for count in going(30, 10, price=0.5))
    assert looks(TimeLeft(), *counts).cost == pytest.approx(1000 * 0.5)


def test_of_a_run_that_is_done_nothing_is_left() -> None:
    done = {"a": StepCount(10, kept=4, ended=5, dropped=1, cost=2.5)}
    assert looks(TimeLeft(), done) == Left(0.0, 2.5)
