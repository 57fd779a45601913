"""Somebody who waits for tasks of the run to end: what a deadlock is found by."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager
from math import inf

import trio

from penstock.words.errors import StallError

__all__ = ["TaskWait", "TaskWaits"]


class TaskWait:
    """The wait of one trio task for the end of any of some tasks of the run.

    `awaited` gives their ids, none where something else may end the wait. `gives_up_at` is the deadline of the cancel
    scopes around it, `began` the moment at which it began; both of the run's clock.
    """

    __slots__ = ("awaited", "began", "gives_up_at", "scope", "stalled", "waiter")

    def __init__(
        self, waiter: trio.lowlevel.Task, awaited: Callable[[], Collection[str]], gives_up_at: float, began: float
    ) -> None:
        self.waiter = waiter
        self.awaited = awaited
        self.gives_up_at = gives_up_at
        self.began = began
        self.scope = trio.CancelScope()
        self.stalled: StallError | None = None
        """What the wait ends with, if it was part of a deadlock."""

    @property
    def bounded(self) -> bool:
        """Whether the wait ends by itself at some moment."""
        return self.gives_up_at != inf

    def stall(self, error: StallError) -> None:
        """End the wait with this error."""
        self.stalled = error
        self.scope.cancel()


class TaskWaits:
    """Everybody who waits for tasks of one run to end. `changed` is called when somebody begins to wait, or ends it."""

    def __init__(self, changed: Callable[[], None]) -> None:
        self._changed = changed
        self.count = 0
        """How many wait: while somebody does, a run in which nothing can start is a stall."""
        self.by_waiter: dict[trio.lowlevel.Task, TaskWait] = {}
        """Who of them waits for which tasks."""
        self.deadlock_due = False
        """Whether somebody has begun to wait since `end_deadlocks` was called last."""
        self.on_deadlock_due: Callable[[], None] | None = None
        """Tells those who wait for each other."""

    @contextmanager
    def somebody_waits(self) -> Iterator[None]:
        """While this is open, somebody waits."""
        self.count += 1
        self._changed()
        try:
            yield
        finally:
            self.count -= 1
            self._changed()

    @contextmanager
    def wait(self, awaited: Callable[[], Collection[str]]) -> Iterator[None]:
        """While this is open, the trio task in it waits. Raises `StallError` if that was part of a deadlock."""
        wait = TaskWait(trio.lowlevel.current_task(), awaited, trio.current_effective_deadline(), trio.current_time())
        with self.somebody_waits():
            self.by_waiter[wait.waiter] = wait
            self.deadlock_due = True
            try:
                with wait.scope:
                    yield
            finally:
                del self.by_waiter[wait.waiter]
        if wait.stalled is not None and wait.scope.cancelled_caught:
            raise wait.stalled

    def tasks_came(self) -> None:
        """Tasks have become ready: one of them may be waited for, and find no place."""
        self.deadlock_due = self.deadlock_due or bool(self.by_waiter)

    def end_deadlocks(self) -> None:
        """Nothing more starts for now: where it is due, tell those who wait for each other."""
        if self.deadlock_due and self.on_deadlock_due is not None:
            self.deadlock_due = False
            self.on_deadlock_due()
