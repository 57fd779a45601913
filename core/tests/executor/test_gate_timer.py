"""The timer of the request gate turns at the moment that was set last, however often that was moved."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import trio
from trio.testing import MockClock, wait_all_tasks_blocked

from penstock.executor.gate_timer import GateTimer


class Turns:
    """The moments at which a timer turned."""

    def __init__(self) -> None:
        self.at: list[float] = []
        self.timer = GateTimer(self)

    def __call__(self) -> bool:
        self.at.append(trio.current_time())
        self.timer.at = float("inf")
        return len(self.at) < 2


def further_away(timer: GateTimer) -> None:
    for moment in (10.0, 20.0, 30.0):
        timer.move(moment)


def nearer(timer: GateTimer) -> None:
    for moment in (90.0, 60.0, 30.0):
        timer.move(moment)


def further_away_and_nearer(timer: GateTimer) -> None:
    for moment in (10.0, 90.0, 30.0):
        timer.move(moment)


def taken_back(timer: GateTimer) -> None:
    for moment in (10.0, float("inf"), 30.0):
        timer.move(moment)


@pytest.mark.parametrize("moves", [further_away, nearer, further_away_and_nearer, taken_back])
async def test_a_timer_turns_once_and_at_the_moment_that_was_set_last(
    moves: Callable[[GateTimer], None], autojump_clock: MockClock
) -> None:
    turns = Turns()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(turns.timer.run)
        await wait_all_tasks_blocked()
        moves(turns.timer)
        await trio.sleep(100.0)
        assert turns.at == [30.0]
        turns.timer.move(-float("inf"))
    assert turns.at == [30.0, 100.0]


async def test_a_timer_that_is_stopped_turns_once_more(autojump_clock: MockClock) -> None:
    turns = Turns()
    turns.at.append(0.0)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(turns.timer.run)
        await wait_all_tasks_blocked()
        turns.timer.move(50.0)
        turns.timer.stop()
    assert turns.at == [0.0, 0.0]
