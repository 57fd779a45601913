"""The task gate without trio: a queue and a controller, driven as the dispatch loop drives them."""

from __future__ import annotations

from collections.abc import Iterable

from penstock.queueing.lanes import ALL
from penstock.tasks.admission import TaskAdmissionController
from penstock.tasks.lease import TaskAdmissionDenied, TaskAdmissionLease
from penstock.tasks.ready_queue import ReadyQueue
from penstock.tasks.records import SchedulableTask
from penstock.words.leases import ReleaseResult

__all__ = ["TaskGate"]


class TaskGate:
    """Carries tasks through a ready queue and a `TaskAdmissionController`. `now` is set by hand."""

    def __init__(self, queue: ReadyQueue, controller: TaskAdmissionController, now: float = 0.0) -> None:
        self.queue = queue
        self.controller = controller
        self.now = now
        self.out: list[TaskAdmissionLease] = []
        self.queued: dict[str, SchedulableTask] = {}
        controller.attach(queue.view())

    def enqueue(self, tasks: Iterable[SchedulableTask]) -> None:
        """Put tasks into the queue."""
        fresh = list(tasks)
        for task_id in self.queue.enqueue(fresh, self.now):
            self.queued[task_id] = next(task for task in fresh if task.task_id == task_id)

    def start_one(self) -> TaskAdmissionLease | None:
        """Let the next task start, if one may."""
        while True:
            selection = self.queue.select_next(lambda t, view: self.controller.is_eligible(t, view, self.now), self.now)
            if selection is None:
                return None
            lease = self.controller.try_acquire(selection.item, self.queue.view(), self.now)
            if isinstance(lease, TaskAdmissionDenied):
                self.queue.park(selection.item, lease.denied, self.now)
                continue
            assert self.queue.commit(selection, self.now) is selection.item
            for condition in self.controller.take_turned():
                self.queue.wake(condition, ALL, self.now)
            del self.queued[selection.item.task_id]
            self.out.append(lease)
            return lease

    def start_all(self) -> list[str]:
        """Let start what may; the ids, in order."""
        started = []
        while (lease := self.start_one()) is not None:
            started.append(lease.item.task_id)
        return started

    def release(self, lease: TaskAdmissionLease) -> ReleaseResult:
        """The task has ended: its lease comes back, and who waited for it is woken."""
        result = self.controller.release(lease, self.now)
        if result.released:
            self.out.remove(lease)
        for condition, amount in result.freed:
            self.queue.wake(condition, amount, self.now)
        return result

    def discard(self, task_id: str) -> None:
        """The task is not to be done any more."""
        if self.queue.discard(task_id, self.now) is not None:
            del self.queued[task_id]
