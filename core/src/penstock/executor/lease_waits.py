"""Who is parked for a lease, and whether one of them holds another: what a deadlock is found by."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from math import inf

import trio

from penstock.executor.open_blocks import OpenBlocks
from penstock.requests.waiters import RequestWaiter
from penstock.words.errors import StallError

__all__ = ["LeaseWaits", "lineage"]


def lineage(task: trio.lowlevel.Task) -> Iterator[trio.lowlevel.Task]:
    """A trio task, the one in whose nursery it runs, and so on to the outermost of all."""
    yield task
    while task.parent_nursery is not None:
        task = task.parent_nursery.parent_task
        yield task


class LeaseWaits:
    """The parked waiters of a gate, and the blocks in which leases are held."""

    def __init__(self) -> None:
        self.blocks = OpenBlocks()
        self._held = self.blocks.by_holder
        self.parked: dict[RequestWaiter, None] = {}
        """Who is parked, in the order of parking."""
        self.stalled: dict[RequestWaiter, StallError] = {}
        """What the wait of those ends with that are part of a deadlock."""
        self.lines: dict[RequestWaiter, Sequence[RequestWaiter]] = {}
        """The waiters of a call that waits in several lines at once, by each of those that are parked."""
        self._parked_holders: dict[trio.lowlevel.Task, RequestWaiter] = {}
        self.on_park: Callable[[trio.lowlevel.Task], None] | None = None
        """Called with each trio task that is about to be parked; it must not call the gate."""

    def park(self, waiter: RequestWaiter) -> None:
        """Note that this trio task is about to be parked for a lease."""
        waiter.parked = task = trio.lowlevel.current_task()
        self.parked[waiter] = None
        if self._held and any(each in self._held for each in lineage(task)):
            self._parked_holders[task] = waiter
        if self.on_park is not None:
            self.on_park(task)

    def park_in_lines(self, waiters: Sequence[RequestWaiter]) -> None:
        """Note that this trio task is about to be parked for the first lease that one of several waiters gets."""
        for waiter in waiters:
            self.park(waiter)
            self.lines[waiter] = waiters

    def unpark(self, waiter: RequestWaiter) -> tuple[trio.lowlevel.Task | None, Sequence[RequestWaiter]]:
        """The trio task that was parked for a waiter, if one was, and the waiters of its other lines; the waiter is no
        longer parked.
        """
        task, waiter.parked = waiter.parked, None
        self.parked.pop(waiter, None)
        return task, [each for each in self.lines.pop(waiter, ()) if each is not waiter] if self.lines else ()

    def a_holder_is_parked(self) -> bool:
        """Whether anybody is parked who holds a lease, or is in a nursery of one who does.

        Without that no call waits for another one's wait.
        """
        self._parked_holders = {task: each for task, each in self._parked_holders.items() if each in self.parked}
        return bool(self._parked_holders)

    def waiters(self) -> Iterator[tuple[RequestWaiter, bool]]:
        """The parked waiters, and whether the wait of each ends by itself at some moment."""
        for waiter in self.parked:
            # Of a call in several lines nothing is certain: what is stuck in one may go in another.
            bounded = waiter.gives_up_at is not None or waiter in self.lines
            yield waiter, bounded or _deadline_around(waiter.parked) != inf


def _deadline_around(task: trio.lowlevel.Task) -> float:
    """The deadline of the cancel scopes around a parked task.

    Trio has a public name for that of the running task alone, and to ask each one that parks is a twentieth of what a
    call costs that waits. Where the name is gone that is used here, no deadlock is certain.
    """
    status = getattr(task, "_cancel_status", None)
    effective_deadline: Callable[[], float] = getattr(status, "effective_deadline", lambda: -inf)
    return effective_deadline()
