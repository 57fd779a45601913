"""What becomes of the order when the oldest is not ready, is refused, leaves, or comes again; in whole runs."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
import trio
from trio.testing import MockClock

import penstock
from penstock import (
    Denied,
    SchedulableTask,
    Scheduler,
    Signal,
    TaskCancelled,
    TaskDropped,
    TaskGroupSpec,
    TaskSpec,
    hookimpl,
)

GPU = {"gpu": 1}


class Rule:
    """Refuses tasks whose ids are in `shut`, until a signal, and raises for `broken` ones."""

    def __init__(self) -> None:
        self.shut: set[str] = set()

    @hookimpl
    def penstock_task_eligible(self, task: SchedulableTask) -> Denied | None:
        if task.task_id == "broken":
            raise ZeroDivisionError
        return Denied("policy_denial", {Signal("open")}) if task.task_id in self.shut else None


class Run:
    """A run in which one at a time is on the gpu for a second; `log` has who came on it, and when."""

    def __init__(self, scheduler: Scheduler, rule: Rule) -> None:
        self.scheduler = scheduler
        self.rule = rule
        self.log: list[tuple[float, str]] = []

    async def use(self, name: str) -> None:
        self.log.append((trio.current_time(), name))
        await trio.sleep(1.0)

    def start(self, name: str, **options: Any) -> penstock.TaskHandle[None]:
        options = {"needs": GPU, "group": name[0]} | options
        return self.scheduler.start_soon(self.use, name, task_id=name, **options)


@asynccontextmanager
async def a_run(*shut: str, **scheduler: Any) -> AsyncIterator[Run]:
    config = {
        "scheduler": {"resources": {"gpu": 1}, **scheduler},
        "plugins": {"task_policies": ["sequential"], "sequential": {"resources": ["gpu"]}},
    }
    rule = Rule()
    rule.shut |= {*shut}
    async with penstock.open_scheduler(config, plugins=[rule]) as opened:
        yield Run(opened, rule)


async def test_one_that_is_not_ready_yet_has_no_place(autojump_clock: MockClock) -> None:
    async with a_run() as run:
        late = TaskSpec(task_id="late", fn=run.use, args=("late",), after=["first"], needs=GPU)
        run.scheduler.add([late, TaskSpec(task_id="first", fn=run.use, args=("first",), needs=GPU)])
        run.start("b")
        run.start("c")
    assert [name for _, name in run.log] == ["first", "b", "c", "late"]


async def test_the_next_goes_at_the_moment_at_which_the_deadline_of_the_oldest_passes(
    autojump_clock: MockClock,
) -> None:
    async with a_run("old") as run:
        old = run.start("old", deadline=trio.current_time() + 5.0)
        run.start("b")
        with pytest.raises(TaskDropped):
            await old
    assert run.log == [(5.0, "b")]


async def test_the_next_goes_when_the_oldest_is_cancelled(autojump_clock: MockClock) -> None:
    async with a_run("old") as run:
        old = run.start("old")
        run.start("b")
        await trio.sleep(2.0)
        assert run.log == []
        run.scheduler.cancel_task("old")
        with pytest.raises(TaskCancelled):
            await old
    assert run.log == [(2.0, "b")]


async def test_the_gpu_waits_for_an_oldest_that_a_rule_refuses_and_explain_says_so(autojump_clock: MockClock) -> None:
    async with a_run("old") as run:
        run.start("old")
        run.start("b")
        await trio.sleep(2.0)
        assert run.log == []
        words = run.scheduler.explain("b")
        assert "policy_denial by sequential: in order of arrival: task old came first for gpu" in words
        run.rule.shut.clear()
        run.scheduler.signal("open")
    assert run.log == [(2.0, "old"), (3.0, "b")]


async def test_one_that_pauses_before_it_is_tried_again_holds_nobody_up(autojump_clock: MockClock) -> None:
    tries = 0

    async def fails_once() -> None:
        nonlocal tries
        tries += 1
        await run.use(f"try {tries}")
        if tries == 1:
            raise OSError

    async with a_run(retry_backoff=1.5, retry_backoff_max=1.5) as run:
        again = run.scheduler.start_soon(fails_once, needs=GPU, retry_on=(OSError,))
        for name in ("b", "c", "d"):
            run.start(name)
        await again
    assert [name for _, name in run.log] == ["try 1", "b", "c", "d", "try 2"]


async def test_plain_tasks_and_questions_are_answered_while_the_gpu_is_held(autojump_clock: MockClock) -> None:
    async def health_check() -> float:
        return trio.current_time()

    async with a_run() as run:
        for name in ("a1", "b1", "a2", "c1"):
            run.start(name)
        await trio.sleep(0.25)
        assert await run.scheduler.start_soon(health_check, group="health") == 0.25
        assert run.scheduler.health().in_flight == {"submission": 1, "gpu": 1}
        run.scheduler.cancel_task("a2")
        run.scheduler.check_invariants()
    assert run.log == [(0.0, "a1"), (1.0, "b1"), (2.0, "c1")]


async def test_an_oldest_for_which_a_plugin_raises_holds_the_gpu_until_the_stall_timeout(
    autojump_clock: MockClock,
) -> None:
    async with a_run(stall_timeout=60.0) as run:
        broken = run.start("broken")
        run.start("b")
        with pytest.raises(penstock.PluginError):
            await broken
    assert run.log == [(60.0, "b")]


@pytest.mark.parametrize("queue", ["fifo", "fair"])
async def test_it_counts_from_the_moment_at_which_it_comes_while_others_wait(
    queue: str, autojump_clock: MockClock
) -> None:
    without: dict[str, Any] = {"scheduler": {"resources": {"gpu": 1}}, "plugins": {"ready_queue": queue}}
    sequential = {"task_policies": ["sequential"], "sequential": {"resources": ["gpu"]}}
    async with penstock.open_scheduler(without) as scheduler:
        run = Run(scheduler, Rule())
        names = ["a1", "a2", "a3", "b1", "c1", "a4"]
        for name in names:
            run.start(name, group=TaskGroupSpec.named(name[0], 9.0 if name == "c1" else 1.0))
        await trio.sleep(0.5)
        scheduler.reconfigure({**without, "plugins": {**without["plugins"], **sequential}})
    first, *others = [name for _, name in run.log]
    assert first == ("c1" if queue == "fair" else "a1"), "before it came, the queue's order held"
    assert others == [name for name in names if name != first]
