"""The ready queue over lanes: with an order it is a `ReadyQueue`; with the order of arrival, `FifoTaskQueue`."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from operator import itemgetter
from typing import Any, Final, cast

from penstock.queueing.arrival_order import ArrivalOrder
from penstock.queueing.arrivals import Arrivals
from penstock.queueing.highest import HighestByName
from penstock.queueing.lane_queue import LaneQueue
from penstock.queueing.lanes import Entry, Order
from penstock.queueing.places import Room
from penstock.tasks.entries import TaskEntry
from penstock.tasks.limits import never_fits, no_room
from penstock.tasks.oldest import Arrived, OldestTasks
from penstock.tasks.queue_window import QueueWindow
from penstock.tasks.ready_queue import Blocked, QueueSelection, QueueView
from penstock.tasks.records import (
    SUBMISSION,
    SchedulableTask,
    SchedulerResourceRequest,
    TaskGroupKey,
    set_arrival,
)
from penstock.tasks.terms import TaskTerms
from penstock.words.native import mypyc_attr
from penstock.words.verdicts import Condition, Denied, Released

__all__ = ["FifoTaskQueue", "LaneTaskQueue"]

FORGET_AFTER: Final = 64
"""When so many tasks have come and all have left, nothing of them is kept."""

COSTS_KEPT: Final = 256
"""Of so many shapes it is known what a task counts for, before they are worked out anew."""

Cost = Callable[[SchedulerResourceRequest], float]


def _one(_: SchedulerResourceRequest) -> float:
    return 1.0


@mypyc_attr(allow_interpreted_subclasses=True)
class LaneTaskQueue:
    """A `ReadyQueue` whose order is `order`. `cost` (> 0) is what a task counts for there, by its resources."""

    def __init__(self, order: Order[SchedulableTask], cost: Cost = _one) -> None:
        self._cost = cost
        self._lanes: LaneQueue[SchedulableTask] = LaneQueue(order, when_empty=self._forget)
        self.choose = self._lanes.choose
        """The entry of the first task that is not refused: see `Passes.choose`. For the task gate, as `waiting`."""
        self.waiting = self._lanes.waiting
        """Who is to be told of what comes free."""
        self.keeps_nobody_back = self._lanes.keeps_nobody_back
        """Whether nobody is refused, short of room, or kept from room that is reserved. Where `submission` was full, it
        holds again when a place came free."""
        self._entries: dict[str, Entry] = {}
        """By their ids the tasks that came as records."""
        self._known: Mapping[str, Entry] = {}
        """By their ids those that came as entries; others, too, that are not queued."""
        self._costs: dict[tuple[tuple[str, int], ...], float] = {}
        """What a task counts for, by its shape."""
        self._forgotten = 0
        """How many tasks had come when it was emptied as if it were new."""
        self._selected: Entry | None = None
        self._arrivals = Arrivals()
        self._hand_over: Callable[[Denied, list[SchedulableTask]], Any] | None = None
        self._oldest = OldestTasks(self._in_order, self._find_arrived)
        self._view = QueueWindow(self._lanes, self._arrivals, self._oldest)

    def _in_order(self) -> list[Arrived]:
        lanes = [lane for group in self._lanes.groups.values() for lane in group.all_lanes()]
        queued = [(_id_of(entry), entry.sequence, lane.resources) for lane in lanes for entry in lane.entries()]
        return sorted(queued, key=itemgetter(1))

    def _find(self, task_id: str) -> Entry | None:
        entry = self._entries.get(task_id) or self._known.get(task_id)
        return None if entry is None or entry.lane is None else entry

    def _find_arrived(self, task_id: str, arrival: int) -> SchedulableTask | None:
        entry = self._find(task_id)
        return entry.make() if entry is not None and entry.sequence == arrival else None

    def enqueue(self, tasks: Sequence[SchedulableTask], now: float) -> tuple[str, ...]:
        """Put tasks in, in this order; returns the ids that are new."""
        lanes, entries, costs = self._lanes, self._entries, self._costs
        if now != self._arrivals.latest:
            self._arrivals.begin(lanes.arrived + 1, now)
        accepted = []
        for task in tasks:
            task_id = task.task_id
            if task_id in entries:
                continue
            accepted.append(task_id)
            shape = task.resource_request.shape
            cost = costs.get(shape)
            if cost is None:
                cost = self._cost_of(task.resource_request)
                if cost is None:
                    self._refuse_for_good(task)
                    continue
            group = task.group
            entries[task_id] = entry = Entry(task, 0, cost, None)
            lanes.put(entry, group.key, group.weight, shape)
            set_arrival(task, lanes.arrived)
        if self._oldest.watched:
            came = [entries[task_id] for task_id in accepted if task_id in entries]
            self._oldest.came((_id_of(each), each.sequence, each.item.resource_request.shape) for each in came)
        return tuple(accepted)

    def put(self, tasks: Sequence[TaskEntry], now: float) -> tuple[str, ...]:
        """The same for tasks that come as entries, which the mapping of `find_in` has: the queue notes no ids."""
        lanes, costs = self._lanes, self._costs
        if now != self._arrivals.latest:
            self._arrivals.begin(lanes.arrived + 1, now)
        before, accepted = lanes.arrived, []
        terms: TaskTerms | None = None
        cost: float | None = None
        for entry in tasks:
            if entry.lane is not None:
                continue
            accepted.append(entry.task_id)
            if terms is not entry.terms:  # tasks of one kind mostly come together
                terms = entry.terms
                group, request = terms.group, terms.resource_request
                key, weight, shape = group.key, group.weight, request.shape
                cost = costs.get(shape)
                if cost is None:
                    cost = self._cost_of(request)
            if cost is None:
                self._refuse_for_good(entry.make())
                continue
            entry.cost = cost
            lanes.put(entry, key, weight, shape)
            if (task := entry.made) is not None:
                set_arrival(task, lanes.arrived)
        if self._oldest.watched:
            came = [each for each in tasks if each.lane is not None and each.sequence > before]
            self._oldest.came((each.task_id, each.sequence, each.terms.resource_request.shape) for each in came)
        return tuple(accepted)

    def find_in(self, known: Mapping[str, TaskEntry]) -> None:
        """The mapping by id of all tasks that are put here as entries, and perhaps of others. It is read only."""
        self._known = known

    def _cost_of(self, request: SchedulerResourceRequest) -> float | None:
        """What a task with this request counts for; `None` if there could never be room for it."""
        room = self._lanes.room
        if room is not None and never_fits(request, room.limits) is not None:
            return None
        if len(self._costs) >= COSTS_KEPT:
            self._costs.clear()
        cost = self._costs[request.shape] = self._cost(request)
        return cost

    def _refuse_for_good(self, task: SchedulableTask) -> None:
        room = self._lanes.room
        never = None if room is None else never_fits(task.resource_request, room.limits)
        if never is not None and self._hand_over is not None:
            self._hand_over(never, [task])

    def limits_changed(self, limits: Mapping[str, int]) -> None:
        """What tasks count for may be another figure from now on; those that are queued keep theirs."""
        self._costs.clear()
        if self._lanes.room is not None:
            self._lanes.make_room(self._lanes.room)

    def select_next(
        self, is_eligible: Callable[[SchedulableTask, QueueView], Denied | None], now: float
    ) -> QueueSelection | None:
        """The first task in order that is eligible; refused ones are parked."""
        view, lanes = self._view, self._lanes
        self._selected = entry = lanes.choose(lambda task, _: is_eligible(task, view), now)
        return None if entry is None else QueueSelection(entry.make(), view, lanes.version)

    def commit(self, selection: QueueSelection, now: float) -> SchedulableTask | None:
        """Take the selected task out; `None` if the queue has changed since."""
        task, entry = selection.item, self._selected
        if entry is None or entry.lane is None or entry.made is not task:
            return None
        if selection.sequence_version != self._lanes.version:
            return None
        self._selected = None
        return self.take_put(entry) if isinstance(entry, TaskEntry) else self.take(entry)

    def take(self, entry: Entry) -> SchedulableTask:
        """The task of an entry that was chosen: it leaves the queue. For one that came as a record."""
        task: SchedulableTask | None = entry.made
        assert task is not None
        del self._entries[task.task_id]
        self._lanes.take(entry)
        return task

    def take_put(self, entry: Entry) -> SchedulableTask:
        """The same for one that came as an entry, which lives on."""
        self._lanes.take(entry)
        entry.next = None
        task: SchedulableTask | None = entry.made
        if task is None:
            task = cast("SchedulableTask", entry.make())
        return task

    # -- driven by the task gate

    def make_room(self, room: Room, give_up: Callable[[Denied, list[SchedulableTask]], Any]) -> None:
        """From now on tasks that do not fit into `room` are not asked about, and what is refused for good is handed to
        `give_up`."""
        self._lanes.make_room(room, self._give_up)
        self._hand_over = give_up

    def _give_up(self, denied: Denied, tasks: list[SchedulableTask]) -> None:
        """These are refused for good, and leave the queue."""
        for task in tasks:
            self._entries.pop(task.task_id, None)
        if self._hand_over is not None:
            self._hand_over(denied, tasks)

    @property
    def refusals_given(self) -> int:
        """How many refusals have been given to tasks that stand here, ever."""
        return self._lanes.refusals_given

    def reserved(self) -> list[SchedulableTask]:
        """The tasks for which room is kept, in the order in which they came to be next."""
        return [lane.head.make() for lane in self._lanes.reserved()]

    def most_queued(self) -> HighestByName:
        """Of each group how many tasks have been queued at once."""
        return self._lanes.most_queued()

    def park(self, task: SchedulableTask, denied: Denied, now: float) -> None:
        """File a queued task under a refusal that it met after it was selected."""
        entry = self._find(task.task_id)
        if entry is None:
            raise KeyError(task.task_id)
        self._lanes.refuse(entry, denied, now)

    def wake(self, condition: Condition, amount: int, now: float) -> None:
        """A condition came true; `amount` is how much is free of what was released."""
        self._lanes.wake(condition)

    def discard(self, task_id: str, now: float) -> SchedulableTask | None:
        """Take a task out that is not to be done any more; `None` if it is not queued."""
        entry = self._find(task_id)
        if entry is None:
            return None
        self._entries.pop(task_id, None)
        self._lanes.discard(entry)
        return cast("SchedulableTask", entry.make())

    def _forget(self) -> None:
        """Nothing is queued."""
        arrived = self._lanes.arrived
        if arrived - self._forgotten > FORGET_AFTER:  # an emptied dict keeps its memory
            self._entries, self._costs = {}, {}
            self._arrivals.forget()
            self._forgotten = arrived

    def blocked(self) -> Iterator[Blocked]:
        """Every refusal in force, with how many tasks it keeps back."""
        for scope_key, group, denied, since, tasks in self._lanes.blocked():
            key = scope_key.task_id if isinstance(scope_key, SchedulableTask) else scope_key
            yield Blocked(key, cast("TaskGroupKey | None", group), denied, since, tasks)
        yield from self._without_room()

    def _without_room(self) -> Iterator[Blocked]:
        """The same of those whom nothing refuses, and for whom there is no room."""
        room = self._lanes.room
        if room is None or not self._lanes.total:
            return
        if room.free[SUBMISSION] <= 0:
            lanes = (lane for group in self._lanes.groups.values() for lane in group.all_lanes())
            oldest = min(lane.head.sequence for lane in lanes)
            since = self._arrivals.moment_of(oldest)
            yield Blocked("all", None, no_room(SUBMISSION, 1, {SUBMISSION: 0}), since, self._lanes.total)
            return
        for lane, resource in self._lanes.without_room():
            since = self._arrivals.moment_of(lane.head.sequence)
            key = cast("TaskGroupKey", lane.group.key)
            if resource is not None:
                amount = next(n for r, n in lane.resources if r == resource)
                denied = no_room(cast("str", resource), amount, room.free)
            else:
                kept = ", ".join(f"{n} of {r}" for r, n in sorted(cast("dict[str, int]", room.reserved).items()))
                detail = f"{kept} reserved for tasks that are next and need more than is free"
                until = {Released(r) for r, _ in lane.resources}
                denied = Denied("no_capacity", until, "shape", detail, by="core")
            yield Blocked((key, lane.resources), key, denied, since, lane.live)

    def next_change(self, now: float) -> float | None:
        """The earliest moment under which something is parked."""
        return self._lanes.next_moment()

    def view(self) -> QueueView:
        return self._view

    def is_empty(self) -> bool:
        return not self._lanes.total

    def check_invariants(self) -> None:
        """The lanes are in order and hold exactly the tasks that are queued. Raises `AssertionError`."""
        self._lanes.check_invariants()
        demand: dict[str, int] = {}
        for task_id, arrival, resources in (queued := self._in_order()):
            entry = self._find(task_id)
            assert entry is not None, "what is queued is found by its id"
            assert entry.sequence == arrival
            assert not isinstance(entry, TaskEntry) or task_id not in self._entries
            for resource, amount in resources:
                demand[cast("str", resource)] = demand.get(cast("str", resource), 0) + amount
        assert self._entries.keys() <= {task_id for task_id, _, _ in queued}
        assert demand == dict(self._view.queued_peer_demand_by_resource)


def _id_of(entry: Entry) -> str:
    return entry.task_id if isinstance(entry, TaskEntry) else entry.item.task_id


@mypyc_attr(allow_interpreted_subclasses=True)
class FifoTaskQueue(LaneTaskQueue):
    """First in, first out among the tasks that can run; needs no plugin."""

    def __init__(self) -> None:
        super().__init__(ArrivalOrder())
