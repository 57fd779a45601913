"""One run of a record, added up event by event: counts by model, by tenant and by group of tasks, and how it stood from
moment to moment.

Memory has a bound, whatever the length of the run: how it stood is kept for some hundred moments, and of models,
tenants and groups those that come first by name of their own, the others together.
"""

from __future__ import annotations

from bisect import insort
from collections import Counter
from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Any, Final, TypeVar, get_args

import attrs

from penstock import CorrelatedRuntimeView, RequestEventKind, RuntimeEvent, SchedulerEventKind
from penstock_batch.report.record.events import is_figure
from penstock_batch.store.samples import ModelSample, Sample, StepSample

__all__ = ["OTHERS", "CallCounts", "Durations", "RecordedRun", "TaskCounts"]

MOST_SAMPLES: Final = 1_200
MOST_NAMES: Final = 100
MOST_VALUES: Final = 10_000
"""Of durations, by which quantiles are told: beyond that, of each second one, and so on."""
OTHERS: Final = "(others)"
_FIGURES: Final = ("blocked_until", "retry_after_seconds", "added_at")
_KNOWN: Final = frozenset([*get_args(SchedulerEventKind), *get_args(RequestEventKind)])

T = TypeVar("T")


@attrs.define(eq=False)
class Durations:
    """Durations, of which quantiles are asked. Of many, some are kept, evenly."""

    kept: list[float] = attrs.field(factory=list)
    total: float = 0.0
    count: int = 0
    _every: int = 1

    def add(self, seconds: float) -> None:
        """Count one."""
        self.total += seconds
        self.count += 1
        if self.count % self._every == 0:
            insort(self.kept, seconds)
            if len(self.kept) > MOST_VALUES:
                del self.kept[::2]
                self._every *= 2

    def quantile(self, share: float) -> float | None:
        """The duration that so many are at most as long as."""
        return self.kept[min(len(self.kept) - 1, int(share * len(self.kept)))] if self.kept else None


@attrs.define(eq=False)
class CallCounts:
    """The calls to one model and domain, or for one tenant."""

    calls: int = 0
    limited: int = 0
    failed: int = 0
    refused: int = 0
    input_tokens: int = 0
    output_tokens: int = 0
    cap: int = 0
    limit: int | None = None
    in_flight: int = 0
    waiting: int = 0
    waits: Durations = attrs.field(factory=Durations)
    took: Durations = attrs.field(factory=Durations)

    def sample(self) -> ModelSample:
        """How they stand."""
        return ModelSample(
            cap=self.cap if self.cap else max(self.limit or 0, self.in_flight),
            limit=self.limit,
            in_flight=self.in_flight,
            waiting=self.waiting,
            calls=self.calls,
            limited=self.limited,
            failed=self.failed,
            input_tokens=self.input_tokens,
            output_tokens=self.output_tokens,
        )


@attrs.define(eq=False)
class TaskCounts:
    """One group of tasks."""

    waiting: int = 0
    done: int = 0
    failed: int = 0
    waits: Durations = attrs.field(factory=Durations)
    took: Durations = attrs.field(factory=Durations)


