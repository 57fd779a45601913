"""The timeline of one task, from the moment it became ready to the release of its lease, and the time in each layer."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

import attrs

__all__ = ["LAYERS", "TIMESTAMPS", "TaskTimeline", "largest"]

LAYERS: Final = ("dependencies", "queue_order", "task_capacity", "request_wait", "cooldown", "provider", "after")
"""The layers in which time can go, in the order in which a task meets them; `timeline.py` says what counts as which."""

_OF_THE_FIRST_CALL: Final = frozenset(
    ["request_wait_started_at", "request_wait_completed_at", "request_lease_acquired_at", "model_request_started_at"]
)


@attrs.define(slots=True, kw_only=True)
class TaskTimeline:
    """The moments at which one task met each layer, and the seconds that it spent there.

    Times are moments of the run's clock, in seconds; `None` if it has not happened, or was not recorded.
    They are those of the latest execution (a retry begins anew). A task that makes several calls has the
    four moments up to `model_request_started_at` from its first call, and the last two from its last.
    `seconds` is over all executions, and adds up to the task's whole time.
    """

    task_id: str
    task_execution_id: str | None = None
    row_group: str | None = None
    task_column: str | None = None
    dependency_ready_at: float | None = None
    ready_enqueued_at: float | None = None
    selected_at: float | None = None
    task_lease_acquired_at: float | None = None
    worker_spawned_at: float | None = None
    request_wait_started_at: float | None = None
    request_wait_completed_at: float | None = None
    request_lease_acquired_at: float | None = None
    model_request_started_at: float | None = None
    model_request_completed_at: float | None = None
    request_lease_released_at: float | None = None
    task_completed_at: float | None = None
    task_lease_released_at: float | None = None
    executions: int = 0
    calls: int = 0
    outcome: str | None = None
    seconds: dict[str, float] = attrs.field(factory=lambda: dict.fromkeys(LAYERS, 0.0))

    def note(self, event_kind: str, moment: float) -> None:
        """Set the moment of an event that has a field here."""
        field = TIMESTAMPS[event_kind]
        if field not in _OF_THE_FIRST_CALL or getattr(self, field) is None:
            setattr(self, field, moment)

    def reset(self) -> None:
        """Clear the moments of an earlier execution; its time stays in `seconds`."""
        for field in TIMESTAMPS.values():
            setattr(self, field, None)

    def where_time_went(self) -> Mapping[str, float]:
        """The seconds that this task spent in each layer."""
        return dict(self.seconds)

    @property
    def limited_by(self) -> str | None:
        """The layer that held the task longest; `None` if nothing took any time."""
        return largest(self.seconds)


TIMESTAMPS: Final[Mapping[str, str]] = {
    field.name.removesuffix("_at"): field.name for field in attrs.fields(TaskTimeline) if field.name.endswith("_at")
}
"""Event kind to the field of `TaskTimeline` that takes the event's `captured_at_monotonic`."""


def largest(seconds: Mapping[str, float]) -> str | None:
    """The layer with the most time, the earlier one of equals; `None` without any."""
    layer = max(LAYERS, key=lambda name: seconds[name])
    return layer if seconds[layer] > 0 else None
