"""A ready queue as somebody would write it who knows nothing of ours: one list, everybody asked in its order."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from penstock import Blocked, Condition, Denied, QueueSelection, QueueView, SchedulableTask, TaskGroupKey

__all__ = ["ListQueue"]


class ListQueue:
    """First in, first out. It parks nobody: who is refused is asked again whenever somebody is to be selected.

    Every task counts as ready, so it suits no policy that looks at peers.
    """

    def __init__(self) -> None:
        self._tasks: list[SchedulableTask] = []
        self._refused: dict[str, tuple[Denied, float]] = {}
        self._version = 0
        self._view = _ListView(self._tasks)

    def enqueue(self, tasks: Sequence[SchedulableTask], now: float) -> tuple[str, ...]:
        known = {task.task_id for task in self._tasks}
        fresh = [task for task in tasks if task.task_id not in known]
        self._tasks += fresh
        self._version += 1
        return tuple(task.task_id for task in fresh)

    def select_next(
        self, is_eligible: Callable[[SchedulableTask, QueueView], Denied | None], now: float
    ) -> QueueSelection | None:
        for task in self._tasks:
            denied = is_eligible(task, self._view)
            if denied is None:
                return QueueSelection(task, self._view, self._version)
            self._refused[task.task_id] = denied, now
        return None

    def commit(self, selection: QueueSelection, now: float) -> SchedulableTask | None:
        if selection.sequence_version != self._version:
            return None
        return self.discard(selection.item.task_id, now)

    def park(self, task: SchedulableTask, denied: Denied, now: float) -> None:
        self._refused[task.task_id] = denied, now

    def wake(self, condition: Condition, amount: int, now: float) -> None:
        """Nobody sleeps."""

    def discard(self, task_id: str, now: float) -> SchedulableTask | None:
        for task in self._tasks:
            if task.task_id == task_id:
                self._tasks.remove(task)
                self._refused.pop(task_id, None)
                self._version += 1
                return task
        return None

    def blocked(self) -> Iterator[Blocked]:
        for task in self._tasks:
            if task.task_id in self._refused:
                denied, since = self._refused[task.task_id]
                yield Blocked(task.task_id, task.group.key, denied, since, 1)

    def next_change(self, now: float) -> float | None:
        moments = (denied.next_moment() for denied, _ in self._refused.values())
        return min((moment for moment in moments if moment is not None), default=None)

    def view(self) -> QueueView:
        return self._view

    def is_empty(self) -> bool:
        return not self._tasks


class _ListView:
    """Everything is counted when it is asked for."""

    def __init__(self, tasks: list[SchedulableTask]) -> None:
        self._tasks = tasks

    @property
    def queued_total(self) -> int:
        return len(self._tasks)

    @property
    def queued_by_group(self) -> Mapping[TaskGroupKey, int]:
        return Counter(task.group.key for task in self._tasks)

    @property
    def weights_by_group(self) -> Mapping[TaskGroupKey, float]:
        return {task.group.key: task.group.weight for task in self._tasks}

    @property
    def queued_resource_demand_by_group(self) -> Mapping[TaskGroupKey, Mapping[str, int]]:
        demand: dict[TaskGroupKey, Counter[str]] = {}
        for task in self._tasks:
            demand.setdefault(task.group.key, Counter()).update(task.resource_request.amounts)
        return demand

    @property
    def queued_peer_demand_by_resource(self) -> Mapping[str, int]:
        demand: Counter[str] = Counter()
        for task in self._tasks:
            demand.update(task.resource_request.amounts)
        return demand

    @property
    def ready_groups_by_resource(self) -> Mapping[str, Mapping[TaskGroupKey, int]]:
        ready: dict[str, Counter[TaskGroupKey]] = {}
        for task in self._tasks:
            for resource in task.resource_request.amounts:
                ready.setdefault(resource, Counter()).update([task.group.key])
        return ready

    def listen_ready(self, listener: Any) -> None:
        """It does not tell who is ready."""

    @property
    def first_candidate_by_group(self) -> Mapping[TaskGroupKey, SchedulableTask]:
        return {task.group.key: task for task in reversed(self._tasks)}

    @property
    def waiting_since_by_group(self) -> Mapping[TaskGroupKey, float]:
        return dict.fromkeys((task.group.key for task in self._tasks), 0.0)

    def oldest(self, resource: str) -> SchedulableTask | None:
        return next((task for task in self._tasks if resource in task.resource_request.amounts), None)

    def snapshot(self) -> Mapping[str, Any]:
        return {"queued_total": self.queued_total}
