"""Moments come when they are set, in whatever way they were moved before."""

from __future__ import annotations

import gc
from math import inf

from hypothesis import given, strategies as st

from penstock_wire import Moments
from penstock_wire.moments import TICK

MOVES = st.lists(st.tuples(st.integers(0, 3), st.one_of(st.floats(0.0, 5.0), st.just(inf))), max_size=30)


@given(MOVES, st.lists(st.floats(0.0, 1.0), min_size=1, max_size=20))
def test_each_comes_once_after_its_time_and_at_most_a_tick_late(
    moves: list[tuple[int, float]], steps: list[float]
) -> None:
    moments, came = Moments(), list[int]()
    four = [moments.new(lambda number=number: came.append(number)) for number in range(4)]  # type: ignore[misc]
    wanted = dict.fromkeys(range(4), inf)
    for number, at in moves:
        four[number].set(at)
        wanted[number] = at
    now = 0.0
    for step in [*steps, 10.0]:
        now += step
        before = set(came)
        for moment in moments.come(now):
            moment.callback()
        for number in set(came) - before:
            assert wanted[number] <= now
        assert all(number in came for number, at in wanted.items() if at + TICK <= now)
    assert len(came) == len(set(came))
    assert moments.next == inf


def test_one_that_is_not_needed_any_more_never_comes_and_holds_nothing() -> None:
    moments = Moments()
    dropped, moved = moments.new(lambda: None), moments.new(lambda: None)
    dropped.set(1.0)
    moved.set(1.0)
    dropped.drop()
    moved.set(3.0)
    assert moments.come(2.0) == []
    assert 3.0 <= moments.next <= 3.0 + TICK
    assert moments.come(4.0) == [moved]
    assert moments.next == inf


def test_a_slot_from_which_all_were_taken_keeps_no_set_until_its_time() -> None:
    moments = Moments()
    moment = moments.new(lambda: None)
    before = sum(type(each) is set for each in gc.get_objects())
    for second in range(1000, 0, -1):
        moment.set(float(second))
    assert sum(type(each) is set for each in gc.get_objects()) == before + 1
    assert moments.come(1.0) == [moment]
    moment.set(1000.0)
    assert moments.come(999.0) == []
    assert moments.come(1000.0) == [moment]
    assert moments.next == inf
