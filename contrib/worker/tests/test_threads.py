"""Plain tasks, each in a thread. With real threads, and so real time; waits for events, never for durations."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from typing import Any

import pytest
import trio

import penstock
from penstock_worker.handlers import Handlers

Worker = Any
"""The fixture of that name, `StartWorker` in `conftest.py`."""

pytestmark = pytest.mark.loopback


@pytest.fixture
def hanging(handlers: Handlers) -> Iterator[Handlers]:
    """A plain task that far outlasts its time limit: until the test is over."""
    end = threading.Event()

    @handlers.task(time_limit=0.05)
    def hangs(payload: Any, context: Any) -> None:
        end.wait(30)

    yield handlers
    end.set()


async def test_so_many_plain_tasks_are_at_work_together_as_there_are_workers(
    worker: Worker, handlers: Handlers
) -> None:
    together = threading.Barrier(8, timeout=30)

    @handlers.task
    def meet(payload: Any, context: Any) -> int:
        return together.wait()

    async with worker(handlers, 8) as worked:
        for number in range(8):
            await worked.send(str(number))
        outcomes = await worked.answers(*map(str, range(8)))

    assert sorted(outcome.value for outcome in outcomes) == list(range(8))


async def test_one_worker_does_plain_tasks_in_the_order_in_which_they_came(worker: Worker, handlers: Handlers) -> None:
    at_work: list[str] = []
    most: list[int] = []

    @handlers.task
    def work(payload: str, context: Any) -> None:
        at_work.append(payload)
        most.append(len(at_work))
        at_work.remove(payload)

    async with worker(handlers) as worked:
        names = [f"{queue}{number}" for number in range(50) for queue in "ab"]
        await worked.send_raw(b"".join(worked.parent.line(name, name, queue=name[0]) for name in names))

    assert list(worked.parent.outcomes) == names
    assert set(most) == {1}


async def test_calls_of_a_plain_task_pass_the_request_gate(worker: Worker, handlers: Handlers) -> None:
    at_once: list[int] = []
    lock = threading.Lock()

    @handlers.task
    def call(payload: Any, context: Any) -> None:
        with penstock.request("acme/small"):
            assert lock.acquire(blocking=False), "another call is under way"
            at_once.append(1)
            lock.release()

    models = {"small": {"max_parallel_requests": 1}}
    async with worker(handlers, 4, {"providers": {"acme": {"models": models}}}) as worked:
        for number in range(12):
            await worked.send(str(number))

    assert [outcome.kind for outcome in worked.parent.outcomes.values()] == ["success"] * 12
    assert len(at_once) == 12


@pytest.mark.parametrize("error", [ValueError("no"), SystemExit(3), KeyboardInterrupt(), GeneratorExit()])
async def test_whatever_a_plain_task_raises_is_its_answer(
    worker: Worker, handlers: Handlers, error: BaseException
) -> None:
    @handlers.task
    def raises(payload: Any, context: Any) -> None:
        raise error

    async with worker(handlers) as worked:
        await worked.send("a")
        (outcome,) = await worked.answers("a")

    assert outcome.value.startswith(type(error).__name__)
    assert worked.exit_code == 0


async def test_a_plain_task_that_returns_a_coroutine_is_told_to_be_async(worker: Worker, handlers: Handlers) -> None:
    async def inner() -> None: ...

    @handlers.task
    def outer(payload: Any, context: Any) -> Any:
        return inner()

    async with worker(handlers) as worked:
        await worked.send("a")
        (outcome,) = await worked.answers("a")

    assert "async def" in outcome.value


async def test_a_plain_task_is_answered_at_its_time_limit_and_keeps_its_place(
    worker: Worker, handlers: Handlers
) -> None:
    end = threading.Event()

    @handlers.task(time_limit=0.5)
    def wait(payload: bool, context: Any) -> bool:
        return payload or end.wait(30)

    async with worker(handlers) as worked:
        await worked.send("waits", False)
        await worked.send("next", True)
        (overdue,) = await worked.answers("waits")
        assert worked.parent.pending == {"next"}, "the place is still in use"
        end.set()
        (after,) = await worked.answers("next")

    assert (overdue.kind, after.kind) == ("failure", "success")
    assert worked.parent.warnings == [], "the thread that returns late is answered no second time"
    assert worked.exit_code == 0


async def test_a_worker_whose_every_place_is_lost_ends_so_that_it_is_started_anew(
    worker: Worker, hanging: Handlers
) -> None:
    async with worker(hanging, 2) as worked:
        for name in ("a", "b", "c"):
            await worked.send(name)
        await worked.exit()

    assert {name: outcome.kind for name, outcome in worked.parent.outcomes.items()} == dict.fromkeys("abc", "failure")
    assert worked.exit_code == 1


async def test_the_end_of_the_input_does_not_wait_for_a_thread_that_was_answered_for(
    worker: Worker, hanging: Handlers
) -> None:
    with trio.fail_after(20):
        async with worker(hanging, 4) as worked:
            await worked.send("a")

    assert worked.exit_code == 0


async def test_a_thread_that_does_not_return_is_left_after_the_grace(worker: Worker, handlers: Handlers) -> None:
    end, begun = threading.Event(), trio.Event()
    token = trio.lowlevel.current_trio_token()

    @handlers.task
    def hangs(payload: Any, context: Any) -> None:
        token.run_sync_soon(begun.set)
        end.wait(30)

    async with worker(handlers, 1, {"worker": {"grace": 0.1}}) as worked:
        await worked.send("a")
        await worked.send("b")
        await begun.wait()
        worked.signal()
        await worked.exit()
    end.set()

    assert worked.parent.outcomes["a"].value == "the worker was stopped before the task was done"
    assert worked.parent.outcomes["b"].value == "the worker was stopped before the task started"
    assert worked.exit_code == 0
