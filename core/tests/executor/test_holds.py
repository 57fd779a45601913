"""The hold of new calls: how long it lasts, and who is let go when a call has ended."""

from __future__ import annotations

import trio
from trio.testing import MockClock

from penstock.executor.hold import Hold
from penstock.executor.pauses import Pauses


def test_a_hold_doubles_with_each_shortage_in_a_row_until_a_call_is_answered() -> None:
    hold = Hold()
    for now, seconds in ((10.0, 0.1), (20.0, 0.2), (30.0, 0.4)):
        hold.begin("no files", now, now)
        assert hold.until == now + seconds
    hold.answered()
    hold.begin("no files", 40.0, 40.0)
    assert hold.until == 40.1
    hold.end()
    assert hold.until == 0.0


async def test_a_call_that_ends_lets_one_go_of_those_who_are_held(autojump_clock: MockClock) -> None:
    pauses = Pauses()
    ended: list[tuple[float, bool]] = []
    started = trio.current_time()

    async def hold(held: bool) -> None:
        let_go = await pauses.pause("no files", started + 5.0, held=held)
        ended.append((trio.current_time() - started, let_go))

    async with trio.open_nursery() as nursery:
        for held in (True, True, True, False):
            nursery.start_soon(hold, held)
        await trio.sleep(1.0)
        assert pauses.let_one_go()
        await trio.sleep(1.0)
    assert sorted(ended) == [(1.0, True), (5.0, False), (5.0, False), (5.0, False)]
    assert not pauses.let_one_go()
