"""The waiter queue over lanes: with an order it is a `RequestWaiterQueue`; with the order of arrival,
`FifoRequestWaiters`.

Waiters of one group for one resource are in one lane. Groups compete per provider's model, since that is
where the cap is shared: what a tenant has used of one model counts for nothing at another. Within a group the
oldest goes first, or the one with the earliest deadline.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Hashable
from typing import Final, Literal, TypeVar

import attrs

from penstock.queueing.arrival_order import ArrivalOrder
from penstock.queueing.lane_queue import LaneQueue
from penstock.queueing.lanes import Entry, Order
from penstock.requests.deadline_lanes import DeadlineLanes
from penstock.requests.demand import LiveCounts
from penstock.requests.items import RequestAdmissionItem
from penstock.requests.waiters import RequestQueueSelection, RequestQueueView, RequestWaiter
from penstock.words.identity import ProviderModelKey, RequestResourceKey
from penstock.words.verdicts import Condition, Denied

__all__ = ["FifoRequestWaiters", "LaneRequestWaiters"]

K = TypeVar("K", bound=Hashable)

REMEMBERED: Final = 256
"""Of how many resources the places are kept at hand."""

Cost = Callable[[RequestAdmissionItem], float]


def _one(_: RequestAdmissionItem) -> float:
    return 1.0


class LaneRequestWaiters:
    """A `RequestWaiterQueue` whose order is `order`. `cost` (> 0) is what a call counts for there.

    `within_group` says who of one group goes first: the `oldest`, or by `deadline`, the one whose item has the
    earliest; who has none comes after those who have one, and between equals the oldest goes first. With
    `deadline` the order should be one between groups: the order of arrival becomes one of deadlines throughout.
    """

    def __init__(
        self,
        order: Order[RequestWaiter],
        cost: Cost = _one,
        within_group: Literal["oldest", "deadline"] = "oldest",
    ) -> None:
        self._cost = cost
        self._due: DeadlineLanes[RequestWaiter] | None = DeadlineLanes(order) if within_group == "deadline" else None
        self._lanes: LaneQueue[RequestWaiter] = LaneQueue(order) if self._due is None else self._due
        self._selected: Entry[RequestWaiter] | None = None
        self._places: dict[RequestResourceKey, tuple[ProviderModelKey, tuple[tuple[Hashable, int], ...]]] = {}
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
        resource = item.resource
        place = self._places.get(resource)
        if place is None:
            if len(self._places) >= REMEMBERED:
                self._places.clear()
            model = resource.provider_model
            place = self._places[resource] = model, ((resource, 1), (model, 1), (resource.provider, 1))
        group = item.group
        key, cost = (group.key, place[0]), self._cost(item)
        if self._due is None:
            waiter.place = self._lanes.add(waiter, key, group.weight, resource, place[1], cost)
        else:
            waiter.place = self._due.add_due(waiter, key, group.weight, resource, place[1], cost, item.deadline)

    def select_next(
        self, is_eligible: Callable[[RequestAdmissionItem], Denied | None], now: float
    ) -> RequestQueueSelection | None:
        """The first waiter in order that is eligible; refused ones are parked, and keep the refusal for `explain`."""

        def ask(waiter: RequestWaiter, _: float) -> Denied | None:
            denied = is_eligible(waiter.item)
            waiter.was_asked(denied, now)
            if denied is None:
                return None
            if denied.scope == "all" and denied.cohort is None:
                # It covers this resource and no other: its lanes are one cohort.
                denied = attrs.evolve(denied, scope="shape", cohort=("all", waiter.item.resource))
            return denied

        self._selected = entry = self._lanes.choose(ask, now)
        return None if entry is None else RequestQueueSelection(entry.item, self._lanes.version)

    def commit(self, selection: RequestQueueSelection, now: float) -> RequestWaiter | None:
        """Take the selected waiter out; `None` if the queue has changed since."""
        waiter = selection.waiter
        entry = self._selected
        if entry is None or waiter.place is not entry or selection.sequence_version != self._lanes.version:
            return None
        self._selected = waiter.place = None
        self._lanes.take(entry)
        return waiter

    def remove(self, waiter: RequestWaiter, now: float) -> bool:
        """Whether the waiter was in the queue; it is taken out."""
        entry = waiter.place
        if entry is None or self._lanes.groups.get(entry.lane.group.key) is not entry.lane.group:
            return False  # it is in no queue, or in another
        waiter.place = None
        self._lanes.discard(entry)
        return True

    def wake(self, condition: Condition, amount: int, now: float) -> None:
        """A condition came true: those under it are offered again, in order, until one of a cohort is refused."""
        if amount > 0:
            self._lanes.wake(condition)

    def view(self) -> RequestQueueView:
        return self._view

    def next_change(self, now: float) -> float | None:
        """The earliest moment under which anybody is parked."""
        return self._lanes.next_moment()

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


class FifoRequestWaiters(LaneRequestWaiters):
    """Oldest first among those that can go; needs no plugin."""

    def __init__(self) -> None:
        super().__init__(ArrivalOrder())
