"""What the caller of the scheduler holds of a task: where it stands, and how it ended."""

from __future__ import annotations

from collections.abc import Callable, Generator
from contextlib import AbstractContextManager
from typing import Any, Final, Generic, Literal, TypeVar, get_args

import trio

from penstock.words.checks import shown
from penstock.words.errors import ConfigError, PenstockError

__all__ = ["FINAL", "EndStatus", "TaskCancelled", "TaskDropped", "TaskHandle", "TaskStatus", "call_watchers"]

T = TypeVar("T")

EndStatus = Literal["completed", "failed", "dropped", "cancelled", "shutdown"]
"""How a task can end."""
TaskStatus = Literal["pending", "running", "waiting", EndStatus]
"""Where a task can stand."""

FINAL: Final[frozenset[EndStatus]] = frozenset(get_args(EndStatus))


class TaskDropped(PenstockError):
    """A task was given up without being carried out; `reason` says why, and the cause is the failure that led to it."""

    def __init__(self, task_id: str, reason: str) -> None:
        self.task_id = task_id
        self.reason = reason
        super().__init__(f"task {task_id!r} was dropped: {reason}")


class TaskCancelled(PenstockError):
    """A task was cancelled, or the scheduler shut down, before it was done."""

    def __init__(self, task_id: str, reason: str) -> None:
        self.task_id = task_id
        self.reason = reason
        super().__init__(f"task {task_id!r} was not carried out: {reason}")


class TaskHandle(Generic[T]):
    """The handle of a submitted task: awaiting it gives the result, or raises what became of the task."""

    __slots__ = tuple[str, ...]()  # what it has is where it is made: it is one object with other things then

    task_id: str
    status: TaskStatus
    attempts: int
    """How many times it was started."""
    retrieved: bool
    """Whether its end was asked for; a failure that nobody asked for is raised at the end of the run."""
    _outcome: Any
    """The value of a task that completed, or what is to be raised; before the end a list of what that sets off:
    callbacks, and one event for all who wait; `None` if there is nothing of that."""

    @property
    def done(self) -> bool:
        """Whether it has ended, one way or another."""
        return self.status in FINAL

    @property
    def error(self) -> BaseException | None:
        """Why it did not complete; `None` while it is not done, or if it did."""
        self.retrieved = True
        return None if self.status == "completed" or not self.done else self._outcome

    async def wait(self) -> None:
        """The end of the task, however it ends. Raises `StallError` to a task that waits for itself, or for one that
        waits for it.
        """
        if self.done:
            await trio.lowlevel.checkpoint()
            return
        with self._waiting():
            ended = next((watcher for watcher in self._outcome or () if isinstance(watcher, trio.Event)), None)
            if ended is None:
                ended = trio.Event()
                self._watch(ended)
            await ended.wait()

    def _waiting(self) -> AbstractContextManager[None]:
        """The block in which a trio task waits for it."""
        raise NotImplementedError

    def _watch(self, watcher: Callable[[TaskHandle[T]], None] | trio.Event) -> None:
        self._outcome = self._outcome or []
        self._outcome.append(watcher)

    def result(self) -> T:
        """The result of a task that has ended. Raises its exception, `TaskDropped`, or `TaskCancelled`."""
        if not self.done:
            raise RuntimeError(f"task {self.task_id!r} has not ended yet")
        self.retrieved = True
        if self.status != "completed":
            raise self._outcome
        value: T = self._outcome
        return value

    def __await__(self) -> Generator[Any, Any, T]:
        asked, self.retrieved = self.retrieved, True
        try:
            yield from self.wait().__await__()
        except BaseException:
            self.retrieved = asked  # the wait was given up, so the end was not asked for
            raise
        return self.result()

    def add_done_callback(self, callback: Callable[[TaskHandle[T]], None]) -> None:
        """A call of `callback(handle)` in the loop when the task has ended and its lease is back; at once if it has.

        What it raises is raised when the scheduler closes. Raises `ConfigError` for what cannot be called.
        """
        if not callable(callback):
            raise ConfigError(f"callback must be a function that takes the handle, not {shown(callback)}")
        self.retrieved = True
        if self.done:
            callback(self)
        else:
            self._watch(callback)

    def settle(self, status: EndStatus, value: T | None = None, error: BaseException | None = None) -> None:
        """The end, which the scheduler sets once. Raises what callbacks raised, when all have been called."""
        raise NotImplementedError


def call_watchers(handle: Any, watchers: list[Callable[[Any], None] | trio.Event]) -> None:
    """Set off what waited for the end of the task of this handle. Raises what callbacks raised, as a group."""
    errors: list[Exception] = []
    for watcher in watchers:
        if isinstance(watcher, trio.Event):
            watcher.set()
            continue
        try:
            watcher(handle)
        except Exception as raised:
            errors.append(raised)
        except BaseException as raised:  # no real Ctrl+C: the end of a task is protected from it
            error = PenstockError(f"a callback raised {type(raised).__name__}, which is no Exception")
            error.__cause__ = raised
            errors.append(error)
    if errors:
        raise ExceptionGroup(f"callbacks of task {handle.task_id!r} raised", errors)
