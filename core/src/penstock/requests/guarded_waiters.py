"""A waiter queue that is not ours, driven with a guard.

It may be any `RequestWaiterQueue`. Room is a refusal like any other there, what it selects is looked at before it has
its lease. A queue that will not commit what it has just selected, or whose view counts fewer than wait, is named as
broken: whom it has lost would wait without end.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from typing import Any, Final

from penstock.queueing.lanes import ALL
from penstock.requests.items import RequestAdmissionItem
from penstock.requests.waiters import RequestQueueSelection, RequestWaiter, RequestWaiterQueue
from penstock.words.checks import shown
from penstock.words.plugin_failures import PluginMaker
from penstock.words.verdicts import Condition, Denied

__all__ = ["GuardedWaiters"]

STALE_SELECTIONS: Final = 3
"""A queue whose selections are stale so often in a row is broken."""


class GuardedWaiters:
    """A queue of somebody else, with what the request gate asks of its own."""

    def __init__(self, queue: RequestWaiterQueue, maker: PluginMaker) -> None:
        self._queue: Any = queue  # what it answers may be of any type
        self._maker = maker
        self._waiting: dict[RequestAdmissionItem, list[RequestWaiter]] = {}
        """Who waits, by what it asks for: a queue asks about items."""
        self._count = 0
        """How many wait."""
        self._selection: RequestQueueSelection | None = None
        self._stale = 0
        self._rested_at = -math.inf
        """When it has last selected nobody."""

    def enqueue(self, waiter: RequestWaiter, now: float) -> None:
        """Put a waiter in."""
        self._queue.enqueue(waiter, now)
        self._waiting.setdefault(waiter.item, []).append(waiter)
        self._count += 1
        self._look_for_all("enqueue")

    def remove(self, waiter: RequestWaiter, now: float) -> bool:
        """Take a waiter out."""
        self._forget(waiter)
        return bool(self._queue.remove(waiter, now))

    def _forget(self, waiter: RequestWaiter) -> None:
        same = self._waiting[waiter.item]
        same.remove(waiter)
        self._count -= 1
        if not same:
            del self._waiting[waiter.item]

    def _look_for_all(self, method: str) -> None:
        queued: object = getattr(self._queue.view(), "queued_total", None)
        if not isinstance(queued, int) or queued < self._count:
            what = f"{self._count} wait, and the queued_total of its view is {shown(queued)}"
            raise self._maker.error(f"{method} must lose no call: {what}")

    def wake(self, condition: Condition, amount: int, now: float) -> None:
        """A condition came true."""
        self._queue.wake(condition, amount, now)

    def released(self, conditions: Iterable[Condition], now: float) -> None:
        """These came true. How much is free is not said: some of those who wait for it may not want room."""
        for condition in conditions:
            self._queue.wake(condition, ALL, now)

    def choose(self, ask: Callable[[RequestWaiter, float], Denied | None], now: float) -> RequestWaiter | None:
        """Whom the queue selects. Raises `PluginError` for what is no selection of somebody who waits."""

        def is_eligible(item: RequestAdmissionItem) -> Denied | None:
            denied: Denied | None = None
            for waiter in tuple(self._waiting.get(item, ())):
                denied = ask(waiter, now)
            return denied

        selection: object = self._queue.select_next(is_eligible, now)
        if selection is None:
            self._rested_at = now
            self._look_for_all("select_next")
            return None
        if not isinstance(selection, RequestQueueSelection) or selection.waiter not in self._waiting.get(
            selection.waiter.item, ()
        ):
            raise self._maker.error("select_next must return a RequestQueueSelection of a waiter in the queue, or None")
        self._selection = selection
        return selection.waiter

    def nobody_fits(self) -> bool:
        """It is never plain."""
        return False

    def somebody_waits_for(self) -> bool:
        """Nobody knows, so perhaps."""
        return True

    def forget_needs(self) -> None:
        """Nothing is kept of models."""

    def take(self, waiter: RequestWaiter, now: float) -> bool:
        """Whether the queue commits what it selected last. Raises `PluginError` where it will not, again and again."""
        selection = self._selection
        assert selection is not None, "nobody was selected"
        if self._queue.commit(selection, now) is waiter:
            self._stale = 0
            self._forget(waiter)
            return True
        self._stale += 1
        if self._stale >= STALE_SELECTIONS:
            raise self._maker.error("would not commit what it had just selected, though nothing changed between")
        return False

    def refusal_of(self, waiter: RequestWaiter, now: float) -> tuple[Denied | None, float]:
        """What a waiter was refused with last."""
        return waiter.denied, waiter.denied_since

    def next_change(self, now: float) -> float | None:
        """The earliest moment under which anybody is parked. Raises `PluginError` for what is none, or is past."""
        moment = self._maker.a_moment(self._queue.next_change(now))
        return self._maker.later(moment, self._rested_at)
