"""The bell of the shells: a ring is never lost, and nobody sleeps longer than he said; in virtual time."""

from __future__ import annotations

import trio
from trio.testing import MockClock, wait_all_tasks_blocked

from penstock.scheduler.wakeup import WakeUp


async def test_a_ring_wakes_the_sleeper(autojump_clock: MockClock, nursery: trio.Nursery) -> None:
    bell = WakeUp()
    woken: list[float] = []

    async def sleeper() -> None:
        for _ in range(2):
            await bell.sleep_until()
            woken.append(trio.current_time())

    nursery.start_soon(sleeper)
    await trio.sleep(1)
    bell.ring()
    bell.ring()
    await wait_all_tasks_blocked()
    assert woken == [1.0], "two rings for one sleep"
    await trio.sleep(1)
    bell.ring()
    await wait_all_tasks_blocked()
    assert woken == [1.0, 2.0]


async def test_a_ring_while_nobody_sleeps_ends_the_next_sleep_at_once(autojump_clock: MockClock) -> None:
    bell = WakeUp()
    bell.ring()
    await bell.sleep_until(10.0)
    assert trio.current_time() == 0.0
    await bell.sleep_until(10.0)
    assert trio.current_time() == 10.0


async def test_a_sleep_that_was_cancelled_leaves_the_bell_whole(autojump_clock: MockClock) -> None:
    bell = WakeUp()
    with trio.move_on_after(1):
        await bell.sleep_until()
    bell.ring()
    await bell.sleep_until()
    assert trio.current_time() == 1.0
