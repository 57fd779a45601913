"""Streams of tasks, or of calls, that never run dry: who gets how much of what all want, and who never starts."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from random import Random

import attrs

from penstock import (
    EventStream,
    RequestAdmissionController,
    RequestAdmissionItem,
    RequestAdmissionLease,
    RequestCost,
    RequestGroupSpec,
    RequestReleaseOutcome,
    RequestResourceKey,
    RequestWaiter,
    RequestWaiterQueue,
    SchedulableTask,
    TaskGroupSpec,
)
from penstock.testing import make_task
from penstock_model.task_gates import task_gate

__all__ = ["CallStreams", "Stream", "Streams", "shares"]

DEPTH = 3
"""How many tasks of each stream are queued at any time."""


@attrs.frozen
class Stream:
    """Tasks of one group, all of one shape."""

    group: str
    needs: Mapping[str, int]
    weight: float = 1.0


class Streams:
    """A task gate under streams that are filled up whenever a task has started; what ends next is drawn."""

    def __init__(self, queue: str, limits: Mapping[str, int], streams: Sequence[Stream], seed: object = 0) -> None:
        self.gate = task_gate(queue, limits, lambda *_: None)
        self.streams = list(streams)
        self.started: dict[str, int] = {stream.group: 0 for stream in streams}
        self._specs = {stream.group: TaskGroupSpec.named(stream.group, stream.weight) for stream in streams}
        self._rng = Random(f"streams/{seed}")
        self._queued = dict.fromkeys(range(len(self.streams)), 0)
        self._of: dict[str, int] = {}
        self._out: list[str] = []
        self._numbered = 0
        self.ended = 0

    def fill(self) -> None:
        """Offer what was used up, and start what may start."""
        while True:
            fresh: list[SchedulableTask] = []
            for n, stream in enumerate(self.streams):
                while self._queued[n] < DEPTH:
                    self._queued[n] += 1
                    self._numbered += 1
                    task = make_task(f"{stream.group}-{self._numbered}", self._specs[stream.group], stream.needs)
                    self._of[task.task_id] = n
                    fresh.append(task)
            self.gate.offer(fresh, 0.0)
            task_or_none = self.gate.next(0.0)
            if task_or_none is None:
                return
            n = self._of.pop(task_or_none.task_id)
            self._queued[n] -= 1
            self.started[self.streams[n].group] += 1
            self._out.append(task_or_none.task_id)

    def end_one(self) -> None:
        """One of those that run ends."""
        self.ended += 1
        self.gate.finish(self._out.pop(self._rng.randrange(len(self._out))), 0.0)


class CallStreams:
    """The same of calls of one model, at a request gate: what a stream `needs` of `"place"` is a call's requests."""

    RESOURCE = RequestResourceKey("p", "m", "chat")

    def __init__(self, queue: RequestWaiterQueue, cap: int, streams: Sequence[Stream], seed: object = 0) -> None:
        self.gate = RequestAdmissionController(EventStream("request"), waiters=queue)
        self.gate.register("p", "m", cap, 0.0)
        self.streams = list(streams)
        self.started: dict[str, int] = {stream.group: 0 for stream in streams}
        self._rng = Random(f"call streams/{seed}")
        self._waiting = dict.fromkeys(self.started, 0)
        self._depth = cap + DEPTH
        """One release lets so many go at most, and no stream may run dry in between."""
        self._out: list[RequestAdmissionLease] = []
        self.ended = 0

    def fill(self) -> None:
        """Ask for what was used up, as long as any of it goes out at once."""
        for stream in self.streams:
            spec = RequestGroupSpec(stream.group, stream.weight)
            while self._waiting[stream.group] < self._depth:
                self._waiting[stream.group] += 1
                item = RequestAdmissionItem(self.RESOURCE, spec, RequestCost(stream.needs["place"]))
                waiter = self.gate.enqueue(item, 0.0)
                if waiter.lease is not None:
                    self._goes(waiter.lease)
        while (due := self.gate.next_change(0.0)) is not None and due <= 0.0:
            self._go(self.gate.advance(0.0).granted)

    def _go(self, granted: Sequence[RequestWaiter]) -> None:
        for waiter in granted:
            assert waiter.lease is not None
            self._goes(waiter.lease)

    def _goes(self, lease: RequestAdmissionLease) -> None:
        group = str(lease.item.group.key)
        self.started[group] += 1
        self._waiting[group] -= 1
        self._out.append(lease)

    def end_one(self) -> None:
        """One of those that are out ends."""
        self.ended += 1
        lease = self._out.pop(self._rng.randrange(len(self._out)))
        self._go(self.gate.release(lease, RequestReleaseOutcome(kind="success"), 0.0).granted)


def shares(streams: Streams | CallStreams, resource: str, leases: int) -> tuple[float, float]:
    """The worst lag and the worst lead over so many ended leases, in maximal tasks.

    A group is owed its weight's share of the units that were given in all. Room that is kept empty was given to nobody,
    so it is no lag.
    """
    sizes = [stream.needs[resource] for stream in streams.streams]
    largest = max(sizes)
    total_weight = sum(stream.weight for stream in streams.streams)
    worst_lag = worst_lead = 0.0
    for _ in range(leases):
        streams.fill()
        got = [streams.started[s.group] * size for s, size in zip(streams.streams, sizes, strict=True)]
        given = sum(got)
        for stream, units in zip(streams.streams, got, strict=True):
            owed = given * stream.weight / total_weight
            worst_lag = max(worst_lag, (owed - units) / largest)
            worst_lead = max(worst_lead, (units - owed) / largest)
        streams.end_one()
    return worst_lag, worst_lead
