"""Who waits for tasks of the run to end: by this a stall is known, and a deadlock is found."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator
from contextlib import AbstractContextManager, contextmanager
from math import inf
from typing import Any

import attrs
import trio

from penstock.scheduler.handles import TaskHandle
from penstock.words.errors import StallError

__all__ = ["TaskWait", "TaskWaits"]


@attrs.define(eq=False)
class TaskWait:
    """The wait of one trio task for the end of any of some tasks of the run.

    `awaited` gives their ids, none where something else may end the wait. `gives_up_at` is the deadline of the cancel
    scopes around it, `began` the moment at which it began; both of the run's clock.
    """

    awaited: Callable[[], Collection[str]]
    waiter: trio.lowlevel.Task = attrs.field(factory=trio.lowlevel.current_task)
    gives_up_at: float = attrs.field(factory=trio.current_effective_deadline)
    began: float = attrs.field(factory=trio.current_time)
    scope: trio.CancelScope = attrs.field(factory=trio.CancelScope)
    stalled: StallError | None = None
    """What the wait ends with, if it was part of a deadlock."""

    @property
    def bounded(self) -> bool:
        """Whether the wait ends by itself at some moment."""
        return self.gives_up_at != inf

    def stall(self, error: StallError) -> None:
        """The end of the wait, with this error."""
        self.stalled = error
        self.scope.cancel()


class TaskWaits:
    """All waits for tasks of one run. `changed` is called when one begins or ends.

    `task_of` gives the id of the task that a trio task carries out.
    """

    def __init__(self, changed: Callable[[], None], task_of: Callable[[trio.lowlevel.Task], str | None]) -> None:
        self._changed = changed
        self._task_of = task_of
        self.count = 0
        """How many wait: while anybody does, a run in which nothing can start is a stall."""
        self.by_waiter: dict[trio.lowlevel.Task, TaskWait] = {}
        """The waits of those of whom it is known which tasks they wait for."""
        self.deadlock_due = False
        """Whether there may be a deadlock that there was not when `end_deadlocks` was called last."""
        self.on_wait: Callable[[trio.lowlevel.Task, int], None] = lambda _, __: None
        """Called with each waiter: with 1 when its wait begins, with -1 when that ends."""
        self.on_deadlock_due: Callable[[], None] | None = None
        """Called to end the deadlocks that there are."""

    @contextmanager
    def counted(self) -> Iterator[None]:
        """A block that counts as a wait."""
        self.count += 1
        self._changed()
        try:
            yield
        finally:
            self.count -= 1
            self._changed()

    @contextmanager
    def wait(self, awaited: Callable[[], Collection[str]]) -> Iterator[None]:
        """A block in which the trio task waits for any of these. Raises `StallError` if that was part of a deadlock."""
        wait = TaskWait(awaited)
        with self.counted():
            self.by_waiter[wait.waiter] = wait
            self.on_wait(wait.waiter, 1)
            self.deadlock_due = True
            try:
                with wait.scope:
                    yield
            finally:
                del self.by_waiter[wait.waiter]
                self.on_wait(wait.waiter, -1)
        if wait.stalled is not None and wait.scope.cancelled_caught:
            raise wait.stalled

    def wait_for(self, handle: TaskHandle[Any]) -> AbstractContextManager[None]:
        """`wait` for the end of one task. Raises `StallError` to that task itself."""
        task_id = handle.task_id
        if self._task_of(trio.lowlevel.current_task()) == task_id:
            raise StallError(chain=[f"task {task_id!r} waits for its own end"])
        return self.wait(lambda: () if handle.done else (task_id,))

    def tasks_ready(self) -> None:
        """Tasks have become ready: one of them may be waited for, and find no place."""
        self.deadlock_due = self.deadlock_due or bool(self.by_waiter)

    def end_deadlocks(self) -> None:
        """Nothing more starts for now: where there may be new deadlocks, they are ended."""
        if self.deadlock_due and self.on_deadlock_due is not None:
            self.deadlock_due = False
            self.on_deadlock_due()
