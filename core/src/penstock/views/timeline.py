"""The timelines of tasks, joined from both event streams, which answer "where did the time go?".

The join: scheduler events name their task by `task_id`; `worker_spawned` ties it to a `task_execution_id`,
and request events bear that id, in `task_execution_id` or in their correlation. Each timestamp is the
`captured_at_monotonic` of the event after which it is named (`task_timeline.TIMESTAMPS`).

A task's time is divided, without rest, between seven layers:

- `dependencies`: until `dependency_ready`, from `added_at` in that event's diagnostics, else from the admission of
  the task's row group; not counted where neither is recorded.
- `queue_order`: ready and queued while the gate was at work, choosing others.
- `task_capacity`: queued while the gate had more than it could let in, that is from `admission_blocked` or
  `group_capped` to the next `queue_empty` (a gate that admits one and blocks again does not report it each
  time); and from `selected` to `worker_spawned`.
- `request_wait`: a call of it was queued (`request_wait_started` to `request_wait_completed`, `..._timeout`,
  `..._cancelled` or `request_acquire_denied`), and none was in flight.
- `cooldown`: the part of that for which the provider had asked to wait (up to `blocked_until` in the diagnostics or
  the snapshot of a request event, for the resource or scope that the event names); and the back-off before
  a retry.
- `provider`: a call of it was in flight (`request_lease_acquired` to `request_lease_released`).
- `after`: the rest between `worker_spawned` and `task_lease_released`, which is what the task does beside its calls.

These are task-seconds (`where_time_went`): a thousand tasks that wait for one second side by side waited a thousand.
What limited the run as a whole is another question, with another answer (`what_limited`, see `run_limits.py`).

Memory is bounded by what is queued and running, and by `keep`. The view is pure, and quick enough to listen inline.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from heapq import merge
from typing import Any, Final

import attrs

from penstock.events.recorded import event_from_dict
from penstock.events.records import RuntimeEvent
from penstock.views.held_time import Cooldowns, HeldTime
from penstock.views.run_limits import RunLimits
from penstock.views.task_timeline import LAYERS, TIMESTAMPS, TaskTimeline, largest

__all__ = ["CorrelatedRuntimeView"]

_WAIT_ENDS: Final = frozenset(
    ["request_wait_completed", "request_wait_timeout", "request_wait_cancelled", "request_acquire_denied"]
)
_RETRYABLE: Final = frozenset(["rate_limited", "provider_failure", "provider_timeout"])
_GATE_BLOCKED: Final = frozenset(["admission_blocked", "group_capped"])
_PHASE_AFTER: Final = {
    "ready_enqueued": "queued", "selected": "chosen", "admission_denied": "queued", "stale_selection": "queued",
}  # fmt: skip
_NO_LEASE: Final = frozenset(["ready", "queued", "deferred"])


@attrs.define(slots=True, eq=False)
class _Live:
    """An unfinished task: its phase, since when it is in it, and what the clocks showed then."""

    timeline: TaskTimeline
    phase: str
    since: float
    mark: float = 0.0
    waiting: dict[str | None, str] = attrs.field(factory=dict)
    """The queued calls: attempt to resource."""
    out: set[str | None] = attrs.field(factory=set)
    """The calls that are in flight, by lease."""
    failed: bool = False
    """Whether its latest call failed in a way that may be tried again."""


class CorrelatedRuntimeView:
    """The timeline of each task, and where the time of a run went, from both event streams.

    Subscribe `receive` to both streams of a run, or build one `from_events`. `keep` is how many finished
    timelines stay in `timelines` (`None`: all of them; 0: the totals only, for a run of any length).
    """

    def __init__(self, *, keep: int | None = None) -> None:
        self.timelines: dict[str, TaskTimeline] = {}
        """The timelines of finished tasks, by id, in the order in which they finished."""
        self.missing = 0
        """The number of events that are known to be missing (`events_dropped`); then times are only about right."""
        self._keep = keep
        self._live: dict[str, _Live] = {}
        self._by_execution: dict[str, _Live] = {}
        self._row_groups: dict[str, float] = {}
        self._seconds = dict.fromkeys(LAYERS, 0.0)
        self._gate_blocked = HeldTime()
        self._cooldowns = Cooldowns()
        self._run = RunLimits(self._cooldowns)
        self._task_handlers: dict[str, Callable[[_Live, RuntimeEvent, float], None]] = {
            "dependency_ready": self._on_ready,
            "salvage_redispatched": self._on_ready,
            **dict.fromkeys(_PHASE_AFTER, self._on_step),
            "task_lease_acquired": self._on_task_lease,
            "worker_spawned": self._on_spawned,
            "retry_deferred": self._on_deferred,
            "task_completed": self._on_completed,
        }
        self._handlers: dict[str, Callable[[RuntimeEvent, float], None]] = {
            "worker_spawn_failed": self._on_ended,
            "cancelled": self._on_ended,
            "non_retryable_dropped": self._on_ended,
            "task_lease_released": self._on_lease_back,
            "admission_blocked": self._on_gate,
            "group_capped": self._on_gate,
            "queue_empty": self._on_gate,
            "queue_drained": self._on_gate,
            "row_group_admitted": self._on_row_group,
            "row_group_checkpointed": self._on_row_group,
            "events_dropped": self._on_dropped,
        }

    @classmethod
    def from_events(
        cls, *streams: Iterable[RuntimeEvent | Mapping[str, Any]], keep: int | None = None
    ) -> CorrelatedRuntimeView:
        """The view of what was recorded: of one iterable in the order of delivery, or of several merged by time.

        Takes records, or the mappings that `event_to_dict` and JSON Lines give. Of several streams give the
        scheduler's first: it goes first where moments are equal.
        """
        view = cls(keep=keep)
        records = [(e if isinstance(e, RuntimeEvent) else event_from_dict(e) for e in stream) for stream in streams]
        for event in merge(*records, key=lambda e: e.captured_at_monotonic):
            view.receive(event)
        return view

    # -- answers --

    def where_time_went(self) -> Mapping[str, float]:
        """The task-seconds in each layer, over all tasks, finished or not, each up to its latest event."""
        return dict(self._seconds)

    def what_limited(self) -> Mapping[str, float]:
        """The seconds of the run's own time for which each layer was the limit, from the first event to the latest."""
        return dict(self._run.seconds)

    @property
    def limited_by(self) -> str | None:
        """The layer that limited the run for most of its time; `None` before any time has passed."""
        return largest(self._run.seconds)

    def timeline(self, task_id: str) -> TaskTimeline | None:
        """The timeline of a task, finished (if it was kept) or not."""
        live = self._live.get(task_id)
        return live.timeline if live is not None else self.timelines.get(task_id)

    # -- events --

    def receive(self, event: RuntimeEvent) -> None:
        """Add one event to the view. Within a stream they must come in order; a moment before the latest counts as the
        latest, since two streams read the clock separately."""
        now = event.captured_at_monotonic
        if self._run.now is not None and now < self._run.now:
            now = self._run.now
        self._run.pass_time(now)
        if event.stream == "request":
            self._on_request(event, now)
        elif handler := self._handlers.get(event.event_kind):
            handler(event, now)
        elif (of_task := self._task_handlers.get(event.event_kind)) and (live := self._task(event, now)):
            of_task(live, event, now)

    def _on_request(self, event: RuntimeEvent, now: float) -> None:
        kind = event.event_kind
        if kind == "events_dropped":
            self._on_dropped(event, now)
            return
        until = _blocked_until(event)
        if until is not None and event.resource is not None:
            self._cooldowns.hold(event.resource, now, until)
        self._count_for_run(event)
        live = self._by_execution.get(_execution_of(event) or "")
        if live is None:
            return
        self._spend(live, now, backing_off=live.failed and kind == "request_wait_started")
        if kind in TIMESTAMPS:
            live.timeline.note(kind, now)
        if kind == "request_wait_started":
            live.waiting[event.request_attempt_id] = event.resource or ""
        elif kind in _WAIT_ENDS:
            live.waiting.pop(event.request_attempt_id, None)
        elif kind == "request_lease_acquired":
            live.out.add(event.request_lease_id)
            live.timeline.calls += 1
        elif kind == "request_lease_released":
            live.out.discard(event.request_lease_id)
            live.failed = event.reason_or_outcome in _RETRYABLE
        self._mark(live, now)

    def _count_for_run(self, event: RuntimeEvent) -> None:
        kind = event.event_kind
        if kind == "request_wait_started":
            self._run.start_wait(event.request_attempt_id, event.resource or "")
        elif kind in _WAIT_ENDS:
            self._run.end_wait(event.request_attempt_id)
        elif kind == "request_lease_acquired":
            self._run.acquire(event.request_lease_id)
        elif kind == "request_lease_released":
            self._run.release(event.request_lease_id)

    def _on_ready(self, live: _Live, event: RuntimeEvent, now: float) -> None:
        if live.timeline.task_completed_at is not None or live.timeline.worker_spawned_at is not None:
            live.timeline.reset()
        elif live.timeline.dependency_ready_at is None:
            added = (event.diagnostics or {}).get("added_at", self._row_groups.get(live.timeline.row_group or ""))
            if added is not None and added < now:
                self._add(live, "dependencies", now - added)
        live.timeline.note("dependency_ready", now)
        self._enter(live, "ready", now)

    def _on_step(self, live: _Live, event: RuntimeEvent, now: float) -> None:
        if event.event_kind in TIMESTAMPS:
            live.timeline.note(event.event_kind, now)
        self._enter(live, _PHASE_AFTER[event.event_kind], now)

    def _on_task_lease(self, live: _Live, event: RuntimeEvent, now: float) -> None:
        live.timeline.note("task_lease_acquired", now)

    def _on_spawned(self, live: _Live, event: RuntimeEvent, now: float) -> None:
        live.timeline.note("worker_spawned", now)
        live.timeline.executions += 1
        live.failed = False
        execution = live.timeline.task_execution_id = _execution_of(event)
        if execution is not None:
            self._by_execution[execution] = live
        self._enter(live, "running", now)

    def _on_completed(self, live: _Live, event: RuntimeEvent, now: float) -> None:
        live.timeline.note("task_completed", now)
        live.timeline.outcome = event.reason_or_outcome
        self._enter(live, "closing", now)

    def _on_deferred(self, live: _Live, event: RuntimeEvent, now: float) -> None:
        self._leave_execution(live)
        self._enter(live, "deferred", now)

    def _on_ended(self, event: RuntimeEvent, now: float) -> None:
        """End a task that was cancelled, dropped or never spawned, unless it has a lease that is to come back."""
        live = self._live.get(event.task_id or "")
        timeline = live.timeline if live is not None else self.timelines.get(event.task_id or "")
        if timeline is not None:
            timeline.outcome = event.reason_or_outcome or event.event_kind
        if live is not None:
            self._enter(live, live.phase, now)
            if live.phase in _NO_LEASE:
                self._finish(live)

    def _on_lease_back(self, event: RuntimeEvent, now: float) -> None:
        live = self._live.get(event.task_id or "")
        if live is None:
            return
        live.timeline.note("task_lease_released", now)
        self._enter(live, live.phase, now)
        if live.phase not in _NO_LEASE:
            self._finish(live)

    def _on_gate(self, event: RuntimeEvent, now: float) -> None:
        self._run.gate_blocked = event.event_kind in _GATE_BLOCKED
        if self._run.gate_blocked:
            self._gate_blocked.hold(now)
        else:
            self._gate_blocked.stop(now)

    def _on_row_group(self, event: RuntimeEvent, now: float) -> None:
        row_group = event.correlation.row_group if event.correlation is not None else None
        if row_group is not None and event.event_kind == "row_group_admitted":
            self._row_groups[row_group] = now
        elif row_group is not None:
            self._row_groups.pop(row_group, None)

    def _on_dropped(self, event: RuntimeEvent, _now: float) -> None:
        self.missing += (event.diagnostics or {}).get("dropped", 0)

    # -- bookkeeping --

    def _task(self, event: RuntimeEvent, now: float) -> _Live | None:
        """The unfinished task of an event: reopened if it was finished, made if it is new."""
        if event.task_id is None:
            return None
        live = self._live.get(event.task_id)
        if live is None:
            timeline = self.timelines.pop(event.task_id, None) or TaskTimeline(task_id=event.task_id)
            if event.correlation is not None:
                timeline.row_group = event.correlation.row_group
                timeline.task_column = event.correlation.task_column
            live = self._live[event.task_id] = _Live(timeline, "ready", now)
            self._run.phases["ready"] += 1
        return live

    def _enter(self, live: _Live, phase: str, now: float) -> None:
        self._spend(live, now)
        self._run.phases[live.phase] -= 1
        self._run.phases[phase] += 1
        live.phase = phase
        self._mark(live, now)

    def _leave_execution(self, live: _Live) -> None:
        if live.timeline.task_execution_id is not None:
            self._by_execution.pop(live.timeline.task_execution_id, None)

    def _finish(self, live: _Live) -> None:
        self._leave_execution(live)
        for attempt in live.waiting:
            self._run.end_wait(attempt)
        for lease in live.out:
            self._run.release(lease)
        self._run.phases[live.phase] -= 1
        task_id = live.timeline.task_id
        del self._live[task_id]
        self.timelines[task_id] = live.timeline
        if self._keep is not None and len(self.timelines) > self._keep:
            del self.timelines[next(iter(self.timelines))]

    def _mark(self, live: _Live, now: float) -> None:
        live.since = now
        live.mark = self._clock_of(live, now)

    def _clock_of(self, live: _Live, now: float) -> float:
        """The clock that divides the time of the task's phase."""
        if live.phase == "running" and live.waiting:
            return self._cooldowns.at(next(iter(live.waiting.values())), now)
        return self._gate_blocked.at(now)

    def _spend(self, live: _Live, now: float, *, backing_off: bool = False) -> None:
        """Add the task's time since its latest event to the layers that it belongs to."""
        elapsed = now - live.since
        if live.phase == "queued":
            blocked = self._clock_of(live, now) - live.mark
            self._add(live, "task_capacity", blocked)
            self._add(live, "queue_order", elapsed - blocked)
        elif live.phase == "running" and live.waiting and not live.out:
            cooled = self._clock_of(live, now) - live.mark
            self._add(live, "cooldown", cooled)
            self._add(live, "request_wait", elapsed - cooled)
        elif live.phase == "running":
            self._add(live, "provider" if live.out else "cooldown" if backing_off else "after", elapsed)
        else:
            self._add(live, _LAYER_OF_PHASE[live.phase], elapsed)

    def _add(self, live: _Live, layer: str, seconds: float) -> None:
        live.timeline.seconds[layer] += seconds
        self._seconds[layer] += seconds


_LAYER_OF_PHASE: Final = {"ready": "queue_order", "chosen": "task_capacity", "closing": "after", "deferred": "cooldown"}


def _execution_of(event: RuntimeEvent) -> str | None:
    if event.task_execution_id is not None or event.correlation is None:
        return event.task_execution_id
    return event.correlation.task_execution_id


def _blocked_until(event: RuntimeEvent) -> float | None:
    """The moment up to which the provider wants no calls, if the event has it."""
    diagnostics = event.diagnostics or {}
    until = diagnostics.get("blocked_until", (event.snapshot or {}).get("blocked_until"))
    if until is None and event.reason_or_outcome == "rate_limited" and "retry_after_seconds" in diagnostics:
        until = event.captured_at_monotonic + diagnostics["retry_after_seconds"]
    return None if until is None else float(until)
