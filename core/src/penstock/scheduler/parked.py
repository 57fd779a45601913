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

__all__ = ["Admitted", "ParkedWorkers", "is_as_spawned"]

Admitted = tuple[Job, TaskAdmissionLease]
"""A task that may run."""

NAME: Final = "penstock worker"
"""What the trio task of one that is parked is called."""

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


class ParkedWorkers:
    """The workers that are parked, the latest last."""

    def __init__(self) -> None:
        self._parked: dict[trio.lowlevel.Task, None] = {}
        self._handed: dict[trio.lowlevel.Task, Admitted] = {}
        self._closed = False

    @trio.lowlevel.enable_ki_protection
    async def park(self, me: trio.lowlevel.Task) -> Admitted | None:
        """What this worker is to go on with, when there is something; `None` when it is to end."""
        if self._closed:
            return None

        def abort(_: object) -> trio.lowlevel.Abort:
            del self._parked[me]
            return trio.lowlevel.Abort.SUCCEEDED

        me.name = NAME
        self._parked[me] = None
        await trio.lowlevel.wait_task_rescheduled(abort)
        return self._handed.pop(me, None)

    def hand(self, admitted: Admitted) -> bool:
        """Whether there was one that goes on with this, under its name and in a context as a new trio task has it."""
        if not self._parked:
            return False
        task, _ = self._parked.popitem()
        task.name, task.context = admitted[0].task_id, copy_context()
        self._handed[task] = admitted
        trio.lowlevel.reschedule(task)
        return True

    def let_go(self, keep: int) -> None:
        """All end but `keep` of them, and those forget what their last tasks have set in their contexts."""
        while len(self._parked) > keep:
            trio.lowlevel.reschedule(self._parked.popitem()[0])
        for task in self._parked:
            task.context = copy_context()

    def close(self) -> None:
        """All end, and those that come later do so at once."""
        self._closed = True
        self.let_go(0)
