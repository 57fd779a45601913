"""The driver of a waiter queue, and a gate of so many places, for the suite of waiter queues."""

from __future__ import annotations

from collections.abc import Callable, Hashable

from penstock.requests.items import RequestAdmissionItem, RequestCost, RequestGroupSpec
from penstock.requests.waiters import RequestQueueSelection, RequestWaiter, RequestWaiterQueue
from penstock.words.identity import RequestResourceKey
from penstock.words.verdicts import Condition, Denied, RefusalScope, Released

__all__ = ["CHAT", "OTHER", "QueueDriver", "ScriptedCapacity", "until"]

CHAT = RequestResourceKey("provider", "model", "chat")
OTHER = RequestResourceKey("provider", "other", "chat")


class QueueDriver:
    """A driver of one waiter queue, which selects with `refuse` (item to refusal) and keeps the items `asked`."""

    def __init__(
        self, queue: RequestWaiterQueue, refuse: Callable[[RequestAdmissionItem], Denied | None] = lambda item: None
    ) -> None:
        self.queue = queue
        self.refuse = refuse
        self.now = 0.0
        self.asked: list[RequestAdmissionItem] = []
        self._sequence = 0

    def join(
        self, resource: RequestResourceKey = CHAT, group: Hashable = "a", requests: int = 1, weight: float = 1.0
    ) -> RequestWaiter:
        """A new waiter, which is put into the queue."""
        self._sequence += 1
        item = RequestAdmissionItem(resource, RequestGroupSpec(group, weight), RequestCost(requests))
        waiter = RequestWaiter(item, self.now, self._sequence)
        self.queue.enqueue(waiter, self.now)
        return waiter

    def ask(self, item: RequestAdmissionItem) -> Denied | None:
        self.asked.append(item)
        return self.refuse(item)

    def select(self) -> RequestQueueSelection:
        """The selection of a waiter, of which there must be one."""
        selection = self.queue.select_next(self.ask, self.now)
        assert selection is not None, "no waiter was selected"
        return selection

    def serve_one(self) -> RequestWaiter | None:
        """The next waiter, selected and committed; `None` if none is eligible."""
        selection = self.queue.select_next(self.ask, self.now)
        if selection is None:
            return None
        committed = self.queue.commit(selection, self.now)
        assert committed is selection.waiter, "what was selected a moment ago was not committed"
        return committed

    def serve_all(self) -> list[RequestWaiter]:
        """The waiters that are selected and committed until none is eligible, in order."""
        served: list[RequestWaiter] = []
        while (waiter := self.serve_one()) is not None:
            assert not any(waiter is each for each in served[-1:]), "who was committed a moment ago is selected again"
            served.append(waiter)
        return served


class ScriptedCapacity:
    """The places of each resource, as a limiter has them, which refuses with `Released(resource)` when they are
    taken."""

    def __init__(self, places: int, *, cohort: bool, scope: RefusalScope = "task") -> None:
        self.places = places
        self.cohort = cohort
        self.scope = scope
        self.taken: dict[RequestResourceKey, int] = {}

    def free(self, resource: RequestResourceKey) -> int:
        return self.places - self.taken.get(resource, 0)

    def refuse(self, item: RequestAdmissionItem) -> Denied | None:
        if item.cost.requests <= self.free(item.resource):
            return None
        cohort = item.resource if self.cohort else None
        return Denied("no_capacity", {Released(item.resource)}, scope=self.scope, cohort=cohort)

    def take(self, waiter: RequestWaiter) -> None:
        resource = waiter.item.resource
        self.taken[resource] = self.taken.get(resource, 0) + waiter.item.cost.requests

    def give_back(self, waiter: RequestWaiter) -> None:
        self.taken[waiter.item.resource] -= waiter.item.cost.requests

    def serve(self, driver: QueueDriver) -> list[RequestWaiter]:
        """The waiters that are served, each of which takes its places, until none is eligible."""
        served = []
        while (waiter := driver.serve_one()) is not None:
            self.take(waiter)
            served.append(waiter)
        return served

    def hand_over(self, driver: QueueDriver, back: RequestWaiter) -> list[RequestWaiter]:
        """The waiters that are served when `back` gives its places back and the queue is woken."""
        self.give_back(back)
        driver.queue.wake(Released(back.item.resource), self.free(back.item.resource), driver.now)
        return self.serve(driver)


def until(*conditions: Condition, cohort: Hashable = None, scope: RefusalScope = "task") -> Callable[[object], Denied]:
    """A `refuse` that refuses every item until one of `conditions`."""
    return lambda _: Denied("no_capacity", frozenset(conditions), cohort=cohort, scope=scope)
