"""Where an admitted task runs: the protocol, and the runner that awaits it right there, in the scheduler's nursery."""

from __future__ import annotations

from collections.abc import Awaitable
from inspect import isawaitable
from types import CoroutineType
from typing import Any, Protocol, runtime_checkable

from penstock.scheduler.callables import name_of
from penstock.tasks.lease import TaskAdmissionLease
from penstock.tasks.records import SchedulableTask
from penstock.words.errors import ConfigError

__all__ = ["NurseryTaskRunner", "TaskRunner", "begin"]


@runtime_checkable
class TaskRunner(Protocol):
    """The way in which an admitted task is carried out. Awaited inside the worker's own trio task; cancelled with it.

    It returns the task's result or raises the task's exception. It does not release the lease.
    """

    async def run(self, task: SchedulableTask, lease: TaskAdmissionLease) -> Any: ...


def begin(task: SchedulableTask) -> Awaitable[Any]:
    """What carries the task out when it is awaited. Raises `ConfigError` if its function returned no such thing."""
    begun = task.payload()
    if type(begun) is CoroutineType or isawaitable(begun):
        return begun
    name = name_of(task.payload)
    raise ConfigError(
        f"{name} returned {type(begun).__name__}; the nursery runs async functions: "
        f"write `async def`, or start (trio.to_thread.run_sync, {name}, …) if it blocks"
    )


class NurseryTaskRunner:
    """The runner that awaits the task's payload where it stands: an async callable without arguments."""

    async def run(self, task: SchedulableTask, lease: TaskAdmissionLease) -> Any:
        return await begin(task)
