"""Where an admitted task runs: the protocol, and the runner that awaits it right there, in the scheduler's nursery."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from inspect import isawaitable
from types import CoroutineType
from typing import Any, Protocol, runtime_checkable

from penstock.scheduler.callables import check_async_function, name_of
from penstock.tasks.lease import TaskAdmissionLease
from penstock.tasks.records import SchedulableTask
from penstock.words.errors import ConfigError

__all__ = ["LeavingTaskRunner", "NurseryTaskRunner", "TaskRunner", "begin"]


@runtime_checkable
class TaskRunner(Protocol):
    """The way in which admitted tasks are carried out. A runner that is also an asynchronous context manager is entered
    before the run's first task, and left after its last.
    """

    def check(self, fn: Callable[..., Any], args: Sequence[Any]) -> None:
        """Raise `ConfigError`, with what would be right, for a function that cannot be carried out here with these
        arguments.

        Asked of every task that is handed in, in the caller's own stack; the function can be called with the arguments
        as far as its signature tells. It must not call the function.
        """

    async def run(self, task: SchedulableTask, lease: TaskAdmissionLease) -> Any:
        """The result of the task, `task.payload()`; or its exception is raised.

        Awaited inside the worker's own trio task, and cancelled with it. It does not release the lease.
        """


@runtime_checkable
class LeavingTaskRunner(TaskRunner, Protocol):
    """A runner that cannot end what it carries out: it can be told to leave it."""

    def leave(self) -> None:
        """The run ends: `run` need not outlast its cancellation by more than it has said that it does, and raises
        `TaskAbandoned` for what it leaves. May be called again."""


def begin(payload: Callable[[], Any]) -> Awaitable[Any]:
    """What carries a task out when it is awaited: what its `payload` returns. Raises `ConfigError` if that cannot be
    awaited."""
    begun = payload()
    if type(begun) is CoroutineType or isawaitable(begun):
        return begun
    name = name_of(payload)
    raise ConfigError(
        f"{name} returned {type(begun).__name__}; the nursery runs async functions: write `async def`, or give the "
        f'task a runner: runner="threads" if it blocks, runner="processes" if it computes'
    )


class NurseryTaskRunner:
    """The runner that awaits the task's payload where it stands: an async callable without arguments."""

    def check(self, fn: Callable[..., Any], args: Sequence[Any]) -> None:
        check_async_function(fn)

    async def run(self, task: SchedulableTask, lease: TaskAdmissionLease) -> Any:
        return await begin(task.payload)
