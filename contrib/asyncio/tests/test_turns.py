"""A call asks for its lease within the turn in which it comes; its end wakes the gate once where nobody waits."""

from __future__ import annotations

import asyncio
import gc
import threading
from collections.abc import Callable, Coroutine
from typing import Any

import pytest

import penstock

pytestmark = pytest.mark.loopback

Run = Callable[[Coroutine[Any, Any, None]], None]

TOO_MANY_FILES = OSError(24, "Too many open files")
NOT_GONE_OUT = penstock.RequestReleaseOutcome(kind="local_cancelled", went_out=False)
HELD_FOR = 0.1
"""So many seconds new calls are held after the first shortage of our own."""


async def run_short(gate: Any) -> None:
    """A call that cannot begin for want of something of ours: new calls are held from now on."""
    with pytest.raises(OSError, match="Too many"):
        async with gate.request("acme/fast"):
            raise TOO_MANY_FILES


async def until_held(opened: Any) -> None:
    while "held, " not in (await opened.gate.explain()):
        await asyncio.sleep(0)


async def one_call(opened: Any, **options: Any) -> None:
    async with opened.gate.request("acme/fast", **options):
        pass


def test_a_call_that_comes_while_calls_are_held_waits(run: Run, open_gate: Any) -> None:
    async def main() -> None:
        async with open_gate() as opened:
            await run_short(opened.gate)
            task = asyncio.create_task(one_call(opened))
            await until_held(opened)
            opened.clock.jump(HELD_FOR)
            await task
        assert opened.recorder.outcomes == ["local_timeout", "success"]

    run(main())


async def turn_while_held(opened: Any, **options: Any) -> tuple[asyncio.Task[None], Any]:
    """A call that has waited 0.05 s for one of two places, and whose turn has come while new calls are held; and the
    block of who has the other place."""
    short, other, next_one = (opened.gate.request("acme/fast") for _ in range(3))
    await short.__aenter__()
    (await other.__aenter__()).finish(NOT_GONE_OUT)
    entering = asyncio.create_task(next_one.__aenter__())
    await opened.recorder.until("request_wait_started")
    waiting: asyncio.Task[None] = await opened.waiting(**options)
    await short.__aexit__(OSError, TOO_MANY_FILES, None)
    await entering
    opened.clock.jump(0.05)
    await opened.leave(other)
    await until_held(opened)
    return waiting, next_one


def test_a_call_whose_turn_comes_while_calls_are_held_waits_on(open_gate: Any) -> None:
    async def main() -> None:
        async with open_gate(cap=2) as opened:
            task, block = await turn_while_held(opened)
            opened.clock.jump(HELD_FOR)
            await task
            await opened.leave(block)

    asyncio.run(main())


def test_what_a_call_has_waited_counts_where_it_is_held_then(open_gate: Any) -> None:
    async def main() -> None:
        async with open_gate(cap=2) as opened:
            task, block = await turn_while_held(opened, timeout=0.08)
            opened.clock.jump(0.04)
            with pytest.raises(penstock.RequestAdmissionError) as refused:
                await task
            assert refused.value.denied.reason == "queue_timeout"
            await opened.leave(block)

    asyncio.run(main())


def test_a_held_call_that_is_cancelled_is_gone(open_gate: Any) -> None:
    async def main() -> None:
        async with open_gate() as opened:
            await run_short(opened.gate)
            task = asyncio.create_task(one_call(opened))
            await until_held(opened)
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task
            while "held, " in (await opened.gate.explain()):
                await asyncio.sleep(0)

    asyncio.run(main())


def test_a_block_that_waited_and_is_dropped_needs_no_collector(open_gate: Any) -> None:
    async def main() -> None:
        async with open_gate() as opened:
            first = await opened.taken()
            second = opened.gate.request("acme/fast")
            entering = asyncio.create_task(second.__aenter__())
            await opened.recorder.until("request_wait_started")
            third = await opened.waiting()
            await opened.leave(first)
            await entering
            del entering, second
            await asyncio.wait_for(third, 60)

    gc.collect()
    gc.disable()
    try:
        asyncio.run(main())
    finally:
        gc.enable()


class OneLongTurn:
    """A sink that ends the turn of the gate in which the first lease is given only when it may."""

    def __init__(self) -> None:
        self.begun = threading.Event()
        self.may_end = threading.Event()

    @penstock.hookimpl
    def penstock_request_event(self, event: penstock.RuntimeEvent) -> None:
        if event.event_kind == "request_lease_acquired":
            self.begun.set()
            self.may_end.wait(60)


def test_an_error_that_is_kept_keeps_no_place_of_another_who_came_with_it(open_gate: Any) -> None:
    turn = OneLongTurn()

    async def refused(opened: Any) -> BaseException:
        with pytest.raises(penstock.ConfigError) as error:
            await one_call(opened, timeout=-1)
        return error.value

    async def main() -> None:
        async with open_gate(cap=2, plugins=[turn]) as opened:
            first = asyncio.create_task(opened.taken())
            await asyncio.to_thread(turn.begun.wait, 60)
            failing = asyncio.create_task(refused(opened))
            block = opened.gate.request("acme/fast")
            entering = asyncio.create_task(block.__aenter__())
            await asyncio.sleep(0)  # both are posted, and carried out in one turn
            turn.may_end.set()
            kept, _ = await asyncio.gather(failing, entering)
            del entering, block, _
            await asyncio.wait_for(one_call(opened), 60)
            await opened.leave(await first)
            assert kept.__traceback__ is not None

    gc.collect()
    gc.disable()
    try:
        asyncio.run(main())
    finally:
        gc.enable()


def test_an_end_that_nobody_waits_for_is_carried_out_in_the_next_turn(run: Run, open_gate: Any) -> None:
    async def main() -> None:
        async with open_gate() as opened:
            await one_call(opened)
            await opened.recorder.until("request_lease_released")

    run(main())


def test_an_end_that_somebody_waits_for_does_not_wait_for_the_loop(open_gate: Any) -> None:
    async def main() -> None:
        async with open_gate() as opened:
            block = await opened.taken()
            await opened.waiting()
            await opened.leave(block)
            opened.recorder.wait_for("request_lease_released")  # blocks the loop

    asyncio.run(main())


def test_whoever_comes_from_another_thread_finds_what_a_standing_loop_has_given_back(open_gate: Any) -> None:
    async def main() -> None:
        async with open_gate() as opened:

            def in_a_thread() -> None:
                with opened.gate.for_threads.request("acme/fast"):
                    pass

            asked = asyncio.get_running_loop().run_in_executor
            await one_call(opened)
            waiting = asked(None, in_a_thread)
            opened.recorder.wait_for("request_lease_released", 2)  # blocks the loop
            await waiting

    asyncio.run(main())


def test_how_long_a_call_took_does_not_count_what_its_loop_did_afterwards(open_gate: Any) -> None:
    async def main() -> None:
        async with open_gate() as opened:
            async with opened.gate.request("acme/fast"):
                opened.clock.jump(2.0)
            opened.clock.jump(5.0)
            await opened.recorder.until("model_request_completed")
            [completed] = opened.recorder.events("model_request_completed")
            assert completed.diagnostics["seconds"] == 2.0

    asyncio.run(main())
