"""The task gate without trio, driven by hand."""

from __future__ import annotations

from collections.abc import Iterable

from penstock.tasks.admission import TaskAdmissionController
from penstock.tasks.gate import TaskGate
from penstock.tasks.lease import TaskAdmissionLease
from penstock.tasks.ready_queue import ReadyQueue
from penstock.tasks.records import SchedulableTask
from penstock.words.leases import ReleaseResult
from penstock.words.verdicts import Condition

__all__ = ["TaskBench"]


class TaskBench:
    """A task gate whose clock, `now`, is set by hand, and which remembers what is `queued` and which leases are `out`.

    `gate` is the gate itself, as a run has it.
    """

    def __init__(self, queue: ReadyQueue, controller: TaskAdmissionController, now: float = 0.0) -> None:
        self.gate = TaskGate(queue, controller)
        self.queue = queue
        self.controller = controller
        self.now = now
        self.out: list[TaskAdmissionLease] = []
        self.queued: dict[str, SchedulableTask] = {}

    def enqueue(self, tasks: Iterable[SchedulableTask]) -> None:
        """Put tasks into the queue."""
        fresh = {task.task_id: task for task in reversed(list(tasks))}
        for task_id in self.gate.offer([*reversed(fresh.values())], self.now):
            self.queued[task_id] = fresh[task_id]

    def start_one(self) -> TaskAdmissionLease | None:
        """The lease of the next task, which starts, if one may."""
        lease = self.gate.next(self.now)
        for task, _ in self.gate.take_given_up():
            del self.queued[task.task_id]
        if lease is None:
            return None
        del self.queued[lease.item.task_id]
        self.out.append(lease)
        return lease

    def start_all(self) -> list[str]:
        """The ids of all tasks that may start, which do, in order."""
        started = []
        while (lease := self.start_one()) is not None:
            started.append(lease.item.task_id)
        return started

    def release(self, lease: TaskAdmissionLease) -> ReleaseResult:
        """The result of giving back the lease of a task that has ended, which wakes who waited for it."""
        result = self.gate.finish(lease, self.now)
        if result.released:
            self.out.remove(lease)
        return result

    def wake(self, condition: Condition) -> None:
        """Wake the tasks under a condition that came true."""
        self.gate.wake(condition, self.now)

    def discard(self, task_id: str) -> None:
        """Take out a task that is not to be done any more."""
        if self.gate.discard(task_id, self.now) is not None:
            del self.queued[task_id]
