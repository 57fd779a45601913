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

from collections.abc import Callable, Mapping, Sequence
from itertools import count
from typing import Any, Final, Literal, final, get_args

import msgspec

from penstock.events.correlation import RuntimeCorrelation, current_correlation
from penstock.words.labels import words_of
from penstock.words.read_only import fixed, read_only

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


Receiver = Callable[[Any], None]
"""Who is given events, one by one or several at once."""


@final
@read_only
class RuntimeEvent(msgspec.Struct, frozen=True, omit_defaults=True, gc=False):
    """The record of one event. JSON-safe as it stands: strings, numbers, and mappings and lists of them. All sinks are
    given the same, so none of them can write it. `msgspec.structs` has what such a record is asked and copied by.

    `event_kind` is one of `SchedulerEventKind` or `RequestEventKind`, or what a later version wrote into a file.
    `captured_at_monotonic` is in seconds of the run's clock; `sequence` increases strictly within its
    `stream`; `labels` are those that a caller gave the task or the call. It never holds prompts, completions, row
    values, secrets, provider bodies or exception payloads.
    """

    stream: StreamName
    sequence: int
    event_kind: str
    captured_at_monotonic: float
    task_id: str | None = None
    task_execution_id: str | None = None
    task_lease_id: str | None = None
    request_attempt_id: str | None = None
    request_lease_id: str | None = None
    resource: str | None = None
    group: str | None = None
    reason_or_outcome: str | None = None
    snapshot: Mapping[str, Any] | None = None
    diagnostics: Mapping[str, Any] | None = None
    labels: Mapping[str, str] | None = None
    correlation: RuntimeCorrelation | None = None


class EventStream:
    """One of the two event streams, which numbers its events and delivers them, in order, to its receivers."""

    def __init__(self, stream: StreamName) -> None:
        self.stream: StreamName = stream
        self.active = False
        self.wanted: frozenset[str] = frozenset()
        """The kinds that somebody wants: of others no event is built."""
        self._kinds = _KINDS[stream]
        self._pending: list[RuntimeEvent] = []
        self.next_sequence: Callable[[], int] = count(1).__next__
        self.put: Callable[[RuntimeEvent], None] = self._pending.append
        """Record an event that was made with the `next_sequence`, and is of a kind that is `wanted`."""
        self._delivering = False
        self._receivers: tuple[tuple[Receiver, frozenset[str], Receiver], ...] = ()
        self._takes: tuple[Receiver, ...] = ()  # what is recorded is given to these

    def subscribe(self, receiver: Callable[[RuntimeEvent], None], kinds: frozenset[str] | None = None) -> None:
        """Deliver every event from now on, or those of some `kinds`, to `receiver`, which must not raise;
        `sinks/drivers.py` guards plugins.
        """
        self._subscribe(receiver, kinds, _one_by_one(receiver))

    def subscribe_to_all(
        self, receiver: Callable[[Sequence[RuntimeEvent]], None], kinds: frozenset[str] | None = None
    ) -> None:
        """The same, but that it is given at once what was recorded since it was given anything."""
        self._subscribe(receiver, kinds, receiver)

    def _subscribe(self, receiver: Receiver, kinds: frozenset[str] | None, take: Receiver) -> None:
        self._receivers += ((receiver, self._kinds if kinds is None else self._kinds & kinds, take),)
        self._settle()

    def unsubscribe(self, receiver: Receiver) -> None:
        """Take `receiver` out; without any, no event is built."""
        self._receivers = tuple(each for each in self._receivers if each[0] != receiver)
        self._settle()

    def _settle(self) -> None:
        self.wanted = frozenset[str]().union(*(kinds for _, kinds, _ in self._receivers))
        self.active = bool(self.wanted)
        self._pending[:] = [each for each in self._pending if each.event_kind in self.wanted]
        # Who wants all that anybody wants is given all.
        self._takes = tuple(
            take if kinds == self.wanted else _of_kinds(kinds, take) for _, kinds, take in self._receivers
        )

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
        if kind not in self.wanted:
            if self.active and kind not in self._kinds:
                raise ValueError(f"the {self.stream} stream has no event kind {kind!r}")
            return
        self.put(
            RuntimeEvent(  # by place: sixteen fields by name would be packed twice, 0.5 µs
                self.stream,
                self.next_sequence(),
                kind,
                now,
                task_id,
                task_execution_id,
                task_lease_id,
                request_attempt_id,
                request_lease_id,
                resource,
                group,
                reason_or_outcome,
                None if snapshot is None else fixed(snapshot),
                None if diagnostics is None else fixed(diagnostics),
                None if labels is None else words_of(labels),
                correlation if correlation is not None else current_correlation(),
            )
        )

    def deliver(self) -> None:
        """Deliver what was recorded to the receivers. Called by the shells after a state change is complete."""
        if self._delivering or not self._pending:
            return
        self._delivering = True
        try:
            while self._pending:
                events = self._pending.copy()
                self._pending.clear()
                for take in self._takes:
                    take(events)
        finally:
            self._delivering = False


def _one_by_one(receiver: Receiver) -> Receiver:
    def take(events: Sequence[RuntimeEvent]) -> None:
        for event in events:
            receiver(event)

    return take


def _of_kinds(kinds: frozenset[str], receiver: Receiver) -> Receiver:
    def take(events: Sequence[RuntimeEvent]) -> None:
        if those := [each for each in events if each.event_kind in kinds]:
            receiver(those)

    return take
