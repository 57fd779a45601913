"""The runner: so many threads at a time, told when their tasks are cancelled, and left only when the run ends.

The limit is the runner's own. trio's shared one of forty is for whatever else blocks: name look-ups, files, other
libraries; if tasks took it up, those would wait for tasks.

A thread that was told to end and does not is waited for while the run goes on: its task's place and resources are in
use. When the run ends, its grace over, it is left after `leave_after` seconds more; trio's threads do not keep the
process from ending.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import trio

from penstock import (
    RunnerStanding,
    SchedulableTask,
    TaskAdmissionLease,
    WorkerPlaces,
    check_plain_function,
    run_in_thread,
)

__all__ = ["ThreadTaskRunner"]


class ThreadTaskRunner:
    """A runner of plain functions, each in a thread; at most `workers` at a time, the others in order of arrival."""

    def __init__(self, workers: int, leave_after: float = 2.0) -> None:
        self._places = WorkerPlaces(workers)
        self._leave_after = leave_after
        self._leaving = trio.Event()

    def check(self, fn: Callable[..., Any], args: Sequence[Any]) -> None:
        """Raise `ConfigError` for an async function."""
        check_plain_function(fn)

    async def run(self, task: SchedulableTask, lease: TaskAdmissionLease) -> Any:
        """The result of the task, from a thread."""
        async with self._places.place(task.task_id):
            return await run_in_thread(task.payload, leave=partial(self._until_left, task.task_id), name=task.task_id)

    async def _until_left(self, task_id: str) -> None:
        """The wait for a thread whose task was cancelled, until it may be left."""
        self._places.cancelled(task_id)
        await self._leaving.wait()
        await trio.sleep(self._leave_after)

    def leave(self) -> None:
        """The run ends: threads that do not are left."""
        self._leaving.set()

    def standing(self, now: float) -> RunnerStanding:
        """How many are busy, and who waits."""
        return self._places.standing(now)
