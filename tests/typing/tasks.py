"""What mypy must know of the task gate's door. Nothing here runs: `mypy` reads it."""

from __future__ import annotations

from functools import partial
from typing import assert_type

import penstock
from penstock import Scheduler, TaskHandle, TaskSpec, TaskStatus
from penstock.testing import SchedulerRig


async def spell(number: int, capital: bool = False) -> str:
    return str(number).upper() if capital else str(number)


async def nothing() -> None:
    return None


def blocking(number: int) -> str:
    return str(number)


async def results_have_the_type_that_the_function_returns(scheduler: Scheduler, rig: SchedulerRig) -> None:
    assert_type(scheduler.start_soon(spell, 1), TaskHandle[str])
    assert_type(scheduler.start_soon(spell, 1, True, group="a", needs={"gpu": 1}, deadline=3), TaskHandle[str])
    assert_type(scheduler.start_soon(partial(spell, capital=True), 1), TaskHandle[str])
    assert_type(await scheduler.start_soon(spell, 1), str)
    assert_type(scheduler.start_soon(spell, 1).result(), str)
    assert_type(scheduler.start_soon(nothing), TaskHandle[None])
    assert_type(rig.scheduler.start_soon(spell, 1), TaskHandle[str])
    async with scheduler.map(spell, [1, 2], window=3, retry_on=(ConnectionError,)) as results:
        assert_type([result async for result in results], list[str])
    assert_type(scheduler.start_soon(nothing).status, TaskStatus)


async def arguments_are_those_of_the_function(scheduler: Scheduler) -> None:
    scheduler.start_soon(spell, "1")  # type: ignore[arg-type]
    scheduler.start_soon(spell)  # type: ignore[call-arg, arg-type]
    scheduler.start_soon(spell, 1, True, 2)  # type: ignore[call-arg, arg-type]
    scheduler.start_soon(blocking, 1)  # type: ignore[arg-type]
    scheduler.start_soon(spell(1))  # type: ignore[call-overload]
    scheduler.map(spell, ["1"])  # type: ignore[arg-type]
    scheduler.map(blocking, [1])  # type: ignore[arg-type]


async def options_are_known_by_name_and_type(scheduler: Scheduler) -> None:
    scheduler.start_soon(spell, 1, grup="a")  # type: ignore[call-overload]
    scheduler.start_soon(spell, 1, group=3)  # type: ignore[call-overload]
    scheduler.start_soon(spell, 1, deadline="soon")  # type: ignore[call-overload]
    scheduler.start_soon(spell, 1, retry_on=("ConnectionError",))  # type: ignore[arg-type]
    scheduler.map(spell, [1], grup="a")  # type: ignore[call-overload]
    scheduler.map(spell, [1], task_id="a")  # type: ignore[call-overload]
    scheduler.emit("row_group_admited")  # type: ignore[arg-type]
    TaskSpec(task_id="a", fn=3)  # type: ignore[arg-type]
    penstock.open_scheduler(plugin=[])  # type: ignore[call-arg]


def a_status_that_no_task_has_is_seen(handle: TaskHandle[None]) -> bool:
    return handle.status == "done"  # type: ignore[comparison-overlap]


async def a_plain_function_names_its_runner(scheduler: Scheduler) -> None:
    assert_type(scheduler.start_soon(blocking, 1, runner="threads"), TaskHandle[str])
    async with scheduler.map(blocking, [1], runner="processes") as results:
        assert_type([result async for result in results], list[str])
    assert_type(scheduler.start_soon(spell, 1, runner="nursery"), TaskHandle[str])
    TaskSpec(task_id="a", fn=blocking, runner="threads")