class RecordedRun:
    """A run, as far as its events were added. `run_id` is `None` where no event says it."""

    def __init__(self) -> None:
        self.run_id: str | None = None
        self.began: float | None = None
        self.last = 0.0
        self.wall: datetime | None = None
        """The time of day at `began`."""
        self.ended = False
        self.started = False
        """Whether its first event was seen; what happened before is missing otherwise."""
        self.events = 0
        self.missing = 0
        self.unknown: Counter[str] = Counter()
        """Kinds of events that this version does not know."""
        self.models: dict[str, CallCounts] = {}
        self.tenants: dict[str, CallCounts] = {}
        self.groups: dict[str, TaskCounts] = {}
        self.outcomes: Counter[str] = Counter()
        self.plugin_errors: Counter[str] = Counter()
        self.samples: list[Sample] = []
        self.view = CorrelatedRuntimeView(keep=0)
        self._interval = 0.05
        self._next = 0.0
        self._limited: Mapping[str, float] = {}
        self._queued: dict[str, tuple[float, str]] = {}
        self._running: dict[str, tuple[float, str]] = {}
        self._waiting: dict[str, tuple[float, str, str]] = {}
        self._out: dict[str, float] = {}
        self._sequences: dict[str, int] = {}

    def goes_on_with(self, event: RuntimeEvent) -> bool:
        """Whether an event is of this run, by its numbers, which begin anew with each run, and its name."""
        last = self._sequences.get(event.stream, 0)
        if event.sequence <= last or (self.ended and event.sequence == 1):
            return False
        return event.correlation is None or self.run_id in (None, event.correlation.run_id)

    def add(self, event: RuntimeEvent) -> None:
        """Add one event; one with figures that are none is passed over in part."""
        now = max(event.captured_at_monotonic, self.last) if self.began is not None else event.captured_at_monotonic
        if self.began is None:
            self.began = self._next = now
        if event.correlation is not None and self.run_id is None:
            self.run_id = event.correlation.run_id
        self._sample_until(now)
        self.last = now
        self.events += 1
        self._sequences[event.stream] = event.sequence
        if event.event_kind not in _KNOWN or _odd(event):
            self.unknown[event.event_kind if len(self.unknown) < MOST_NAMES else OTHERS] += 1
            return
        self.view.receive(event)
        if handler := _HANDLERS.get(event.event_kind):
            handler(self, event, now)

    @property
    def seconds(self) -> float:
        """From the first event to the last."""
        return self.last - self.began if self.began is not None else 0.0

    def finish(self) -> None:
        """No more events come."""
        self._take_sample(self.last)

    # -- how it stood --

    def _sample_until(self, now: float) -> None:
        while now - self._next > self._interval * MOST_SAMPLES:
            self._interval *= 2
        while self._next < now:
            self._take_sample(self._next)
            self._next += self._interval
            if len(self.samples) >= MOST_SAMPLES:
                del self.samples[::2]
                self._interval *= 2

    def _take_sample(self, at: float) -> None:
        began = self.began if self.began is not None else at
        limited = self.view.what_limited()
        more = {layer: seconds - self._limited.get(layer, 0.0) for layer, seconds in limited.items()}
        most = max(more, key=more.__getitem__)
        self._limited = limited
        self.samples.append(
            Sample(
                at=at - began,
                limited_by=most if more[most] > 0 else "",
                models={name: counts.sample() for name, counts in self.models.items()},
                steps={
                    name: StepSample(waiting=counts.waiting, done=counts.done, failed=counts.failed)
                    for name, counts in self.groups.items()
                },
            )
        )

    def _on_dropped(self, event: RuntimeEvent, now: float) -> None:
        self.missing += _whole(event, "dropped")

    # -- tasks --

    def _group(self, event: RuntimeEvent) -> TaskCounts:
        return _named(self.groups, event.group, TaskCounts)

    def _on_started(self, event: RuntimeEvent, now: float) -> None:
        self.started = True
        text = (event.diagnostics or {}).get("wall_clock")
        try:
            self.wall = datetime.fromisoformat(text) if isinstance(text, str) else None
        except ValueError:
            self.wall = None

    def _on_over(self, event: RuntimeEvent, now: float) -> None:
        self.ended = True

    def _on_enqueued(self, event: RuntimeEvent, now: float) -> None:
        if event.task_id is not None and event.task_id not in self._queued:
            group = self._group(event)
            group.waiting += 1
            self._queued[event.task_id] = now, event.group or ""

    def _leave_queue(self, event: RuntimeEvent) -> float | None:
        queued = self._queued.pop(event.task_id or "", None)
        if queued is None:
            return None
        self._group(event).waiting -= 1
        return queued[0]

    def _on_spawned(self, event: RuntimeEvent, now: float) -> None:
        since = self._leave_queue(event)
        if since is not None:
            self._group(event).waits.add(now - since)
        if event.task_id is not None:
            self._running[event.task_id] = now, event.group or ""

    def _on_task_over(self, event: RuntimeEvent, now: float) -> None:
        self._leave_queue(event)
        begun, group = self._running.pop(event.task_id or "", None), self._group(event)
        if begun is not None:
            group.took.add(now - begun[0])
        outcome = event.reason_or_outcome or event.event_kind
        if event.event_kind == "retry_deferred":
            return
        self.outcomes[outcome if len(self.outcomes) < MOST_NAMES else OTHERS] += 1
        if outcome == "completed":
            group.done += 1
        elif outcome != "retry":
            group.failed += 1

    def _on_plugin_error(self, event: RuntimeEvent, now: float) -> None:
        words = event.diagnostics or {}
        name = f"{words.get('plugin')}, {words.get('hook')}"
        self.plugin_errors[name if len(self.plugin_errors) < MOST_NAMES else OTHERS] += 1

    # -- calls --

    def _counts(self, event: RuntimeEvent) -> tuple[CallCounts, ...]:
        found = [_named(self.models, event.resource, CallCounts)]
        if event.group is not None and event.group != event.resource:
            found.append(_named(self.tenants, event.group, CallCounts))
        return tuple(found)

    def _on_registered(self, event: RuntimeEvent, now: float) -> None:
        _named(self.models, event.resource, CallCounts).cap = _whole(event, "effective_max")

    def _on_wait(self, event: RuntimeEvent, now: float) -> None:
        if event.request_attempt_id is not None and event.request_attempt_id not in self._waiting:
            self._waiting[event.request_attempt_id] = now, event.resource or "", event.group or ""
            for counts in self._counts(event):
                counts.waiting += 1

    def _on_wait_over(self, event: RuntimeEvent, now: float) -> None:
        begun = self._waiting.pop(event.request_attempt_id or "", None)
        if begun is None:
            return
        for counts in self._counts(event):
            counts.waiting -= 1
            if event.event_kind == "request_wait_completed":
                counts.waits.add(now - begun[0])

    def _on_refused(self, event: RuntimeEvent, now: float) -> None:
        self._on_wait_over(event, now)
        for counts in self._counts(event):
            counts.refused += 1

    def _on_lease(self, event: RuntimeEvent, now: float) -> None:
        if event.request_lease_id is not None:
            self._out[event.request_lease_id] = now
        model = _named(self.models, event.resource, CallCounts)
        limit, cap = _number(event, "limit_at_admission"), _whole(event, "effective_max")
        model.limit = model.limit if limit is None else int(limit)
        model.cap = cap or model.cap
        for counts in self._counts(event):
            counts.in_flight += 1

    def _on_lease_back(self, event: RuntimeEvent, now: float) -> None:
        begun = self._out.pop(event.request_lease_id or "", None)
        outcome = event.reason_or_outcome
        for counts in self._counts(event):
            counts.calls += 1
            counts.limited += outcome == "rate_limited"
            counts.failed += outcome not in ("rate_limited", "success")
            counts.input_tokens += _whole(event, "input_tokens")
            counts.output_tokens += _whole(event, "output_tokens")
            if begun is not None:
                counts.in_flight -= 1
                counts.took.add(now - begun)

    def _on_limit(self, event: RuntimeEvent, now: float) -> None:
        after = _number(event, "after")
        if after is None or event.resource is None:
            return
        for name, counts in self.models.items():
            if name == event.resource or name.startswith(f"{event.resource}/"):
                counts.limit = int(after)


