"""Those who wait at the request gate: the waiter, and the protocol of the queue that orders them.

A queue never decides whether a call may go out: it offers candidates to `is_eligible` in its order, files a
refused one under its refusal, and offers it again only after `wake` (or, for `At`, when `now` has come).

A refusal's `scope` reads here: `task` this waiter, `shape` this group's waiters for as many requests of this
resource, `group` this group's waiters for every resource of the model, `all` every waiter, of every model. The
controller never passes the last one on for a limiter (`limiter_guard.py`). The plain queue is in `lane_waiters.py`; one
of somebody else is driven by `guarded_waiters.py`.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Mapping
from typing import Any, Protocol, runtime_checkable

import attrs
from msgspec import Struct

from penstock.events.correlation import RuntimeCorrelation
from penstock.requests.items import RequestAdmissionDenied, RequestAdmissionItem, RequestAdmissionLease
from penstock.words.identity import ProviderModelKey, RequestResourceKey
from penstock.words.verdicts import Condition, Denied

__all__ = ["RequestQueueSelection", "RequestQueueView", "RequestWaiter", "RequestWaiterQueue"]


class RequestWaiter(Struct, eq=False, weakref=True):
    """One call that waits. It is in the queue, or it has `lease` or `refused`, never two of these.

    `gives_up_at` is the earlier of the item's deadline and the end of its wait, as a moment of the run's
    clock. `denied` is the last refusal it met in the queue, for `explain`: met at `denied_at`, and without another one
    between since `denied_since`. `parked` is the shell's own (the trio
    task to wake), `place` the queue's (`None` when it has left).
    `correlation` is the asker's, since whoever frees the place belongs to another task. `books` is the gate's own:
    where its lease is to be counted.
    """

    item: RequestAdmissionItem
    enqueued_at: float
    sequence: int
    gives_up_at: float | None = None
    denied: Denied | None = None
    denied_at: float = 0.0
    denied_since: float = 0.0
    lease: RequestAdmissionLease | None = None
    refused: RequestAdmissionDenied | None = None
    parked: Any = None
    place: Any = None
    correlation: RuntimeCorrelation | None = None
    books: Any = None

    def was_asked(self, denied: Denied | None, now: float) -> None:
        """Note what it was answered, for `explain`; a queue calls it for each candidate that it offers."""
        before = self.denied
        if denied is not None:
            self.denied_at = now
            if before is None or (before.reason, before.by) != (denied.reason, denied.by):
                self.denied_since = now
        self.denied = denied


@attrs.define(slots=True, eq=False)
class RequestQueueSelection:
    """A candidate that was eligible; `commit` takes it out unless the queue has changed since."""

    waiter: RequestWaiter
    sequence_version: int


@attrs.frozen
class RequestQueueView:
    """A read-only window onto the queue's own counters; the mappings are live."""

    queued_by_group: Mapping[Hashable, int]
    demand_by_resource: Mapping[RequestResourceKey, int]
    queued_by_provider_model: Mapping[ProviderModelKey, int]

    @property
    def queued_total(self) -> int:
        return sum(self.queued_by_provider_model.values())


@runtime_checkable
class RequestWaiterQueue(Protocol):
    """The order in which waiting calls are offered. Synchronous and pure; `now` is passed in.

    Weighted fair between groups that share a cap, oldest first between equals, by cost; no waiter's deadline
    hides another's turn; nothing scans all waiters.
    """

    def enqueue(self, waiter: RequestWaiter, now: float) -> None:
        """Put a waiter in the queue."""
        ...

    def select_next(
        self, is_eligible: Callable[[RequestAdmissionItem], Denied | None], now: float
    ) -> RequestQueueSelection | None:
        """The first waiter, in the queue's order, that is eligible. Refused ones are parked under their refusals."""
        ...

    def commit(self, selection: RequestQueueSelection, now: float) -> RequestWaiter | None:
        """Take the selected waiter out; `None` if the queue has changed since it was selected."""
        ...

    def remove(self, waiter: RequestWaiter, now: float) -> bool:
        """Whether the waiter was in the queue; it is taken out, since it gave up or was cancelled.

        A refusal that it met and that covered others as well ends with it: they are offered again.
        """
        ...

    def wake(self, condition: Condition, amount: int, now: float) -> None:
        """A condition came true: offer those parked under it again, as many as `amount` requests could serve,
        in order.

        One that is refused again, or leaves, passes its turn on: a place never stays empty because the first
        who was asked had no use for it.
        """
        ...

    def view(self) -> RequestQueueView:
        """Who is in the queue, counted. By it a queue is found that has lost somebody: it ends the run."""
        ...

    def next_change(self, now: float) -> float | None:
        """The earliest `At` under which anybody is parked."""
        ...
