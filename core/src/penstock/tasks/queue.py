"""The ready queue over lanes: with an order it is a `ReadyQueue`; with the order of arrival, `FifoTaskQueue`."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterator, Mapping, Sequence
from types import MappingProxyType
from typing import Any, cast

from penstock.queueing.arrival_order import ArrivalOrder
from penstock.queueing.arrivals import Arrivals
from penstock.queueing.lane_queue import LaneQueue
from penstock.queueing.lanes import Entry, Group, Order
from penstock.queueing.ready_groups import ReadyListener
from penstock.tasks.ready_queue import Blocked, QueueSelection, QueueView
from penstock.tasks.records import SchedulableTask, SchedulerResourceRequest, TaskGroupKey
from penstock.words.verdicts import Condition, Denied

__all__ = ["FifoTaskQueue", "LaneTaskQueue"]

Cost = Callable[[SchedulerResourceRequest], float]


def _one(_: SchedulerResourceRequest) -> float:
    return 1.0


class LaneTaskQueue:
    """A `ReadyQueue` whose order is `order`. `cost` (> 0) is what a task counts for there, by its resources."""

    def __init__(self, order: Order[SchedulableTask], cost: Cost = _one) -> None:
        self._cost = cost
        self._lanes: LaneQueue[SchedulableTask] = LaneQueue(order)
        self._entries: dict[str, Entry[SchedulableTask]] = {}
        self._costs: dict[SchedulerResourceRequest, float] = {}
        self._demand: dict[str, int] = {}
        self._selected: Entry[SchedulableTask] | None = None
        self._arrivals = Arrivals()
        self._view = _View(self._lanes, self._demand, self._arrivals)

    def enqueue(self, tasks: Sequence[SchedulableTask], now: float) -> tuple[str, ...]:
        """Put tasks in, in this order; returns the ids that are new."""
        self._arrivals.begin(self._lanes.arrived + 1, now)
        accepted = []
        for task in tasks:
            if task.task_id in self._entries:
                continue
            request = task.resource_request
            cost = self._costs.get(request)
            if cost is None:
                cost = self._costs[request] = self._cost(request)
            self._entries[task.task_id] = self._lanes.add(
                task, task.group.key, task.group.weight, request.shape, request.shape, cost
            )
            for resource, amount in request.shape:
                self._demand[resource] = self._demand.get(resource, 0) + amount
            accepted.append(task.task_id)
        return tuple(accepted)

    def limits_changed(self, limits: Mapping[str, int]) -> None:
        """What tasks count for may be another figure from now on; those that are queued keep theirs."""
        self._costs.clear()

    def select_next(
        self, is_eligible: Callable[[SchedulableTask, QueueView], Denied | None], now: float
    ) -> QueueSelection | None:
        """The first task in order that is eligible; refused ones are parked."""
        view, lanes = self._view, self._lanes
        entry = lanes.first(now)
        if entry is not None:
            denied = is_eligible(entry.item, view)
            if denied is not None:
                entry = lanes.select_after(entry, denied, lambda task: is_eligible(task, view), now)
        self._selected = entry
        return None if entry is None else QueueSelection(entry.item, view, lanes.version)

    def commit(self, selection: QueueSelection, now: float) -> SchedulableTask | None:
        """Take the selected task out; `None` if the queue has changed since."""
        task, entry = selection.item, self._selected
        if entry is None or entry.lane is None or entry.item is not task:
            return None
        if selection.sequence_version != self._lanes.version:
            return None
        self._selected = None
        del self._entries[task.task_id]
        self._demand_less(task)
        if not self._entries:
            self._forget()
        self._lanes.take(entry)
        return task

    def park(self, task: SchedulableTask, denied: Denied, now: float) -> None:
        """File a queued task under a refusal that it met after it was selected."""
        self._lanes.refuse(self._entries[task.task_id], denied, now)

    def wake(self, condition: Condition, amount: int, now: float) -> None:
        """A condition came true; `amount` is how much is free of what was released."""
        lanes = self._lanes
        if condition in lanes.waited_for or lanes.open:
            lanes.wake(condition, amount)

    def discard(self, task_id: str, now: float) -> SchedulableTask | None:
        """Take a task out that is not to be done any more; `None` if it is not queued."""
        entry = self._entries.get(task_id)
        if entry is None:
            return None
        task = entry.item
        del self._entries[task_id]
        self._demand_less(task)
        if not self._entries:
            self._forget()
        self._lanes.discard(entry)
        return task

    def _demand_less(self, task: SchedulableTask) -> None:
        demand = self._demand
        for resource, amount in task.resource_request.shape:
            left = demand[resource] - amount
            if left:
                demand[resource] = left
            else:
                del demand[resource]

    def _forget(self) -> None:
        self._entries, self._costs = {}, {}  # an emptied dict keeps its memory
        self._demand.clear()
        self._arrivals.forget()

    def blocked(self) -> Iterator[Blocked]:
        """Every refusal in force, with how many tasks it keeps back."""
        for scope_key, group, denied, since, tasks in self._lanes.blocked():
            key = scope_key.task_id if isinstance(scope_key, SchedulableTask) else scope_key
            yield Blocked(key, cast("TaskGroupKey | None", group), denied, since, tasks)

    def next_change(self, now: float) -> float | None:
        """The earliest moment under which something is parked."""
        return self._lanes.next_moment()

    def view(self) -> QueueView:
        return self._view

    def is_empty(self) -> bool:
        return not self._entries

    def check_invariants(self) -> None:
        """The lanes are in order and hold exactly the tasks that are queued. Raises `AssertionError`."""
        self._lanes.check_invariants()
        assert len(self._entries) == self._lanes.total
        demand: dict[str, int] = {}
        for task_id, entry in self._entries.items():
            assert entry.lane is not None
            assert entry.item.task_id == task_id
            for resource, amount in entry.item.resource_request.shape:
                demand[resource] = demand.get(resource, 0) + amount
        assert demand == self._demand


class _ByGroup(Mapping[TaskGroupKey, Any]):
    """A live mapping from group key to something that is read off the group."""

    def __init__(self, lanes: LaneQueue[SchedulableTask], read: Callable[[Group[SchedulableTask]], Any]) -> None:
        self._lanes = lanes
        self._read = read

    def __getitem__(self, key: Hashable) -> Any:
        return self._read(self._lanes.groups[key])

    def __iter__(self) -> Iterator[Any]:
        return iter(self._lanes.groups)

    def __len__(self) -> int:
        return len(self._lanes.groups)


def _demand_of(group: Group[SchedulableTask]) -> dict[Hashable, int]:
    demand: dict[Hashable, int] = {}
    for lane in group.all_lanes():
        for resource, amount in lane.resources:
            demand[resource] = demand.get(resource, 0) + amount * lane.live
    return demand


def _first_of(group: Group[SchedulableTask]) -> SchedulableTask:
    return min((lane.head for lane in group.all_lanes()), key=lambda entry: entry.sequence).item


class _View:
    """The live window onto a `LaneTaskQueue`."""

    def __init__(self, lanes: LaneQueue[SchedulableTask], demand: dict[str, int], arrivals: Arrivals) -> None:
        self._lanes = lanes
        self.waiting_since_by_group: Mapping[TaskGroupKey, float] = _ByGroup(
            lanes, lambda group: arrivals.moment_of(min(lane.head.sequence for lane in group.all_lanes()))
        )
        self.queued_peer_demand_by_resource: Mapping[str, int] = MappingProxyType(demand)
        self.queued_by_group: Mapping[TaskGroupKey, int] = _ByGroup(lanes, lambda group: group.queued)
        self.weights_by_group: Mapping[TaskGroupKey, float] = _ByGroup(lanes, lambda group: group.weight)
        self.queued_resource_demand_by_group: Mapping[TaskGroupKey, Mapping[str, int]] = _ByGroup(lanes, _demand_of)
        self.first_candidate_by_group: Mapping[TaskGroupKey, SchedulableTask] = _ByGroup(lanes, _first_of)

    @property
    def queued_total(self) -> int:
        return self._lanes.total

    @property
    def ready_groups_by_resource(self) -> Mapping[str, Mapping[TaskGroupKey, int]]:
        ready = cast("dict[str, Mapping[TaskGroupKey, int]]", self._lanes.ready_groups.by_resource)
        return MappingProxyType(ready)

    def listen_ready(self, listener: ReadyListener) -> None:
        self._lanes.ready_groups.listen(listener)

    def snapshot(self) -> Mapping[str, Any]:
        return {
            "queued_total": self.queued_total,
            "queued_by_group": {str(key): count for key, count in self.queued_by_group.items()},
            "queued_peer_demand_by_resource": dict(self.queued_peer_demand_by_resource),
        }


class FifoTaskQueue(LaneTaskQueue):
    """First in, first out among the tasks that can run; needs no plugin."""

    def __init__(self) -> None:
        super().__init__(ArrivalOrder())
