"""A waiter queue as somebody would write it who knows nothing of ours: one list, everybody asked in its order."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable

from penstock import Condition, Denied, RequestAdmissionItem, RequestQueueSelection, RequestQueueView, RequestWaiter

__all__ = ["ListWaiters"]


class ListWaiters:
    """First in, first out. It parks nobody: who is refused is asked again whenever somebody is to be selected."""

    def __init__(self) -> None:
        self._waiters: list[RequestWaiter] = []
        self._version = 0

    def enqueue(self, waiter: RequestWaiter, now: float) -> None:
        if waiter in self._waiters:
            raise ValueError("this waiter stands in line already")
        self._waiters.append(waiter)
        self._version += 1

    def select_next(
        self, is_eligible: Callable[[RequestAdmissionItem], Denied | None], now: float
    ) -> RequestQueueSelection | None:
        for waiter in self._waiters:
            waiter.denied = is_eligible(waiter.item)
            if waiter.denied is None:
                return RequestQueueSelection(waiter, self._version)
        return None

    def commit(self, selection: RequestQueueSelection, now: float) -> RequestWaiter | None:
        if selection.sequence_version != self._version:
            return None
        self.remove(selection.waiter, now)
        return selection.waiter

    def remove(self, waiter: RequestWaiter, now: float) -> bool:
        if waiter not in self._waiters:
            return False
        self._waiters.remove(waiter)
        self._version += 1
        return True

    def wake(self, condition: Condition, amount: int, now: float) -> None:
        """Nobody sleeps."""

    def view(self) -> RequestQueueView:
        return RequestQueueView(
            Counter(waiter.item.group.key for waiter in self._waiters),
            Counter(waiter.item.resource for waiter in self._waiters),
            Counter(waiter.item.resource.provider_model for waiter in self._waiters),
        )

    def next_change(self, now: float) -> float | None:
        moments = [waiter.denied.next_moment() for waiter in self._waiters if waiter.denied is not None]
        return min((moment for moment in moments if moment is not None), default=None)
