"""The contract suite of task runners: what every one must do, as tests. For plugin authors and for our own alike.

Make a subclass in a test file, give it the factory, and pytest runs the suite:

    class TestMyRunner(TaskRunnerContract):
        def make_runner(self):
            return MyRunner(workers=2)

A runner of async functions says so by `plain = False`. `endless` is a function that runs until its task is cancelled,
as code for this runner would be written. Plain asserts: no test framework is imported.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from functools import partial
from random import Random
from traceback import walk_tb
from typing import Any

import trio
import trio.testing

from penstock.scheduler.handles import TaskCancelled, TaskHandle
from penstock.scheduler.places import CountedTaskRunner
from penstock.scheduler.runner import TaskRunner
from penstock.testing.scheduler_rig import SchedulerRig, open_rig
from penstock.words.errors import ConfigError, PenstockError, WorkerLost

__all__ = ["TaskRunnerContract"]

LIMIT = 60.0
"""Seconds that no test of the suite may take."""


def add(first: int, second: int = 1) -> int:
    return first + second


def fail(words: str) -> int:
    raise ValueError(words)


def leave(kind: type[BaseException]) -> int:
    raise kind


async def add_async(first: int, second: int = 1) -> int:
    return add(first, second)


async def fail_async(words: str) -> int:
    return fail(words)


async def leave_async(kind: type[BaseException]) -> int:
    return leave(kind)


class TaskRunnerContract:
    """The suite of one task runner. Subclass it and give it `make_runner`, and `endless` where the default does not do.

    `tasks` is how many the test with random ends hands in.
    """

    plain = True
    """Whether the runner carries out plain functions, and not async ones."""
    tasks = 60

    def make_runner(self) -> TaskRunner:
        """A runner that has run nothing yet, with at least two workers if it counts them."""
        raise NotImplementedError("make_runner: a fresh runner")

    @property
    def endless(self) -> Callable[[], Any]:
        """A function that runs until its task is cancelled."""
        if self.plain:
            raise NotImplementedError("endless: a function that runs until its task is cancelled")
        return trio.sleep_forever

    @property
    def dying(self) -> Callable[[], Any] | None:
        """A function by which the worker dies that carries it out, where workers can."""
        return None

    # -- what a task comes to

    def test_the_result_is_the_functions(self) -> None:
        async def block(rig: SchedulerRig) -> None:
            assert await self.start(rig, self.functions[0], 1, 2) == 3
            assert await self.start(rig, partial(self.functions[0], second=5), 1) == 6

        self.in_run(block)

    def test_the_exception_is_the_functions(self) -> None:
        async def block(rig: SchedulerRig) -> None:
            handle = self.start(rig, self.functions[1], "these words")
            await handle.wait()
            error = handle.error
            assert type(error) is ValueError, repr(error)
            assert error.args == ("these words",)
            names = [frame.f_code.co_name for frame, _ in walk_tb(error.__traceback__)]
            assert "fail" in names, "the traceback leads into the function"
            assert await self.start(rig, self.functions[0], 1) == 2

        self.in_run(block)

    def test_what_is_no_exception_ends_that_task_alone(self) -> None:
        async def block(rig: SchedulerRig) -> None:
            handles = [self.start(rig, self.functions[0], n) for n in range(4)]
            # In the nursery a `KeyboardInterrupt` may be a real one, and a `GeneratorExit` is Python's.
            for kind in (SystemExit, KeyboardInterrupt, GeneratorExit) if self.plain else (SystemExit,):
                handle = self.start(rig, self.functions[2], kind)
                await handle.wait()
                assert isinstance(handle.error, PenstockError), repr(handle.error)
            assert [await each for each in handles] == [1, 2, 3, 4]

        self.in_run(block)

    # -- what is refused when it is handed in

    def test_a_function_of_the_wrong_kind_is_refused_when_it_is_handed_in(self) -> None:
        if not self.plain:
            return  # of a plain function it is seen when it runs: any may return something that can be awaited

        async def block(rig: SchedulerRig) -> None:
            before = rig.scheduler.progress
            refused = self.refusal(rig, add_async, 1)
            assert "'it'" in refused, refused
            assert "add_async" in refused
            assert rig.scheduler.progress == before
            assert await self.start(rig, self.functions[0], 1) == 2

        self.in_run(block)

    def test_checking_calls_nothing_and_changes_nothing(self) -> None:
        async def block(rig: SchedulerRig) -> None:
            fn = self.functions[1]
            for _ in range(3):
                self.runner.check(fn, ("not called",))
            assert rig.scheduler.progress["unfinished"] == 0

        self.in_run(block)

    # -- cancelling

    def test_cancelling_a_task_ends_it_and_no_other(self) -> None:
        async def block(rig: SchedulerRig) -> None:
            handle = rig.scheduler.start_soon(self.endless, runner="it", cancellable=True)
            await trio.testing.wait_all_tasks_blocked()
            other = self.start(rig, self.functions[0], 1)
            rig.scheduler.cancel_task(handle.task_id)
            await handle.wait()
            assert handle.status == "cancelled"
            assert isinstance(handle.error, TaskCancelled)
            assert await other == 2

        self.in_run(block)

    def test_the_end_of_the_run_ends_what_runs(self) -> None:
        async def block(rig: SchedulerRig) -> None:
            handle = rig.scheduler.start_soon(self.endless, runner="it")
            await trio.testing.wait_all_tasks_blocked()
            rig.scheduler.cancel()
            await handle.wait()
            assert handle.status in ("cancelled", "shutdown"), handle.status

        self.in_run(block)

    # -- many

    def test_each_task_runs_once_whatever_becomes_of_others(self) -> None:
        rng = Random(1)
        kinds = rng.choices(("add", "fail", "leave", "cancel", "die"), (6, 2, 1, 1, 0.7), k=self.tasks)
        dying = self.dying

        async def block(rig: SchedulerRig) -> None:
            added, failing, leaving = self.functions
            handles: list[TaskHandle[Any]] = []
            for number, kind in enumerate(kinds):
                how: dict[str, tuple[Any, ...]] = {"fail": (failing, f"{number}"), "leave": (leaving, SystemExit)}
                if dying is not None:
                    how["die"] = (dying,)
                handles.append(self.start(rig, *how.get(kind, (added, number)), cancellable=True))
                if kind == "cancel":
                    rig.scheduler.cancel_task(handles[rng.randrange(number + 1)].task_id)
                if rng.random() < 0.2:
                    await trio.lowlevel.checkpoint()
            for number, (kind, handle) in enumerate(zip(kinds, handles, strict=True)):
                await handle.wait()
                if handle.status == "completed":
                    assert kind in ("add", "cancel") or (kind == "die" and dying is None)
                    assert handle.result() == number + 1
                else:
                    assert handle.error is not None
                    assert kind in ("fail", "leave", "die") or handle.status == "cancelled", (kind, handle.error)
                    died = kind == "die" and handle.status == "failed"
                    assert isinstance(handle.error, WorkerLost) == died
                assert handle.attempts <= 1
            if isinstance(self.runner, CountedTaskRunner):
                standing = self.runner.standing(trio.current_time())
                assert (standing.busy, standing.waiting, standing.running, standing.cancelled) == (0, 0, {}, {})

        self.in_run(block)

    # -- how a test is run

    runner: TaskRunner

    @property
    def functions(self) -> tuple[Callable[..., Any], Callable[..., Any], Callable[..., Any]]:
        """One that adds, one that fails, and one that raises an exception of the kind that it is given."""
        return (add, fail, leave) if self.plain else (add_async, fail_async, leave_async)

    def start(
        self, rig: SchedulerRig, fn: Callable[..., Any], *args: Any, cancellable: bool = False
    ) -> TaskHandle[Any]:
        """The handle of a task at the runner."""
        return rig.scheduler.start_soon(fn, *args, runner="it", cancellable=cancellable)

    def refusal(self, rig: SchedulerRig, fn: Callable[..., Any], *args: Any) -> str:
        """The words with which a task is refused when it is handed in."""
        try:
            self.start(rig, fn, *args)
        except ConfigError as error:
            return str(error)
        raise AssertionError("it was taken")

    def in_run(self, block: Callable[[SchedulerRig], Awaitable[None]]) -> None:
        """Run a block with a fresh runner, beside which nothing may be left."""
        self.runner = self.make_runner()

        async def main() -> None:
            with trio.fail_after(LIMIT):
                async with open_rig(places=8, runners={"it": self.runner}) as rig:
                    await block(rig)

        trio.run(main)
