"""Ids that the scheduler gives need no memory, whatever ids callers give beside them."""

from __future__ import annotations

import pytest
import trio

import penstock
from penstock import ConfigError, TaskSpec
from penstock.readiness.finished_ids import FinishedIds


async def nothing() -> str:
    return "done"


def test_an_id_that_was_given_is_known_and_one_that_was_skipped_is_not() -> None:
    ids = FinishedIds()
    ids.count_to(1)
    ids.count_to(4)

    assert [ids.was_given(f"task-{number}") for number in range(6)] == [False, True, False, False, True, False]
    assert not any(ids.was_given(other) for other in ("task-01", "task-", "task-x", "row-1", "1", "task-1٣"))


async def test_what_ended_under_an_id_of_ours_can_be_named_later(autojump_clock: trio.testing.MockClock) -> None:
    async with penstock.open_scheduler() as scheduler:
        handle = scheduler.start_soon(nothing)
        await handle
        later = scheduler.add([TaskSpec(task_id="later", fn=nothing, after=(handle.task_id,))])
        assert await later["later"] == "done"


async def test_what_runs_under_an_id_of_ours_is_waited_for(autojump_clock: trio.testing.MockClock) -> None:
    order: list[str] = []

    async def first() -> None:
        await trio.sleep(5)
        order.append("first")

    async def then() -> None:
        order.append("then")

    async with penstock.open_scheduler() as scheduler:
        handle = scheduler.start_soon(first)
        await trio.sleep(1)
        scheduler.add([TaskSpec(task_id="then", fn=then, after=(handle.task_id,))])
    assert order == ["first", "then"]


async def test_an_id_of_ours_that_no_task_has_is_unknown(autojump_clock: trio.testing.MockClock) -> None:
    async with penstock.open_scheduler() as scheduler:
        scheduler.start_soon(nothing)
        with pytest.raises(ConfigError):
            scheduler.add([TaskSpec(task_id="later", fn=nothing, after=("task-2",))])


async def test_ids_that_callers_give_are_left_out_by_ours(autojump_clock: trio.testing.MockClock) -> None:
    async with penstock.open_scheduler() as scheduler:
        theirs = scheduler.start_soon(nothing, task_id="task-2")
        ours = [scheduler.start_soon(nothing) for _ in range(3)]
        assert [handle.task_id for handle in (theirs, *ours)] == ["task-2", "task-1", "task-3", "task-4"]
        with pytest.raises(ConfigError, match="there is a task 'task-3' already"):
            scheduler.start_soon(nothing, task_id="task-3")
    assert scheduler.report is not None
    assert scheduler.report.completed == 4


async def test_what_depends_on_a_dropped_task_of_ours_is_dropped(autojump_clock: trio.testing.MockClock) -> None:
    async def fails() -> None:
        raise KeyError("no")

    async with penstock.open_scheduler() as scheduler:
        failed = scheduler.start_soon(fails)
        with pytest.raises(KeyError):
            await failed
        later = scheduler.add([TaskSpec(task_id="later", fn=nothing, after=(failed.task_id,))])["later"]
        with pytest.raises(penstock.TaskDropped):
            await later
