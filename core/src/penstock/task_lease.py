"""What the task gate answers with: a lease, a refusal, or a summary of what holds the queue up."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

import attrs

from penstock.ready_queue import Blocked, QueueView
from penstock.tasks import SchedulableTask, SchedulerResourceKey
from penstock.verdicts import Denied

if TYPE_CHECKING:
    from penstock.task_policy import TaskAdmissionPolicy

__all__ = ["TaskAdmissionBlockSummary", "TaskAdmissionDenied", "TaskAdmissionLease", "add_up"]


@attrs.define(slots=True, eq=False)
class TaskAdmissionLease:
    """Leave for one task to run, with what it holds meanwhile."""

    lease_id: str
    item: SchedulableTask
    resources: Mapping[SchedulerResourceKey, int]
    acquired_at: float
    controller_generation: int
    watchers: tuple[tuple[str, TaskAdmissionPolicy], ...] = ()
    """The policies that are told of it, by name: those that were when it was acquired."""


@attrs.define(slots=True)
class TaskAdmissionDenied:
    """Why a task did not get its lease."""

    item: SchedulableTask
    denied: Denied
    snapshot: Mapping[str, Any] | None = None


@attrs.define(slots=True)
class TaskAdmissionBlockSummary:
    """What holds the queue up. `dominant_denial_reasons`: reason to the groups it keeps back;
    `available_after` in seconds of the run's clock, if a moment is known."""

    queued_count: int
    dominant_denial_reasons: Mapping[str, tuple[str, ...]]
    available_after: float | None
    diagnostics: Mapping[str, Any] = attrs.field(factory=dict)


def add_up(blocked: Iterable[Blocked], queue_view: QueueView) -> TaskAdmissionBlockSummary:
    """The summary of the refusals in force."""
    reasons: dict[str, dict[str, None]] = {}
    moments = []
    said: dict[str, int] = {}
    for block in blocked:
        group = "all groups" if block.group is None else str(block.group)
        reasons.setdefault(block.denied.reason, {})[group] = None
        said[block.denied.by] = said.get(block.denied.by, 0) + block.tasks
        moment = block.denied.next_moment()
        if moment is not None:
            moments.append(moment)
    dominant = {
        reason: tuple(groups) for reason, groups in sorted(reasons.items(), key=lambda kv: (-len(kv[1]), kv[0]))
    }
    return TaskAdmissionBlockSummary(
        queue_view.queued_total, dominant, min(moments, default=None), {"tasks_kept_back_by": said}
    )
