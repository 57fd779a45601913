"""The waiter queue over lanes: with an order it is a `RequestWaiterQueue`; with the order of arrival,
`FifoRequestWaiters`.

Waiters of one group for one resource that ask for as many requests are in one lane. Groups compete per provider's
model, since that is where the cap is shared: what a tenant has used of one model counts for nothing at another. Within
a group the oldest that has room goes first, or the one with the earliest deadline, or with the highest priority.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Hashable, Iterable
from typing import Final, Literal, TypeVar, cast

from penstock.queueing.arrival_order import ArrivalOrder
from penstock.queueing.lane_queue import LaneQueue
from penstock.queueing.lanes import Entry, Order
from penstock.requests.deadline_lanes import DeadlineLanes
from penstock.requests.demand import LiveCounts
from penstock.requests.items import RequestAdmissionItem
from penstock.requests.room import Needs, RequestRoom
from penstock.requests.waiters import RequestQueueSelection, RequestQueueView, RequestWaiter
from penstock.words.identity import ProviderModelKey, RequestResourceKey
from penstock.words.native import mypyc_attr
from penstock.words.verdicts import Condition, Denied

__all__ = ["FifoRequestWaiters", "LaneRequestWaiters"]

K = TypeVar("K", bound=Hashable)

REMEMBERED: Final = 256
"""Of how many shapes it is kept what they take."""

Cost = Callable[[RequestAdmissionItem], float]
WithinGroup = Literal["oldest", "deadline", "priority"]


def _own_name(key: tuple[Hashable, ProviderModelKey]) -> Hashable:
    return key[0]


def _one(_: RequestAdmissionItem) -> float:
    return 1.0


@mypyc_attr(allow_interpreted_subclasses=True)
class LaneRequestWaiters:
    """A `RequestWaiterQueue` whose order is `order`. `cost` (> 0) is what a call counts for there.

    `within_group` says who of one group goes first: the `oldest`; or by `deadline`, the one whose item has the
    earliest, and who has none comes after those who have one; or by `priority`, the one whose item has the highest.
    Between equals the oldest goes first. With `deadline` and `priority` the order should be one between groups: the
    order of arrival becomes one of deadlines or priorities throughout.
    """

    def __init__(
        self,
        order: Order[RequestWaiter],
        cost: Cost = _one,
        within_group: WithinGroup = "oldest",
    ) -> None:
        self._cost = cost
        kind = LaneQueue[RequestWaiter] if within_group == "oldest" else DeadlineLanes[RequestWaiter]
        self._by_priority = within_group == "priority"
        self._lanes = kind(order, _own_name)
        self._due = self._lanes if isinstance(self._lanes, DeadlineLanes) else None
        self.nobody_fits, self.somebody_waits_for = self._lanes.nobody_fits, self._lanes.somebody_waits_for
        """Whether it is plain that nobody has room; whether a condition could change anything."""
        self._lot = self._lanes.waiting.lot
        self._room: RequestRoom | None = None
        self._selected: Entry | None = None
        self._needs: dict[tuple[RequestResourceKey, int], Needs] = {}
        self._view = RequestQueueView(
            LiveCounts(lambda: self._count(lambda waiter: waiter.item.group.key)),
            LiveCounts(lambda: self._count(lambda waiter: waiter.item.resource)),
            LiveCounts(lambda: self._count(lambda waiter: waiter.item.resource.provider_model)),
        )

    def enqueue(self, waiter: RequestWaiter, now: float) -> None:
        """Put a waiter at the end of its group's lane. Raises `ValueError` if it is in a queue already."""
        if waiter.place is not None:
            raise ValueError("this waiter is in a queue already")
        item = waiter.item
        group = item.group
        asked_for = item.resource, item.cost.requests
        needs = self._needs.get(asked_for)
        if needs is None:
            if len(self._needs) >= REMEMBERED:
                self._needs.clear()  # those who come later stand in lanes of their own, in the same order
            needs = self._needs[asked_for] = Needs.of(*asked_for)
            if self._room is not None:
                self._room.bound(needs)
        key, cost = (group.key, needs[1][0]), self._cost(item)
        if self._due is None:
            waiter.place = self._lanes.add(waiter, key, group.weight, needs, cost)
        elif self._by_priority:
            waiter.place = self._due.add_by_priority(waiter, key, group.weight, needs, cost, item.priority)
        else:
            waiter.place = self._due.add_due(waiter, key, group.weight, needs, cost, item.deadline)

    def select_next(
        self, is_eligible: Callable[[RequestAdmissionItem], Denied | None], now: float
    ) -> RequestQueueSelection | None:
        """The first waiter in order that is eligible; refused ones are parked, and keep the refusal for `explain`."""

        def ask(waiter: RequestWaiter, _: float) -> Denied | None:
            denied = is_eligible(waiter.item)
            waiter.was_asked(denied, now)
            return denied

        waiter = self.choose(ask, now)
        return None if waiter is None else RequestQueueSelection(waiter, self._lanes.version)

    def commit(self, selection: RequestQueueSelection, now: float) -> RequestWaiter | None:
        """Take the selected waiter out; `None` if the queue has changed since."""
        waiter = selection.waiter
        if selection.sequence_version != self._lanes.version or not self.take(waiter, now):
            return None
        return waiter

    def remove(self, waiter: RequestWaiter, now: float) -> bool:
        """Whether the waiter was in the queue; it is taken out."""
        entry = waiter.place
        if entry is None or self._lanes.groups.get(entry.lane.group.key) is not entry.lane.group:
            return False  # it is in no queue, or in another
        waiter.place = None
        self._lanes.discard(entry)
        if not self._lanes.groups:
            self._lanes.forget_refusals()
        return True

    def wake(self, condition: Condition, amount: int, now: float) -> None:
        """A condition came true: those under it are offered again, in order, until one of a cohort is refused."""
        if amount > 0:
            self._lanes.wake(condition)

    # -- driven by the request gate

    def make_room(self, room: RequestRoom) -> None:
        """From now on calls that do not fit into `room` are not asked about."""
        self._room = room
        self.forget_needs()
        for group in self._lanes.groups.values():
            for lane in group.all_lanes():
                room.bound(cast("Needs", lane.resources))
        self._lanes.make_room(room)

    def forget_needs(self) -> None:
        """A model is known no longer, for which nobody waits."""
        self._needs.clear()

    def choose(self, ask: Callable[[RequestWaiter, float], Denied | None], now: float) -> RequestWaiter | None:
        """The first waiter in order that is not refused; it stays where it is until it is taken."""
        room = self._room
        if room is not None:
            room.now = now
            if room.has_counters or room.reserved:
                self._lanes.look_at_room(room.counted)
        self._selected = entry = self._lanes.choose(ask, now)
        return None if entry is None else entry.item

    def take(self, waiter: RequestWaiter, now: float) -> bool:
        """Whether the waiter was chosen last and is still there; it is taken out."""
        entry = self._selected
        if entry is None or waiter.place is not entry:
            return False
        self._selected = waiter.place = None
        self._lanes.take(entry)
        if not self._lanes.groups:
            self._lanes.forget_refusals()
        return True

    def released(self, conditions: Iterable[Condition], now: float) -> None:
        """These came true: what was short of room there fits, perhaps, and what was refused until then is over."""
        if self._room is not None:
            self._room.now = now
        for condition in conditions:
            self._lanes.wake(condition)

    def refusal_of(self, waiter: RequestWaiter, now: float) -> tuple[Denied | None, float]:
        """What a waiter stands under, and since when at least; `None` if nothing refuses it but the order."""
        found = self._lanes.refusal_of(waiter.place)
        if found is not None:
            return found
        room = self._room
        if room is None:
            return None, waiter.enqueued_at
        room.now = now
        return room.refusal(waiter.place.lane.resources), waiter.enqueued_at

    # -- looking

    def view(self) -> RequestQueueView:
        return self._view

    def next_change(self, now: float) -> float | None:
        """The earliest moment under which anybody is parked, or at which a limiter may leave more room."""
        moment = self._lanes.next_moment() if self._lot.moments else None
        room = self._room
        if room is not None and room.has_counters:
            room.now = now
            grows = room.next_change(self._lanes.short_of())
            if grows is not None and (moment is None or grows < moment):
                return grows
        return moment

    def check_invariants(self) -> None:
        """The lanes are in order, and every count is true. Raises `AssertionError`."""
        self._lanes.check_invariants()
        assert self._lanes.total == self._view.queued_total

    def _count(self, key_of: Callable[[RequestWaiter], K]) -> dict[K, int]:
        """How many wait, by what `key_of` says of the first of each lane."""
        counts: Counter[K] = Counter()
        for group in self._lanes.groups.values():
            for lane in group.all_lanes():
                counts[key_of(lane.head.item)] += lane.live
        return counts


@mypyc_attr(allow_interpreted_subclasses=True)
class FifoRequestWaiters(LaneRequestWaiters):
    """Oldest first among those that can go; needs no plugin."""

    def __init__(self) -> None:
        super().__init__(ArrivalOrder())
