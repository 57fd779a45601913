"""Tasks and groups for tests, each made by one call."""

from __future__ import annotations

from collections.abc import Mapping

from penstock.tasks.ready_queue import QueueView, ReadyQueue
from penstock.tasks.records import SchedulableTask, SchedulerResourceRequest, TaskGroupKey, TaskGroupSpec
from penstock.words.verdicts import Denied

__all__ = ["anything_goes", "group_key", "make_task", "take_all", "take_one"]


def make_task(
    task_id: str,
    group: str | TaskGroupSpec = "g",
    needs: Mapping[str, int] | None = None,
    *,
    weight: float = 1.0,
    admitted_limit: int | None = None,
    deadline: float | None = None,
) -> SchedulableTask:
    """A task with a payload of its own."""
    spec = TaskGroupSpec.named(group, weight, admitted_limit) if isinstance(group, str) else group
    return SchedulableTask(task_id, object(), spec, SchedulerResourceRequest(dict(needs or {})), deadline)


def group_key(name: str) -> TaskGroupKey:
    """The key of the group that `make_task` makes of a name."""
    return TaskGroupSpec.named(name).key


def anything_goes(_: SchedulableTask, __: QueueView) -> Denied | None:
    """An `is_eligible` that refuses no task."""
    return None


def take_one(queue: ReadyQueue, now: float = 0.0) -> SchedulableTask | None:
    """The next task, selected and committed; `None` if all are parked."""
    selection = queue.select_next(anything_goes, now)
    if selection is None:
        return None
    task = queue.commit(selection, now)
    assert task is selection.item, "a selection that nothing has touched since must commit"
    return task


def take_all(queue: ReadyQueue, now: float = 0.0) -> list[str]:
    """The ids of all tasks that can be selected and committed, in order."""
    taken: dict[str, None] = {}
    while (task := take_one(queue, now)) is not None:
        assert task.task_id not in taken, f"{task.task_id} was committed, and is selected again"
        taken[task.task_id] = None
    return list(taken)
