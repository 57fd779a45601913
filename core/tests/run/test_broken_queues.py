"""A queue of a plugin that answers what is no answer ends its run by an error that names it and the method; it keeps no
loop awake, starts no task twice, and loses no lease.
"""

from __future__ import annotations

from math import inf, nan
from typing import Any

import pytest
import trio
from trio.testing import MockClock

import penstock
from penstock import FifoRequestWaiters, FifoTaskQueue, hookimpl
from penstock.testing import make_task

CONFIG = {
    "scheduler": {"submission_capacity": 2},
    "providers": {"acme": {"models": {"small": {"max_parallel_requests": 1}}}},
    "plugins": {"sinks": []},
}


class Delegating:
    """A ready queue that is none of lanes, with one of them inside."""

    def __init__(self) -> None:
        self._queue = FifoTaskQueue()

    def __getattr__(self, name: str) -> Any:
        return getattr(self._queue, name)


def answering(kind: type[Any], method: str, answer: object) -> Any:
    """A queue of this kind, one of whose methods has only this answer."""
    return type("Odd", (kind,), {method: lambda self, *_: answer})()


class Plugin:
    """Makes these queues."""

    def __init__(self, queue: Any = None, waiters: Any = None) -> None:
        self._queue, self._waiters = queue, waiters

    @hookimpl
    def penstock_ready_queue(self, settings: object) -> Any:
        return self._queue

    @hookimpl
    def penstock_request_waiters(self, settings: object) -> Any:
        return self._waiters


async def call() -> None:
    async with penstock.request("acme/small"):
        await trio.sleep(1)


def leaves(error: BaseException) -> list[BaseException]:
    return (
        [leaf for each in error.exceptions for leaf in leaves(each)]
        if isinstance(error, BaseExceptionGroup)
        else [error]
    )


async def errors_with(plugin: Plugin) -> list[str]:
    """What the run ends by: three tasks with a call each, and one that is cancelled while it is queued."""
    scheduler: penstock.Scheduler | None = None
    told: list[str] = []
    try:
        with trio.fail_after(5000):
            async with penstock.open_scheduler(CONFIG, plugins=[plugin]) as scheduler:
                handles = [scheduler.start_soon(call, group=f"g{n % 2}") for n in range(3)]
                late = scheduler.start_soon(call, task_id="late")
                await trio.sleep(0.5)
                scheduler.cancel_task("late")
                scheduler.explain()
                for handle in (*handles, late):
                    try:
                        await handle
                    except PenstockErrors:
                        continue
    except BaseException as error:
        told = [f"{type(each).__name__}: {each}" for each in leaves(error)]
    if scheduler is not None:
        assert scheduler.report is not None
        assert scheduler.report.leases[0] == scheduler.report.leases[1]
        assert scheduler.report.request_leases[0] == scheduler.report.request_leases[1]
    return told


PenstockErrors = (penstock.PenstockError, penstock.TaskCancelled, penstock.TaskDropped)
NO_MOMENTS = ("soon", True, nan, object(), [1.0])
PAST = (0, -1.0, -inf)
NO_RECORDS = (0, "x", object(), ["x"])


@pytest.mark.parametrize("kind", [FifoTaskQueue, Delegating])
@pytest.mark.parametrize(
    ("method", "must", "answers"),
    [
        ("enqueue", "return", (None, 3, "task-0", object())),
        ("select_next", "return", NO_RECORDS),
        ("commit", "return", (*NO_RECORDS, make_task("another"))),
        ("discard", "return", (*NO_RECORDS, make_task("another"))),
        ("blocked", "return", (None, *NO_RECORDS)),
        ("view", "return", (None, *NO_RECORDS)),
        ("next_change", "return", NO_MOMENTS),
        ("next_change", "be later", PAST),
    ],
)
async def test_what_a_ready_queue_answers_is_looked_at(
    autojump_clock: MockClock, kind: type[Any], method: str, must: str, answers: tuple[object, ...]
) -> None:
    for answer in answers:
        told = await errors_with(Plugin(answering(kind, method, answer)))
        assert told, f"{answer!r} was taken"
        assert all(f"plugin 'Plugin': {method} must {must}" in each for each in told), (answer, told)


@pytest.mark.parametrize(
    ("method", "answers"),
    [
        ("enqueue", (None,)),
        ("select_next", NO_RECORDS),
        ("commit", (None, *NO_RECORDS)),
        ("next_change", (*NO_MOMENTS, *PAST)),
    ],
)
async def test_what_a_queue_of_waiting_calls_answers_is_looked_at(
    autojump_clock: MockClock, method: str, answers: tuple[object, ...]
) -> None:
    for answer in answers:
        told = await errors_with(Plugin(waiters=answering(FifoRequestWaiters, method, answer)))
        assert told, f"{answer!r} was taken"
        assert all("plugin 'Plugin': its queue of waiting calls" in each for each in told), (answer, told)


async def test_a_task_that_is_committed_and_selected_again_is_not_started_twice(autojump_clock: MockClock) -> None:
    class Keeps(FifoTaskQueue):
        """Gives a task out, and keeps it."""

        def commit(self, selection: penstock.QueueSelection, now: float) -> penstock.SchedulableTask | None:
            return selection.item

    told = await errors_with(Plugin(Keeps()))
    assert told
    assert all("select_next must select a task that is queued" in each for each in told)


@pytest.mark.parametrize("kind", [FifoTaskQueue, Delegating])
async def test_a_queue_that_has_no_view_is_named_where_its_run_begins(
    autojump_clock: MockClock, kind: type[Any]
) -> None:
    def view(_: object) -> penstock.QueueView:
        raise RuntimeError("none yet")

    (told,) = await errors_with(Plugin(type("Odd", (kind,), {"view": view})()))
    assert "plugin 'Plugin': its ready queue: raised RuntimeError at" in told


@pytest.mark.parametrize("kind", [FifoTaskQueue, Delegating])
async def test_a_queue_whose_view_raises_no_exception_is_named(autojump_clock: MockClock, kind: type[Any]) -> None:
    def view(_: object) -> penstock.QueueView:
        raise SystemExit(3)

    (told,) = await errors_with(Plugin(type("Odd", (kind,), {"view": view})()))
    assert "plugin 'Plugin': its ready queue: raised SystemExit at" in told
