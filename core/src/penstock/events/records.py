"""The two event streams: the record of an event, the kinds, and the stream that keeps the order.

A controller or a shell *records* an event while it works, and the shell *delivers* when the state change that the event
reports is complete. So a sink never sees half a change, order is the order of recording, and a sink that calls back
into Penstock records behind what is being delivered. With no sink attached, `active` is false and no record is built:

    if events.active:
        events.record("selected", now, task_id=task.task_id)

Pure: no clock, no thread, no log. How records reach plugins (buffers, threads, a sink that raises) is in
`sinks/drivers.py`.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Mapping
from typing import Any, Final, Literal, final, get_args

import attrs

from penstock.events.correlation import RuntimeCorrelation, current_correlation
from penstock.words.read_only import draft_of, fixed, new, read_only

__all__ = [
    "REQUEST_EVENT_KINDS", "SCHEDULER_EVENT_KINDS", "EventStream", "RequestEventKind", "RuntimeEvent",
    "SchedulerEventKind", "StreamName",
]  # fmt: skip

StreamName = Literal["scheduler", "request"]

SchedulerEventKind = Literal[
    "scheduler_job_started",
    "scheduler_job_completed",
    "scheduler_health_snapshot",
    "dependency_ready",
    "ready_enqueued",
    "row_group_admitted",
    "row_group_admission_blocked",
    "row_group_admission_target_changed",
    "row_group_checkpointed",
    "selected",
    "queue_empty",
    "admission_blocked",
    "group_capped",
    "request_pressure_advisory_skipped",
    "task_lease_acquired",
    "admission_denied",
    "worker_spawned",
    "worker_spawn_failed",
    "stale_selection",
    "retry_deferred",
    "non_retryable_dropped",
    "cancelled",
    "salvage_redispatched",
    "queue_drained",
    "task_completed",
    "task_lease_released",
    "release_diagnostic",
    "plugin_error",
    "events_dropped",
]
"""What the scheduler stream tells of."""
RequestEventKind = Literal[
    "request_resource_registered",
    "request_effective_cap_changed",
    "request_queue_formed",
    "request_wait_started",
    "request_wait_completed",
    "request_wait_timeout",
    "request_wait_cancelled",
    "request_acquire_denied",
    "request_lease_acquired",
    "model_request_started",
    "model_request_completed",
    "request_queue_drained",
    "request_rate_limited",
    "request_limit_decreased",
    "request_limit_increased",
    "request_soft_ceiling_recovered",
    "request_fully_recovered",
    "request_lease_released",
    "request_release_diagnostic",
    "plugin_error",
    "events_dropped",
]
"""What the request stream tells of."""
SCHEDULER_EVENT_KINDS: Final[frozenset[str]] = frozenset(get_args(SchedulerEventKind))
REQUEST_EVENT_KINDS: Final[frozenset[str]] = frozenset(get_args(RequestEventKind))
_KINDS: Final[Mapping[str, frozenset[str]]] = {"scheduler": SCHEDULER_EVENT_KINDS, "request": REQUEST_EVENT_KINDS}


def _fixed(given: Mapping[str, Any] | None) -> Mapping[str, Any] | None:
    words: Mapping[str, Any] | None = None if given is None else fixed(dict(given))
    return words


@final
@read_only
@attrs.frozen(slots=True, kw_only=True)
class RuntimeEvent:
    """The record of one event. JSON-safe as it stands: strings, numbers, and mappings and lists of them. All sinks are
    given the same, so none of them can write it.

    `event_kind` is one of `SchedulerEventKind` or `RequestEventKind`, or what a later version wrote into a file.
    `captured_at_monotonic` is in seconds of the run's clock; `sequence` increases strictly within its
    `stream`; `labels` are those that a caller gave the task or the call. It never holds prompts, completions, row
    values, secrets, provider bodies or exception payloads.
    """

    stream: StreamName
    event_kind: str
    captured_at_monotonic: float
    sequence: int
    correlation: RuntimeCorrelation | None = None
    task_id: str | None = None
    task_execution_id: str | None = None
    task_lease_id: str | None = None
    request_attempt_id: str | None = None
    request_lease_id: str | None = None
    resource: str | None = None
    group: str | None = None
    reason_or_outcome: str | None = None
    snapshot: Mapping[str, Any] | None = attrs.field(default=None, converter=_fixed)
    diagnostics: Mapping[str, Any] | None = attrs.field(default=None, converter=_fixed)
    labels: Mapping[str, str] | None = attrs.field(default=None, converter=_fixed)


_draft: Final = draft_of(RuntimeEvent)


def _made(
    stream: StreamName,
    event_kind: str,
    captured_at_monotonic: float,
    sequence: int,
    correlation: RuntimeCorrelation | None,
    task_id: str | None,
    task_execution_id: str | None,
    task_lease_id: str | None,
    request_attempt_id: str | None,
    request_lease_id: str | None,
    resource: str | None,
    group: str | None,
    reason_or_outcome: str | None,
    snapshot: Mapping[str, Any] | None,
    diagnostics: Mapping[str, Any] | None,
    labels: Mapping[str, str] | None,
) -> Any:
    # What attrs' own `__init__` does, in half the time: an event is made seven times for each task.
    made: Any = new(_draft)
    made.stream = stream
    made.event_kind = event_kind
    made.captured_at_monotonic = captured_at_monotonic
    made.sequence = sequence
    made.correlation = correlation
    made.task_id = task_id
    made.task_execution_id = task_execution_id
    made.task_lease_id = task_lease_id
    made.request_attempt_id = request_attempt_id
    made.request_lease_id = request_lease_id
    made.resource = resource
    made.group = group
    made.reason_or_outcome = reason_or_outcome
    made.snapshot = None if snapshot is None else fixed(snapshot)
    made.diagnostics = None if diagnostics is None else fixed(diagnostics)
    made.labels = None if labels is None else fixed(dict(labels))
    made.__class__ = RuntimeEvent
    return made


class EventStream:
    """One of the two event streams, which numbers its events and delivers them, in order, to its receivers."""

    def __init__(self, stream: StreamName) -> None:
        self.stream: StreamName = stream
        self.active = False
        self._kinds = _KINDS[stream]
        self._sequence = 0
        self._pending: deque[RuntimeEvent] = deque()
        self._delivering = False
        self._receivers: list[tuple[Callable[[RuntimeEvent], None], frozenset[str]]] = []
        self._wanted: frozenset[str] = frozenset()
        """The kinds that somebody wants: of others no event is built."""

    def subscribe(self, receiver: Callable[[RuntimeEvent], None], kinds: frozenset[str] | None = None) -> None:
        """Deliver every event from now on, or those of some `kinds`, to `receiver`, which must not raise;
        `sinks/drivers.py` guards plugins.
        """
        self._receivers.append((receiver, self._kinds if kinds is None else self._kinds & kinds))
        self._settle()

    def unsubscribe(self, receiver: Callable[[RuntimeEvent], None]) -> None:
        """Take `receiver` out; without any, no event is built."""
        self._receivers = [each for each in self._receivers if each[0] != receiver]
        self._settle()

    def _settle(self) -> None:
        self._wanted = frozenset[str]().union(*(kinds for _, kinds in self._receivers))
        self.active = bool(self._wanted)

    def record(
        self,
        kind: str,
        now: float,
        *,
        correlation: RuntimeCorrelation | None = None,
        task_id: str | None = None,
        task_execution_id: str | None = None,
        task_lease_id: str | None = None,
        request_attempt_id: str | None = None,
        request_lease_id: str | None = None,
        resource: str | None = None,
        group: str | None = None,
        reason_or_outcome: str | None = None,
        snapshot: Mapping[str, Any] | None = None,
        diagnostics: Mapping[str, Any] | None = None,
        labels: Mapping[str, str] | None = None,
    ) -> None:
        """Record an event; it is delivered by the next `deliver`. The fields are those of `RuntimeEvent`.

        Without `correlation` the current one is taken. Raises `ValueError` for a kind that the stream does not have.
        """
        if not self.active:
            return
        if kind not in self._wanted:
            if kind not in self._kinds:
                raise ValueError(f"the {self.stream} stream has no event kind {kind!r}")
            return
        self._sequence += 1
        self._pending.append(
            _made(
                self.stream,
                kind,
                now,
                self._sequence,
                correlation if correlation is not None else current_correlation(),
                task_id,
                task_execution_id,
                task_lease_id,
                request_attempt_id,
                request_lease_id,
                resource,
                group,
                reason_or_outcome,
                snapshot,
                diagnostics,
                labels,
            )
        )

    def deliver(self) -> None:
        """Deliver what was recorded to the receivers. Called by the shells after a state change is complete."""
        if self._delivering or not self._pending:
            return
        self._delivering = True
        try:
            while self._pending:
                event = self._pending.popleft()
                for receiver, kinds in tuple(self._receivers):
                    if event.event_kind in kinds:
                        receiver(event)
        finally:
            self._delivering = False
