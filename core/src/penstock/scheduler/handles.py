"""What the caller of the scheduler holds: what a task is, and how it ended."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Generator, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from typing import Any, Final, Generic, Literal, TypeVar, get_args

import attrs
import trio

from penstock.tasks.records import SchedulingMetadata, TaskGroupSpec
from penstock.words.errors import PenstockError

__all__ = ["FINAL", "EndStatus", "Group", "TaskCancelled", "TaskDropped", "TaskHandle", "TaskSpec", "TaskStatus"]

T = TypeVar("T")

EndStatus = Literal["completed", "failed", "dropped", "cancelled", "shutdown"]
"""How a task can end."""
TaskStatus = Literal["pending", "running", "waiting", EndStatus]
"""Where a task can stand."""

PENDING: Final = "pending"
RUNNING: Final = "running"
WAITING: Final = "waiting"
COMPLETED: Final = "completed"
FAILED: Final = "failed"
DROPPED: Final = "dropped"
CANCELLED: Final = "cancelled"
SHUTDOWN: Final = "shutdown"
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


Group = str | TaskGroupSpec | SchedulingMetadata | None
"""Whom a task is counted under: a plain name, a group, what a step declares, or nobody in particular."""


@attrs.frozen(kw_only=True)
class TaskSpec:
    """A task of a graph, for `scheduler.add`.

    `after`: ids that must be complete first. `members_of`: barriers (ids of specs with `barrier=True` that
    are not sealed yet) that are to wait for this one. `needs`: resources beside a place in `submission`.
    `deadline` is the moment of the run's clock by which the task must have started, retries included.
    `labels` are as for `start_soon`.
    """

    task_id: str
    fn: Callable[..., Awaitable[Any]]
    args: Sequence[Any] = ()
    after: Sequence[str] = ()
    members_of: Sequence[str] = ()
    barrier: bool = False
    group: Group = None
    needs: Mapping[str, int] | None = None
    deadline: float | None = None
    max_attempts: int | None = None
    retry_on: tuple[type[Exception], ...] = ()
    row_group: str | None = None
    column: str | None = None
    labels: Mapping[str, str] | None = None


class TaskHandle(Generic[T]):
    """A task that was given to the scheduler. Awaiting it gives its result, or raises what became of it.

    `on_wait` gives the block in which somebody waits for it.
    """

    __slots__ = ("_on_wait", "_result", "_watchers", "attempts", "retrieved", "status", "task_id")

    def __init__(
        self, task_id: str, on_wait: Callable[[TaskHandle[Any]], AbstractContextManager[None]] = lambda _: nullcontext()
    ) -> None:
        self.task_id = task_id
        self._on_wait = on_wait
        self.status: TaskStatus = PENDING
        self.attempts = 0
        """How many times it was started."""
        self.retrieved = False
        """Whether somebody has asked how it ended; a failure that nobody asked about is raised at the end."""
        self._result: Any = None
        """The value of a task that completed, and otherwise what is to be raised."""
        self._watchers: list[Callable[[TaskHandle[T]], None] | trio.Event] | None = None
        """Who is told of the end: callbacks, and one event for all who wait."""

    @property
    def done(self) -> bool:
        """Whether it has ended, one way or another."""
        return self.status in FINAL

    @property
    def error(self) -> BaseException | None:
        """Why it did not complete; `None` while it is not done, or if it did."""
        self.retrieved = True
        return None if self.status == COMPLETED or not self.done else self._result

    async def wait(self) -> None:
        """Wait until the task has ended, however. Raises `StallError` to a task that waits for itself, or for one that
        waits for it.
        """
        if self.done:
            await trio.lowlevel.checkpoint()
            return
        ended = next((watcher for watcher in self._watchers or () if isinstance(watcher, trio.Event)), None)
        if ended is None:
            ended = trio.Event()
            self._watch(ended)
        with self._on_wait(self):
            await ended.wait()

    def _watch(self, watcher: Callable[[TaskHandle[T]], None] | trio.Event) -> None:
        if self._watchers is None:
            self._watchers = [watcher]
        else:
            self._watchers.append(watcher)

    def result(self) -> T:
        """The result of a task that has ended. Raises its exception, `TaskDropped`, or `TaskCancelled`."""
        if not self.done:
            raise RuntimeError(f"task {self.task_id!r} has not ended yet")
        self.retrieved = True
        if self.status != COMPLETED:
            raise self._result
        value: T = self._result
        return value

    def __await__(self) -> Generator[Any, Any, T]:
        asked, self.retrieved = self.retrieved, True
        try:
            yield from self.wait().__await__()
        except BaseException:
            self.retrieved = asked  # the wait was given up: nobody has heard how it ended
            raise
        return self.result()

    def add_done_callback(self, callback: Callable[[TaskHandle[T]], None]) -> None:
        """Call `callback(handle)` in the loop when the task has ended and its lease is back; at once if it has."""
        self.retrieved = True
        if self.done:
            callback(self)
        else:
            self._watch(callback)

    def settle(self, status: EndStatus, value: T | None = None, error: BaseException | None = None) -> None:
        """The scheduler's: say how it ended, once. Raises what callbacks raised, when all have been called."""
        if self.done:
            raise AssertionError(f"task {self.task_id!r} has ended before, as {self.status}")
        self.status, self._result = status, value if error is None else error
        watchers, self._watchers = self._watchers, None
        if watchers is None:
            return
        errors = []
        for watcher in watchers:
            if isinstance(watcher, trio.Event):
                watcher.set()
                continue
            try:
                watcher(self)
            except Exception as raised:
                errors.append(raised)
        if errors:
            raise ExceptionGroup(f"callbacks of task {self.task_id!r} raised", errors)
