"""The workers that have nothing to do: each keeps its trio task until a round of the loop hands it the next.

Spawning and reaping a trio task costs as much as all that is decided about a task. Nothing is decided here: a round
admits as if it spawned, and takes one that is parked where there is any.
"""

from __future__ import annotations

from contextvars import copy_context
from typing import Any, Final

import trio

from penstock.scheduler.jobs import Job
from penstock.tasks.lease import TaskAdmissionLease

__all__ = ["Admitted", "ParkedWorkers", "Worker", "is_as_spawned"]

Admitted = tuple[Job, TaskAdmissionLease]
"""A task that may run."""

NAME: Final = "penstock worker"
"""What the trio task of one is called that stays parked; up to then it bears the name of its last task."""

_lot_breakers: Any
try:
    from trio._core._parking_lot import GLOBAL_PARKING_LOT_BREAKER as _lot_breakers
except ImportError:  # of another trio it is not known, so there nobody is kept
    _lot_breakers = None


def is_as_spawned(task: trio.lowlevel.Task, nursery: trio.Nursery) -> bool:
    """Whether a trio task is in no cancel scope and no nursery but the one that it was spawned in, and holds no lock.

    Of that trio tells nobody but its own code: a scope that is left open would cancel the next task, too, and a lock
    that is never given back fails for the others only when its trio task ends.
    """
    try:
        return task._cancel_status is nursery._cancel_status and task not in _lot_breakers
    except (AttributeError, TypeError):
        return False


class Worker:
    """A worker, in trio task `task`, and what it was handed while it was parked."""

    __slots__ = ("_among", "admitted", "task")

    def __init__(self, among: dict[Worker, None]) -> None:
        self._among = among
        self.task = trio.lowlevel.current_task()
        self.admitted: Admitted | None = None

    def abort(self, _: object) -> trio.lowlevel.Abort:
        """It is cancelled while it is parked."""
        del self._among[self]
        return trio.lowlevel.Abort.SUCCEEDED


class ParkedWorkers:
    """The workers that are parked, the latest last."""

    def __init__(self) -> None:
        self._parked: dict[Worker, None] = {}
        self._closed = False

    def new(self) -> Worker:
        """That of the trio task which runs now."""
        return Worker(self._parked)

    def park(self, worker: Worker) -> bool:
        """Whether it is to wait now until it is rescheduled, with what it is handed or with nothing."""
        if not self._closed:
            self._parked[worker] = None
        return not self._closed

    def hand(self, admitted: Admitted) -> bool:
        """Whether there was one that goes on with this, under its name and in a context as a new trio task has it."""
        if not self._parked:
            return False
        worker, _ = self._parked.popitem()
        task, worker.admitted = worker.task, admitted
        task.name, task.context = admitted[0].task_id, copy_context()
        trio.lowlevel.reschedule(task)
        return True

    def let_go(self, keep: int) -> None:
        """All end but `keep` of them, and those forget the names of their last tasks, and what these have set."""
        while len(self._parked) > keep:
            trio.lowlevel.reschedule(self._parked.popitem()[0].task)
        for worker in self._parked:
            worker.task.name, worker.task.context = NAME, copy_context()

    def close(self) -> None:
        """All end, and those that come later do so at once."""
        self._closed = True
        self.let_go(0)
