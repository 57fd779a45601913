"""The sink: both event streams as OpenTelemetry metrics.

It uses the API alone (package `opentelemetry-api`): which SDK counts, and where the figures go, is for the program to
set up, and without any the instruments do nothing. Names follow OpenTelemetry's naming rules for metrics: lower case,
dots between namespaces, units as UCUM. Labels are those of `labels.py` and no others.

There are no spans: exporters drop them when they come in bursts, so they are no record of account. The record is
`penstock-jsonl`.

With an SDK an instrument costs some microseconds, too much for the loop, so the sink is buffered. It waits when it is
full, for a count that missed an end would stay wrong for ever.
"""

from __future__ import annotations

from collections.abc import Callable
from importlib.metadata import version
from typing import Final

from opentelemetry.metrics import Histogram, MeterProvider, get_meter

from penstock import RunInfo, RuntimeEvent, SinkSpec, hookimpl
from penstock_otel.instruments import Spans
from penstock_otel.labels import Labels, OtelConfig

__all__ = ["OtelPlugin"]

SECONDS: Final = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 120, 300, 600)
"""Bucket boundaries advised for durations: calls take tens of milliseconds to minutes, waits up to many."""


class OtelPlugin:
    """Reports to an OpenTelemetry meter what both gates do.

    `meter_provider` is the one to use instead of the process's own.

    The metrics are listed in the README of `penstock-otel`, with their kinds, units and labels.
    """

    Config = OtelConfig
    sink = SinkSpec(mode="buffered", on_full="wait")

    def __init__(self, config: OtelConfig, meter_provider: MeterProvider | None = None) -> None:
        meter = get_meter("penstock_otel", version("penstock-otel"), meter_provider)

        def histogram(name: str, description: str) -> Histogram:
            return meter.create_histogram(name, "s", description, explicit_bucket_boundaries_advisory=SECONDS)

        self._labels = Labels(config)
        self._delivered = meter.create_counter("penstock.event.delivered", "{event}", "Events, by kind")
        self._dropped = meter.create_counter("penstock.event.dropped", "{event}", "Events that never came here")
        self._tasks_queued = Spans(
            meter.create_up_down_counter("penstock.task.queued", "{task}", "Tasks that are ready and not started"),
            histogram("penstock.task.wait.duration", "From ready to started"),
        )
        self._tasks_active = Spans(
            meter.create_up_down_counter("penstock.task.active", "{task}", "Tasks that hold a lease")
        )
        self._task_runs = Spans(seconds=histogram("penstock.task.run.duration", "From started to ended"))
        self._tasks_ended = meter.create_counter("penstock.task.ended", "{task}", "Ends of tasks and executions")
        self._waits = Spans(
            meter.create_up_down_counter("penstock.request.waiting", "{request}", "Calls that wait"),
            histogram("penstock.request.wait.duration", "How long calls waited, by how that ended"),
        )
        self._active = Spans(meter.create_up_down_counter("penstock.request.active", "{request}", "Calls in flight"))
        self._calls = Spans(seconds=histogram("penstock.request.call.duration", "How long calls were out, by outcome"))
        self._ended = meter.create_counter("penstock.request.ended", "{request}", "Calls that ended, by outcome")
        self._refused = meter.create_counter("penstock.request.refused", "{request}", "Calls that got no lease here")
        self._rate_limited = meter.create_counter(
            "penstock.request.rate_limited", "{request}", "Calls that the provider refused for their rate"
        )
        self._limit = meter.create_gauge("penstock.request.limit", "{request}", "Calls that may be in flight now")
        self._on: dict[str, Callable[[RuntimeEvent], None]] = {
            "ready_enqueued": self._on_enqueued,
            "worker_spawned": self._on_spawned,
            "worker_spawn_failed": self._on_task_over,
            "task_completed": self._on_task_over,
            "retry_deferred": self._on_task_over,
            "non_retryable_dropped": self._on_task_over,
            "cancelled": self._on_task_over,
            "task_lease_released": self._on_task_lease_back,
            "request_wait_started": self._on_wait,
            "request_wait_completed": self._on_wait_over,
            "request_wait_timeout": self._on_wait_over,
            "request_wait_cancelled": self._on_wait_over,
            "request_acquire_denied": self._on_refused,
            "request_lease_acquired": self._on_lease,
            "model_request_started": self._on_call,
            "model_request_completed": self._on_call_over,
            "request_lease_released": self._on_lease_back,
            "request_limit_decreased": self._on_limit,
            "request_limit_increased": self._on_limit,
            "request_soft_ceiling_recovered": self._on_limit,
            "request_fully_recovered": self._on_limit,
            "request_effective_cap_changed": self._on_limit,
            "events_dropped": self._on_dropped,
        }

    @hookimpl
    def penstock_run_started(self, run: RunInfo) -> None:
        """Algorithms are labelled by the names of the run's plugins."""
        self._labels.allow_algorithms(run.plugins)

    @hookimpl
    def penstock_scheduler_event(self, event: RuntimeEvent) -> None:
        """Count it, and what it means."""
        self._tell(event)

    @hookimpl
    def penstock_request_event(self, event: RuntimeEvent) -> None:
        """Count it, and what it means."""
        self._tell(event)

    @hookimpl
    def penstock_run_finished(self) -> None:
        """Nothing is under way any more."""
        for spans in (self._tasks_queued, self._tasks_active, self._task_runs, self._waits, self._active, self._calls):
            spans.forget()

    def _tell(self, event: RuntimeEvent) -> None:
        self._delivered.add(1, self._labels.kind(event))
        if handler := self._on.get(event.event_kind):
            handler(event)

    def _on_dropped(self, event: RuntimeEvent) -> None:
        self._dropped.add((event.diagnostics or {}).get("dropped", 0))

    # -- the task gate --

    def _on_enqueued(self, event: RuntimeEvent) -> None:
        self._tasks_queued.begin(event.task_id, event.captured_at_monotonic, self._labels.task(event))

    def _on_spawned(self, event: RuntimeEvent) -> None:
        now, labels = event.captured_at_monotonic, self._labels.task(event)
        self._tasks_queued.end(event.task_id, now)
        self._tasks_active.begin(event.task_id, now, labels)
        self._task_runs.begin(event.task_id, now, labels)

    def _on_task_over(self, event: RuntimeEvent) -> None:
        outcome = self._labels.outcome(event)
        self._tasks_ended.add(1, {**self._labels.task(event), **self._labels.kind(event), **outcome})
        self._tasks_queued.abandon(event.task_id)
        self._task_runs.end(event.task_id, event.captured_at_monotonic, outcome)

    def _on_task_lease_back(self, event: RuntimeEvent) -> None:
        self._task_runs.abandon(event.task_id)
        self._tasks_active.end(event.task_id, event.captured_at_monotonic)

    # -- the request gate --

    def _on_wait(self, event: RuntimeEvent) -> None:
        self._waits.begin(event.request_attempt_id, event.captured_at_monotonic, self._labels.resource(event))

    def _on_wait_over(self, event: RuntimeEvent) -> None:
        self._waits.end(event.request_attempt_id, event.captured_at_monotonic, self._labels.kind(event))

    def _on_refused(self, event: RuntimeEvent) -> None:
        self._waits.abandon(event.request_attempt_id)
        self._refused.add(1, {**self._labels.resource(event), **self._labels.outcome(event)})

    def _on_lease(self, event: RuntimeEvent) -> None:
        self._active.begin(event.request_lease_id, event.captured_at_monotonic, self._labels.resource(event))

    def _on_call(self, event: RuntimeEvent) -> None:
        self._calls.begin(event.request_lease_id, event.captured_at_monotonic, self._labels.resource(event))

    def _on_call_over(self, event: RuntimeEvent) -> None:
        self._calls.end(event.request_lease_id, event.captured_at_monotonic, self._labels.outcome(event))

    def _on_lease_back(self, event: RuntimeEvent) -> None:
        self._calls.abandon(event.request_lease_id)
        self._active.end(event.request_lease_id, event.captured_at_monotonic)
        labels = self._labels.resource(event)
        self._ended.add(1, {**labels, **self._labels.outcome(event)})
        if event.reason_or_outcome == "rate_limited":
            self._rate_limited.add(1, labels)

    def _on_limit(self, event: RuntimeEvent) -> None:
        limit = (event.diagnostics or {}).get("after")
        if isinstance(limit, int | float):
            self._limit.set(limit, {**self._labels.resource(event), **self._labels.algorithm(event)})
