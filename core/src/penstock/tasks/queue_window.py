"""The live, read-only window onto the tasks that are queued in lanes, which policies and rules are given."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Mapping
from functools import partial
from operator import attrgetter
from types import MappingProxyType
from typing import Any, cast

from penstock.queueing.arrivals import Arrivals
from penstock.queueing.contenders import Contenders
from penstock.queueing.lane_queue import LaneQueue
from penstock.queueing.lanes import Group
from penstock.tasks.ledger import ByGroup
from penstock.tasks.oldest import OldestTasks
from penstock.tasks.records import SchedulableTask, SchedulerResourceKey, TaskGroupKey
from penstock.words.read_only import read_only

__all__ = ["QueueWindow"]


def _demand_of(group: Group[SchedulableTask]) -> dict[Hashable, int]:
    demand: dict[Hashable, int] = {}
    for lane in group.all_lanes():
        for resource, amount in lane.resources:
            demand[resource] = demand.get(resource, 0) + amount * lane.live
    return demand


def _since(arrivals: Arrivals, group: Group[SchedulableTask]) -> float:
    return arrivals.moment_of(min(lane.head.sequence for lane in group.all_lanes()))


def _first_of(group: Group[SchedulableTask]) -> SchedulableTask:
    first: SchedulableTask = min((lane.head for lane in group.all_lanes()), key=lambda entry: entry.sequence).make()
    return first


@read_only
class QueueWindow:
    """The live window onto a `LaneTaskQueue`."""

    oldest: Callable[[SchedulerResourceKey], SchedulableTask | None]
    contenders: Contenders[SchedulableTask]
    waiting_since_by_group: Mapping[TaskGroupKey, float]
    queued_by_group: Mapping[TaskGroupKey, int]
    weights_by_group: Mapping[TaskGroupKey, float]
    queued_resource_demand_by_group: Mapping[TaskGroupKey, Mapping[str, int]]
    first_candidate_by_group: Mapping[TaskGroupKey, SchedulableTask]
    _lanes: LaneQueue[SchedulableTask]

    def __init__(self, lanes: LaneQueue[SchedulableTask], arrivals: Arrivals, oldest: OldestTasks) -> None:
        vars(self).update(
            _lanes=lanes,
            oldest=oldest.of,
            contenders=lanes.contenders,
            waiting_since_by_group=ByGroup(lanes.groups, partial(_since, arrivals)),
            queued_by_group=ByGroup(lanes.groups, attrgetter("queued")),
            weights_by_group=ByGroup(lanes.groups, attrgetter("weight")),
            queued_resource_demand_by_group=ByGroup(lanes.groups, _demand_of),
            first_candidate_by_group=ByGroup(lanes.groups, _first_of),
        )

    @property
    def queued_peer_demand_by_resource(self) -> Mapping[str, int]:
        """Added up from how many tasks there are of each shape."""
        demand: dict[str, int] = {}
        for shape in self._lanes.shapes:
            for resource, amount in cast("tuple[tuple[str, int], ...]", shape.needs) if shape.queued else ():
                demand[resource] = demand.get(resource, 0) + amount * shape.queued
        return MappingProxyType(demand)

    @property
    def queued_total(self) -> int:
        return self._lanes.total

    @property
    def ready_groups_by_resource(self) -> Mapping[str, Mapping[TaskGroupKey, int]]:
        """Made anew each time; while those are asked again who look at it, at rest, nobody could run."""
        ready: dict[str, dict[TaskGroupKey, int]] = {}
        for group in () if self.contenders.resting else self._lanes.groups.values():
            for lane in group.all_lanes():
                if lane.place is not None and lane.place.candidate:
                    for resource, _ in lane.resources:
                        groups = ready.setdefault(cast("str", resource), {})
                        groups[cast("TaskGroupKey", group.key)] = groups.get(cast("TaskGroupKey", group.key), 0) + 1
        return MappingProxyType(ready)

    def snapshot(self) -> Mapping[str, Any]:
        return {
            "queued_total": self.queued_total,
            "queued_by_group": {str(key): count for key, count in self.queued_by_group.items()},
            "queued_peer_demand_by_resource": dict(self.queued_peer_demand_by_resource),
        }
