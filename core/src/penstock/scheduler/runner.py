"""Where an admitted task runs: the protocol, and the runner that awaits it right there, in the scheduler's nursery."""

from __future__ import annotations

from collections.abc import Awaitable
from inspect import isawaitable
from math import inf
from types import CoroutineType
from typing import TYPE_CHECKING, Any, Protocol, runtime_checkable

import trio

from penstock.scheduler.callables import name_of
from penstock.words.errors import ConfigError, PenstockError

if TYPE_CHECKING:
    from penstock.tasks.lease import TaskAdmissionLease
    from penstock.tasks.records import SchedulableTask

__all__ = ["NurseryTaskRunner", "TaskRunner", "begin", "cancellation_of", "stray_error"]


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


def stray_error(caught: BaseException, what: str) -> PenstockError | None:
    """The error in which `what` alone ends that raised no `Exception`, such as `SystemExit`, or a `Cancelled` though
    nobody has cancelled it; `None` for what must go on through trio.

    A `KeyboardInterrupt` goes on, since it may be a real one: tasks are not protected from it.
    """
    if trio.current_effective_deadline() == -inf or isinstance(caught, GeneratorExit) or _interrupts(caught):
        return None
    error = PenstockError(f"{what} raised {type(caught).__name__}, which is no Exception: it alone ends by that")
    error.__cause__ = caught
    return error


def _interrupts(caught: BaseException) -> bool:
    if isinstance(caught, BaseExceptionGroup):
        return any(map(_interrupts, caught.exceptions))
    return isinstance(caught, KeyboardInterrupt)


def cancellation_of(caught: BaseException) -> tuple[BaseException, Exception | None]:
    """What of a base exception must go on through trio, and what failed beside it in the task's own nurseries."""
    if not isinstance(caught, BaseExceptionGroup):
        return caught, None
    try:
        errors, left = caught.split(Exception)
    except Exception:  # a group with a `split` or a `derive` of its own
        return caught, None
    if errors is None or left is None:
        return caught, None
    return left, errors
