"""The workers that have nothing to do: each keeps its trio task until a round of the loop hands it the next.

Spawning and reaping a trio task costs as much as all that is decided about a task. Nothing is decided here: a round
admits as if it spawned, and takes one that is parked where there is any.

A trio task may be used again only where nobody has anything left of its last use. What a task leaves behind under its
trio task's name, a lock, a token of a limiter, an open nursery, an entry in a dictionary of anybody's, refers to that
trio task. So its references are counted: when it begins, always at one place, and at the same place after each use.
There is no list to be read for that, of which trio has several and keeps none for limiters. Two things are not seen by
it: an open cancel scope, of which trio tells its own code, and whoever keeps the number that `id()` gives.

Who was cancelled in a scope of its own (a `trio.sleep` that is over) is still referred to by the frames of that
exception, until trio's loop goes on to another step. Such a worker is parked as well, and counts again when it wakes:
with a task, which a new worker gets if something is left; or when the loop is about to sleep.
"""

from __future__ import annotations

from contextvars import copy_context
from sys import getrefcount, maxsize
from typing import Any, Final
from weakref import getweakrefcount

import trio

from penstock.scheduler.jobs import Job
from penstock.tasks.lease import TaskAdmissionLease

__all__ = ["Admitted", "ParkedWorkers", "Worker"]

Admitted = tuple[Job, TaskAdmissionLease]
"""A task that may run."""

NAME: Final = "penstock worker"
"""What the trio task of one is called that stays parked; up to then it bears the name of its last task."""


class Worker:
    """A worker, in trio task `task`, and what it was handed while it was parked."""

    __slots__ = ("_among", "_scope", "admitted", "as_spawned", "dismissed", "task")

    def __init__(self, among: dict[Worker, None]) -> None:
        self._among = among
        self.task = trio.lowlevel.current_task()
        self._scope: Any = getattr(self.task, "_cancel_status", None)
        self.admitted: Admitted | None = None
        self.as_spawned = True
        """Whether nothing was left when it was looked at last."""
        self.dismissed = False
        """Whether it is to end, with nothing that it was handed."""

    def abort(self, _: object) -> trio.lowlevel.Abort:
        """It is cancelled while it is parked."""
        del self._among[self]
        return trio.lowlevel.Abort.SUCCEEDED

    def in_own_scope(self) -> bool:
        """Whether it is in no cancel scope and no nursery but those in which it began, as trio tells its own code; of
        another trio it is not known, so there nobody is kept."""
        return self._scope is not None and self.task._cancel_status is self._scope


class ParkedWorkers:
    """The workers that are parked, the latest last."""

    def __init__(self) -> None:
        self._parked: dict[Worker, None] = {}
        self._closed = False
        self._references = self._weak_references = maxsize
        """The fewest that there were to any that began."""

    def new(self) -> Worker:
        """That of the trio task which runs now, and has done nothing yet."""
        worker = Worker(self._parked)
        self._references = min(self._references, getrefcount(worker.task))
        self._weak_references = min(self._weak_references, getweakrefcount(worker.task))
        return worker

    def is_as_spawned(self, worker: Worker) -> bool:
        """Whether the next task would find this trio task as it would find a new one, but for its context.

        Of one that has waited `False` may only mean that it is to be asked again after its next wait. Nobody who calls
        this may have a reference of its own, as `new` has none.
        """
        return (
            getrefcount(worker.task) <= self._references
            and worker.in_own_scope()
            and getweakrefcount(worker.task) <= self._weak_references
        )

    @trio.lowlevel.enable_ki_protection
    def park(self, worker: Worker, has_waited: bool) -> bool:
        """Whether it is to wait now until it is rescheduled, with what it is handed or with nothing.

        It is not where its last task has left something; if that `has_waited`, it is to be looked at again, but for one
        in a scope that was left open, whose end would be its own.
        """
        worker.as_spawned = self.is_as_spawned(worker)
        if self._closed or not (worker.as_spawned or (has_waited and worker.in_own_scope())):
            return False
        self._parked[worker] = None
        return True

    def hand(self, admitted: Admitted) -> bool:
        """Whether there was one that goes on with this, under its name and in a context as a new trio task has it."""
        if not self._parked:
            return False
        worker, _ = self._parked.popitem()
        task, worker.admitted = worker.task, admitted
        task.name, task.context = admitted[0].task_id, copy_context()
        trio.lowlevel.reschedule(task)
        return True

    def rest(self, keep: int) -> None:
        """All end but `keep` of them, and those forget the names of their last tasks, and what these have set.

        Those of them that may have left something wake, to be looked at again.
        """
        while len(self._parked) > keep:
            self._dismiss(self._parked.popitem()[0])
        for worker in self._parked:
            worker.task.name, worker.task.context = NAME, copy_context()
        for worker in [worker for worker in self._parked if not worker.as_spawned]:
            del self._parked[worker]
            trio.lowlevel.reschedule(worker.task)

    def close(self) -> None:
        """All end, and those that come later do so at once."""
        self._closed = True
        while self._parked:
            self._dismiss(self._parked.popitem()[0])

    def _dismiss(self, worker: Worker) -> None:
        worker.as_spawned = worker.dismissed = True
        trio.lowlevel.reschedule(worker.task)