_HANDLERS: Final[Mapping[str, Callable[[RecordedRun, RuntimeEvent, float], None]]] = {
    "scheduler_job_started": RecordedRun._on_started,
    "scheduler_job_completed": RecordedRun._on_over,
    "ready_enqueued": RecordedRun._on_enqueued,
    "worker_spawned": RecordedRun._on_spawned,
    "worker_spawn_failed": RecordedRun._on_task_over,
    "task_completed": RecordedRun._on_task_over,
    "retry_deferred": RecordedRun._on_task_over,
    "non_retryable_dropped": RecordedRun._on_task_over,
    "cancelled": RecordedRun._on_task_over,
    "plugin_error": RecordedRun._on_plugin_error,
    "events_dropped": RecordedRun._on_dropped,
    "request_resource_registered": RecordedRun._on_registered,
    "request_wait_started": RecordedRun._on_wait,
    "request_wait_completed": RecordedRun._on_wait_over,
    "request_wait_timeout": RecordedRun._on_wait_over,
    "request_wait_cancelled": RecordedRun._on_wait_over,
    "request_acquire_denied": RecordedRun._on_refused,
    "request_lease_acquired": RecordedRun._on_lease,
    "request_lease_released": RecordedRun._on_lease_back,
    "request_limit_decreased": RecordedRun._on_limit,
    "request_limit_increased": RecordedRun._on_limit,
    "request_soft_ceiling_recovered": RecordedRun._on_limit,
    "request_fully_recovered": RecordedRun._on_limit,
    "request_effective_cap_changed": RecordedRun._on_limit,
}


def _odd(event: RuntimeEvent) -> bool:
    """Whether a moment or a duration in it is none, as another version may have it."""
    said = {**(event.snapshot or {}), **(event.diagnostics or {})}
    return any(said.get(name) is not None and not is_figure(said[name]) for name in _FIGURES)


def _named(those: dict[str, T], name: str | None, make: Callable[[], T]) -> T:
    key = name if name is not None and (name in those or len(those) < MOST_NAMES) else OTHERS
    if key not in those:
        those[key] = make()
    return those[key]


def _number(event: RuntimeEvent, name: str) -> float | None:
    value: Any = (event.diagnostics or {}).get(name)
    return value if is_figure(value) else None


def _whole(event: RuntimeEvent, name: str) -> int:
    value = _number(event, name)
    return 0 if value is None or value < 0 else int(value)
