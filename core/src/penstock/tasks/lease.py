"""What the task gate answers with: a lease, a refusal, or a summary of what holds the queue up."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from typing import Any, Final, Protocol, final

import attrs
from msgspec import Struct

from penstock.events.correlation import RuntimeCorrelation
from penstock.tasks.decision import PolicyStateDelta, TaskAdmissionPolicyDecision
from penstock.tasks.ready_queue import Blocked, QueueView
from penstock.tasks.records import SchedulableTask, SchedulerResourceKey
from penstock.words.errors import AdmissionError
from penstock.words.read_only import read_only
from penstock.words.verdicts import Denied

__all__ = [
    "LeaseWatcher",
    "TaskAdmissionBlockSummary",
    "TaskAdmissionDenied",
    "TaskAdmissionLease",
    "TaskRefused",
    "block_summary",
]


PREFIX: Final = "task-"
"""What the ids of these leases begin with."""


class LeaseWatcher(Protocol):
    """Who learns of a lease and of its end, and answers with what is to change about its own figures."""

    def on_acquire(
        self, lease: TaskAdmissionLease, decision: TaskAdmissionPolicyDecision, now: float
    ) -> PolicyStateDelta | None: ...

    def on_release(self, lease: TaskAdmissionLease, now: float) -> PolicyStateDelta | None: ...


@final
@read_only
class TaskAdmissionLease(Struct, eq=False):
    """Leave for one task to run, with what it holds meanwhile."""

    number: int
    item: SchedulableTask
    acquired_at: float
    controller_generation: int
    watchers: tuple[tuple[str, LeaseWatcher], ...] = ()
    """The policies with a memory that decided when it was acquired, by name: its end is reported to them."""
    correlation: RuntimeCorrelation | None = None
    """What its events carry, since somebody has listened."""

    @property
    def lease_id(self) -> str:
        """Its id, unique within the run."""
        return f"{PREFIX}{self.controller_generation}-{self.number}"

    @property
    def resources(self) -> Mapping[SchedulerResourceKey, int]:
        """What is held, by resource."""
        return self.item.resource_request.amounts


@attrs.define(slots=True)
class TaskAdmissionDenied:
    """Why a task did not get its lease."""

    item: SchedulableTask
    denied: Denied
    snapshot: Mapping[str, Any] | None = None


class TaskRefused(AdmissionError):
    """The task gate will never admit this task: `denied` has the reason and the figures."""

    def __init__(self, task_id: str, denied: Denied) -> None:
        self.task_id = task_id
        self.denied = denied
        super().__init__(f"task {task_id!r} is refused for good: {denied.reason}: {denied.detail}")


@attrs.define(slots=True)
class TaskAdmissionBlockSummary:
    """What holds the queue up. `dominant_denial_reasons`: reason to the groups it keeps back;
    `available_after` in seconds of the run's clock, if a moment is known."""

    queued_count: int
    dominant_denial_reasons: Mapping[str, tuple[str, ...]]
    available_after: float | None
    diagnostics: Mapping[str, Any] = attrs.field(factory=dict)


def block_summary(blocked: Iterable[Blocked], queue_view: QueueView) -> TaskAdmissionBlockSummary:
    """The summary of the refusals in force."""
    reasons: dict[str, dict[str, None]] = {}
    moments: list[float] = []
    said = Counter[str]()
    for block in blocked:
        group = "all groups" if block.group is None else str(block.group)
        reasons.setdefault(block.denied.reason, {})[group] = None
        said[block.denied.by] += block.tasks
        if (moment := block.denied.next_moment()) is not None:
            moments.append(moment)
    ranked = sorted(reasons.items(), key=lambda pair: (-len(pair[1]), pair[0]))
    dominant = {reason: tuple(groups) for reason, groups in ranked}
    return TaskAdmissionBlockSummary(
        queue_view.queued_total, dominant, min(moments, default=None), {"tasks_kept_back_by": dict(said)}
    )
