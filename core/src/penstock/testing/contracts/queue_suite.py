"""The base of the suites on ready queues: the factory, and an `is_eligible` that records which tasks it was asked
for."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from penstock.tasks.ready_queue import QueueSelection, QueueView, ReadyQueue
from penstock.tasks.records import SchedulableTask
from penstock.words.verdicts import Condition, Denied, Released

__all__ = ["MUCH", "Asked", "QueueSuite", "no_room", "refused", "selected"]

MUCH = 1 << 30


class Asked:
    """An `is_eligible` that refuses by a rule and records the ids of the tasks that it was asked for."""

    def __init__(self, rule: Callable[[SchedulableTask, QueueView], Denied | None]) -> None:
        self.rule = rule
        self.ids: list[str] = []

    def __call__(self, task: SchedulableTask, view: QueueView) -> Denied | None:
        self.ids.append(task.task_id)
        return self.rule(task, view)


def refused(*until: Condition, **options: Any) -> Asked:
    """An `is_eligible` that refuses every task until one of these conditions."""
    return Asked(lambda task, view: Denied("policy_denial", until, **options))


def no_room(task: SchedulableTask, free: Mapping[str, int]) -> Denied | None:
    """The refusal that the task gate gives for want of room."""
    for resource, amount in task.resource_request.amounts.items():
        if amount > free.get(resource, MUCH):
            cohort = ("no_capacity", resource, amount)
            return Denied("no_capacity", {Released(resource)}, "shape", cohort=cohort, amount=amount)
    return None


def selected(
    queue: ReadyQueue, is_eligible: Callable[[SchedulableTask, QueueView], Denied | None], now: float
) -> QueueSelection:
    """The selection of a task, of which there must be one."""
    selection = queue.select_next(is_eligible, now)
    assert selection is not None, "no task was selected"
    return selection


class QueueSuite:
    """The base of the suites on ready queues: the factory that a subclass gives, and what must hold at rest."""

    def make_queue(self, limits: dict[str, int]) -> ReadyQueue:
        """An empty queue."""
        raise NotImplementedError("make_queue: an empty queue for these limits")

    def queue_with(self, *tasks: SchedulableTask) -> ReadyQueue:
        """A queue with these tasks in it."""
        queue = self.make_queue({"submission": 16, "gpu": 4})
        queue.enqueue(tasks, 0.0)
        return queue

    def check(self, queue: ReadyQueue) -> None:
        """Check what must hold whenever the queue is at rest."""
        checker = getattr(queue, "check_invariants", None)
        if checker is not None:
            checker()
        view = queue.view()
        assert view.queued_total == sum(view.queued_by_group.values())
        assert queue.is_empty() == (view.queued_total == 0)
