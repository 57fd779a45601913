"""Many event loops share a gate, and one that dies gives back what its callers had, whatever way it died."""

from __future__ import annotations

import asyncio
import gc
import threading
from collections.abc import Callable
from typing import Any
from weakref import ref

import pytest
import uvloop

pytestmark = [
    pytest.mark.loopback,
    # that a loop is left behind with its tasks is what these tests are about
    pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning"),
    pytest.mark.filterwarnings("ignore::ResourceWarning"),
]


@pytest.fixture(params=[asyncio.new_event_loop, uvloop.new_event_loop], ids=["asyncio", "uvloop"])
def new_loop(request: pytest.FixtureRequest) -> Callable[[], asyncio.AbstractEventLoop]:
    made: Callable[[], asyncio.AbstractEventLoop] = request.param
    return made


def taken_by(loop: asyncio.AbstractEventLoop, opened: Any, how: str) -> list[asyncio.Task[None]]:
    """One task of the loop has the only place, and others wait for it; the loop does not run any more."""

    async def call() -> None:
        async with opened.gate.for_asyncio.request("acme/fast"):
            await asyncio.Event().wait()

    async def execute() -> None:
        await opened.gate.for_asyncio.execute(lambda _: asyncio.Event().wait(), "acme/fast")

    async def detached() -> None:
        async with opened.gate.for_asyncio.request("acme/fast") as attempt:
            held = attempt.detach()
        await asyncio.Event().wait()
        held.release()

    first = {"block": call, "execute": execute, "detached": detached}[how]

    async def main() -> list[asyncio.Task[None]]:
        tasks = [asyncio.create_task(first())]
        await asyncio.to_thread(opened.recorder.wait_for, "model_request_started")
        for number in (1, 2):
            tasks.append(asyncio.create_task(call()))
            await asyncio.to_thread(opened.recorder.wait_for, "request_wait_started", number + 1)
        return tasks

    return loop.run_until_complete(main())


def next_gets_in(opened: Any) -> None:
    with opened.gate.request("acme/fast"):
        assert opened.gate.explain().endswith("no request is waiting")


@pytest.mark.parametrize("how", ["block", "execute", "detached"])
def test_a_loop_that_is_closed_gives_back_what_its_tasks_have(new_loop: Any, open_gate_sync: Any, how: str) -> None:
    with open_gate_sync() as opened:
        loop = new_loop()
        tasks = taken_by(loop, opened, how)
        loop.close()
        next_gets_in(opened)
        assert not any(task.done() for task in tasks), "their tasks are still there"
    assert opened.recorder.outcomes == ["local_cancelled", "success"]


@pytest.mark.parametrize("how", ["block", "execute", "detached"])
def test_a_loop_that_is_dropped_unclosed_gives_back_what_its_tasks_have(open_gate_sync: Any, how: str) -> None:
    with open_gate_sync() as opened:
        loop = asyncio.new_event_loop()
        taken_by(loop, opened, how)
        left = ref(loop)
        del loop
        while left() is not None:  # a thread of its executor may be on its way out of it
            gc.collect()
        next_gets_in(opened)
    assert set(opened.recorder.outcomes[:-1]) == {"local_cancelled"}
    assert opened.recorder.outcomes[-1] == "success"


@pytest.mark.parametrize("how", ["block", "execute", "detached"])
def test_a_thread_that_ends_without_closing_its_loop_gives_back_what_its_tasks_have(
    new_loop: Any, open_gate_sync: Any, how: str
) -> None:
    with open_gate_sync() as opened:
        kept = []

        def work() -> None:
            loop = new_loop()
            kept.append((loop, taken_by(loop, opened, how)))

        thread = threading.Thread(target=work)
        thread.start()
        thread.join()
        next_gets_in(opened)
        kept[0][0].close()
    assert opened.recorder.outcomes == ["local_cancelled", "success"]


def test_a_run_that_ends_without_leaving_its_blocks_gives_them_back(open_gate_sync: Any) -> None:
    with open_gate_sync() as opened:
        blocks = []

        async def main() -> None:
            blocks.append(opened.gate.for_asyncio.request("acme/fast"))
            await blocks[0].__aenter__()

        asyncio.run(main())
        next_gets_in(opened)
    assert opened.recorder.outcomes == ["local_cancelled", "success"]


def test_a_loop_that_lives_keeps_its_tasks_though_nobody_else_does(open_gate: Any) -> None:
    async def main() -> None:
        async with open_gate() as opened:
            block = await opened.taken()
            done = asyncio.Event()

            async def call() -> None:
                async with opened.gate.request("acme/fast"):
                    done.set()

            asyncio.ensure_future(call())  # noqa: RUF006
            await opened.recorder.until("request_wait_started", 2)
            gc.collect()
            await opened.leave(block)
            await done.wait()

    asyncio.run(main())


def test_many_loops_and_threads_share_one_cap(open_gate_sync: Any) -> None:
    with open_gate_sync(cap=2) as opened:

        async def call() -> None:
            async with opened.gate.for_asyncio.request("acme/fast"):
                await asyncio.sleep(0)

        async def many() -> None:
            await asyncio.gather(*(call() for _ in range(10)))

        def plain() -> None:
            for _ in range(10):
                with opened.gate.request("acme/fast"):
                    pass

        threads = [threading.Thread(target=lambda run=run: run(many())) for run in (asyncio.run, uvloop.run) * 2]
        threads += [threading.Thread(target=plain) for _ in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert opened.recorder.most_in_flight == 2
    assert opened.recorder.outcomes == ["success"] * 80


def test_a_loop_forgets_a_gate_that_is_closed(new_loop: Any, open_gate: Any) -> None:
    loop = new_loop()

    async def main() -> None:
        async with open_gate() as opened, opened.gate.request("acme/fast"):
            pass

    for _ in range(3):
        loop.run_until_complete(main())
    loop.run_until_complete(asyncio.sleep(0))
    gc.collect()
    left = [type(each).__name__ for each in gc.get_objects() if type(each).__module__ == "penstock_asyncio.loop_port"]
    assert not {"LoopPort", "_Life"} & set(left)
    loop.close()
