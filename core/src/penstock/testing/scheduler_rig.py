"""A task scheduler without configuration and plugins, for tests of queues, policies, runners, and of itself.

    async with open_rig(places=2) as rig:
        handle = rig.scheduler.start_soon(work)
    assert rig.kinds(handle.task_id) == [...]

The end of the block waits for all tasks, and then checks the run against the rules: every lease is back, every task
that was taken on has ended, and the events of leases balance.
"""

from __future__ import annotations

import math
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from random import Random
from types import MappingProxyType

import attrs
import trio

from penstock.events.recorded import event_to_json
from penstock.events.records import EventStream, RuntimeEvent
from penstock.scheduler.events import SchedulerEvents
from penstock.scheduler.parts import SchedulerOptions, SchedulerParts
from penstock.scheduler.runner import TaskRunner
from penstock.scheduler.runners import TaskRunners
from penstock.scheduler.scheduler import AsyncTaskScheduler
from penstock.tasks.admission import TaskAdmissionConfig, TaskAdmissionController, TaskRule
from penstock.tasks.gate import TaskGate
from penstock.tasks.policy import TaskAdmissionPolicy
from penstock.tasks.queue import FifoTaskQueue
from penstock.tasks.ready_queue import ReadyQueue

__all__ = ["SchedulerRig", "open_rig"]


class SchedulerRig:
    """A scheduler, its queue, and every event that it recorded."""

    def __init__(self, scheduler: AsyncTaskScheduler, queue: ReadyQueue, events: list[RuntimeEvent]) -> None:
        self.scheduler = scheduler
        self.queue = queue
        self.events = events

    def kinds(self, task_id: str | None = None) -> list[str]:
        """The kinds of the events so far, or of those of one task, in order."""
        return [event.event_kind for event in self.events if task_id is None or event.task_id == task_id]

    def check_end(self) -> None:
        """Check what must hold when the run has ended."""
        scheduler = self.scheduler
        scheduler.check_invariants()
        assert scheduler.admission.in_flight == 0
        assert scheduler.admission.leases[0] == scheduler.admission.leases[1]
        assert scheduler.progress["unfinished"] == 0
        if not self.events:
            return  # none were recorded
        kinds = self.kinds()
        assert kinds.count("task_lease_acquired") == kinds.count("task_lease_released") == scheduler.admission.leases[0]
        assert "release_diagnostic" not in kinds
        sequences = [event.sequence for event in self.events]
        assert sequences == sorted(set(sequences))
        for event in self.events:
            event_to_json(event)


@asynccontextmanager
async def open_rig(
    *,
    places: int = 4,
    resources: Mapping[str, int] | None = None,
    policies: Sequence[tuple[str, TaskAdmissionPolicy]] = (),
    rule: TaskRule | None = None,
    queue: ReadyQueue | None = None,
    runners: Mapping[str, TaskRunner] = MappingProxyType({}),
    options: SchedulerOptions | None = None,
    backoff: float = 1.0,
    longest_backoff: float = 60.0,
    record_events: bool = True,
) -> AsyncIterator[SchedulerRig]:
    """A scheduler of these parts, which runs beside the block. Raises what ended the run, or what the block raised.

    `record_events`: keep its events, and check them against the rules at the end.
    """
    ready_queue = FifoTaskQueue() if queue is None else queue
    stream = EventStream("scheduler")
    events: list[RuntimeEvent] = []
    if record_events:
        stream.subscribe(events.append)
    controller = TaskAdmissionController(TaskAdmissionConfig(places, resources or {}), policies, rule)
    figures = attrs.evolve(options or SchedulerOptions(), retry_backoff=backoff, retry_backoff_max=longest_backoff)
    gate = TaskGate(ready_queue, controller)
    parts = SchedulerParts(gate, SchedulerEvents(stream, "run"), Random(1), figures, TaskRunners.of(runners))
    scheduler = AsyncTaskScheduler(parts)
    rig = SchedulerRig(scheduler, ready_queue, events)
    failure: BaseException | None = None
    async with parts.runners.opened(), trio.open_nursery() as nursery:
        scheduler.loop.on_fatal = nursery.cancel_scope.cancel
        await nursery.start(scheduler.loop.run)
        try:
            yield rig
        except BaseException as error:
            failure = error
            scheduler.loop.stop(-math.inf)
        scheduler.loop.close()
    rig.check_end()
    if scheduler.loop.fatal is not None:
        raise scheduler.loop.fatal
    if failure is not None:
        raise failure
