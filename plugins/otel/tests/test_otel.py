"""What OpenTelemetry gets, proved with its SDK; and what it never gets."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator, Mapping
from typing import Any, Final, Literal

import pytest
from hypothesis import given, settings, strategies as st
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader, MetricsData

from penstock import EventStream, RequestDomain, RunInfo, RuntimeCorrelation, RuntimeEvent
from penstock.testing import SinkContract, one_of_each_event
from penstock_otel import LABEL_KEYS, OTHER, OtelConfig, OtelPlugin

CHAT = {"penstock.provider": "acme", "penstock.model": "small", "penstock.domain": "chat"}
LOCAL = {"penstock.resource.kind": "local"}


class TestContract(SinkContract):
    def make_sink(self) -> object:
        return OtelPlugin(OtelConfig())


class Meter:
    """A plugin behind an SDK that keeps everything in memory."""

    def __init__(self, config: OtelConfig | None = None) -> None:
        self.reader = InMemoryMetricReader()
        self.provider = MeterProvider([self.reader], shutdown_on_exit=False)
        self.plugin = OtelPlugin(config or OtelConfig(model_labels={"small-2026": "small"}), self.provider)
        self.plugin.penstock_run_started(RunInfo(run_id="r-1", started_at=0.0, seed=0, plugins=("aimd", "otel")))
        self.scheduler_events, self.request_events = EventStream("scheduler"), EventStream("request")
        self.scheduler_events.subscribe(self.plugin.penstock_scheduler_event)
        self.request_events.subscribe(self.plugin.penstock_request_event)

    def scheduler(self, now: float, kind: str, **fields: Any) -> None:
        correlation = RuntimeCorrelation("r-1", scheduling_group_kind="local")
        self.scheduler_events.record(kind, now, correlation=correlation, task_id="t-1", **fields)
        self.scheduler_events.deliver()

    def request(self, now: float, kind: str, resource: str = "acme/small-2026/chat", **fields: Any) -> None:
        ids = {"request_attempt_id": "a-1", "request_lease_id": "rl-1"}
        self.request_events.record(kind, now, resource=resource, **{**ids, **fields})
        self.request_events.deliver()

    def points(self) -> Iterator[tuple[str, Any]]:
        data: MetricsData | None = self.reader.get_metrics_data()
        for resource in data.resource_metrics if data is not None else ():
            for scope in resource.scope_metrics:
                for metric in scope.metrics:
                    for point in metric.data.data_points:
                        yield metric.name, point

    def figures(self, name: str) -> list[tuple[Mapping[str, Any], float]]:
        """Labels and value of each series; for a histogram the sum."""
        points = [point for found, point in self.points() if found == name]
        return [(dict(p.attributes), p.sum if hasattr(p, "sum") else p.value) for p in points]


def test_events_are_counted_by_kind() -> None:
    meter = Meter()
    meter.scheduler(0, "selected")
    meter.scheduler(0, "selected")
    meter.request(0, "request_wait_started")
    assert meter.figures("penstock.event.delivered") == [
        ({"penstock.event.kind": "selected"}, 2),
        ({"penstock.event.kind": "request_wait_started"}, 1),
    ]


def test_a_task_is_queued_then_active_then_ended() -> None:
    meter = Meter()
    meter.scheduler(1, "ready_enqueued")
    assert meter.figures("penstock.task.queued") == [(LOCAL, 1)]
    meter.scheduler(3, "worker_spawned")
    assert meter.figures("penstock.task.queued") == [(LOCAL, 0)]
    assert meter.figures("penstock.task.active") == [(LOCAL, 1)]
    assert meter.figures("penstock.task.wait.duration") == [(LOCAL, 2)]
    meter.scheduler(8, "task_completed", reason_or_outcome="completed")
    meter.scheduler(8, "task_lease_released")
    assert meter.figures("penstock.task.active") == [(LOCAL, 0)]
    outcome = {"penstock.outcome": "completed"}
    assert meter.figures("penstock.task.run.duration") == [({**LOCAL, **outcome}, 5)]
    ended = {**LOCAL, **outcome, "penstock.event.kind": "task_completed"}
    assert meter.figures("penstock.task.ended") == [(ended, 1)]


def test_a_task_that_is_dropped_while_queued_is_no_longer_queued_and_waited_for_nothing() -> None:
    meter = Meter()
    meter.scheduler(1, "ready_enqueued")
    meter.scheduler(3, "non_retryable_dropped", reason_or_outcome="deadline")
    assert meter.figures("penstock.task.queued") == [(LOCAL, 0)]
    assert meter.figures("penstock.task.wait.duration") == []


def test_a_call_waits_then_is_active_then_ended() -> None:
    meter = Meter()
    meter.request(1, "request_wait_started", request_lease_id=None)
    assert meter.figures("penstock.request.waiting") == [(CHAT, 1)]
    meter.request(4, "request_wait_completed", request_lease_id=None)
    meter.request(4, "request_lease_acquired")
    assert meter.figures("penstock.request.waiting") == [(CHAT, 0)]
    assert meter.figures("penstock.request.active") == [(CHAT, 1)]
    waited = {**CHAT, "penstock.event.kind": "request_wait_completed"}
    assert meter.figures("penstock.request.wait.duration") == [(waited, 3)]
    meter.request(4, "model_request_started")
    meter.request(9, "model_request_completed", reason_or_outcome="success")
    meter.request(9, "request_lease_released", reason_or_outcome="success")
    success = {**CHAT, "penstock.outcome": "success"}
    assert meter.figures("penstock.request.active") == [(CHAT, 0)]
    assert meter.figures("penstock.request.call.duration") == [(success, 5)]
    assert meter.figures("penstock.request.ended") == [(success, 1)]
    assert meter.figures("penstock.request.rate_limited") == []


def test_rate_limits_are_counted_once_per_call() -> None:
    meter = Meter()
    meter.request(0, "model_request_completed", reason_or_outcome="rate_limited")
    meter.request(0, "request_rate_limited")
    meter.request(0, "request_lease_released", reason_or_outcome="rate_limited")
    assert meter.figures("penstock.request.rate_limited") == [(CHAT, 1)]
    assert meter.figures("penstock.request.ended") == [({**CHAT, "penstock.outcome": "rate_limited"}, 1)]


@pytest.mark.parametrize("kind", ["request_wait_timeout", "request_wait_cancelled"])
def test_a_wait_in_vain_is_over(kind: str) -> None:
    meter = Meter()
    meter.request(0, "request_wait_started")
    meter.request(2, kind)
    assert meter.figures("penstock.request.waiting") == [(CHAT, 0)]
    assert meter.figures("penstock.request.wait.duration") == [({**CHAT, "penstock.event.kind": kind}, 2)]


def test_a_call_that_gets_no_lease_is_refused_once() -> None:
    meter = Meter()
    meter.request(0, "request_wait_started")
    meter.request(2, "request_wait_timeout", reason_or_outcome="queue_timeout")
    meter.request(2, "request_acquire_denied", reason_or_outcome="queue_timeout")
    assert meter.figures("penstock.request.refused") == [({**CHAT, "penstock.outcome": "queue_timeout"}, 1)]


@pytest.mark.parametrize(
    "kind",
    [
        "request_limit_decreased",
        "request_limit_increased",
        "request_soft_ceiling_recovered",
        "request_fully_recovered",
        "request_effective_cap_changed",
    ],
)
def test_the_limit_is_the_one_that_an_algorithm_set_last(kind: str) -> None:
    meter = Meter()
    for after in (8.0, 6.0):
        meter.request(0, kind, diagnostics={"before": 9.0, "after": after, "algorithm": "aimd"})
    assert meter.figures("penstock.request.limit") == [({**CHAT, "penstock.algorithm": "aimd"}, 6)]


def test_an_algorithm_that_is_no_plugin_of_the_run_is_other() -> None:
    meter = Meter()
    meter.request(0, "request_limit_decreased", diagnostics={"after": 3, "algorithm": "tenant-7"})
    ((labels, _),) = meter.figures("penstock.request.limit")
    assert labels["penstock.algorithm"] == OTHER


def test_dropped_events_are_counted() -> None:
    meter = Meter()
    meter.scheduler(0, "events_dropped", diagnostics={"dropped": 3, "first_sequence": 1, "last_sequence": 3})
    assert meter.figures("penstock.event.dropped") == [({}, 3)]


def test_nothing_is_under_way_after_the_run() -> None:
    meter = Meter()
    meter.scheduler(0, "ready_enqueued")
    meter.request(0, "request_wait_started")
    meter.request(0, "request_lease_acquired")
    meter.plugin.penstock_run_finished()
    for name in ("penstock.task.queued", "penstock.request.waiting", "penstock.request.active"):
        assert [value for _, value in meter.figures(name)] == [0]


def test_an_end_that_was_missed_lengthens_no_later_duration() -> None:
    meter = Meter()
    meter.scheduler(0, "worker_spawned")
    meter.request(0, "model_request_started")
    meter.request(1, "request_lease_released", reason_or_outcome="success")
    meter.scheduler(1, "task_lease_released")
    meter.scheduler(10, "worker_spawned")
    meter.request(10, "model_request_started")
    meter.request(12, "model_request_completed", reason_or_outcome="success")
    meter.scheduler(13, "task_completed", reason_or_outcome="completed")
    assert [seconds for _, seconds in meter.figures("penstock.request.call.duration")] == [2]
    assert [seconds for _, seconds in meter.figures("penstock.task.run.duration")] == [3]


def test_an_end_that_is_reported_twice_counts_down_once() -> None:
    meter = Meter()
    meter.request(0, "request_lease_acquired")
    meter.request(1, "request_lease_released", reason_or_outcome="success")
    meter.request(1, "request_lease_released", reason_or_outcome="success")
    assert meter.figures("penstock.request.active") == [(CHAT, 0)]


# -- labels --


@pytest.mark.parametrize(
    ("resource", "labels"),
    [
        ("acme", {"penstock.provider": "acme"}),
        ("acme/small-2026", {"penstock.provider": "acme", "penstock.model": "small"}),
        ("acme/small-2026/embedding", {**CHAT, "penstock.domain": "embedding"}),
        ("acme/org/big-1/chat", {**CHAT, "penstock.model": "big"}),
        ("acme/org/big-1", {"penstock.provider": "acme", "penstock.model": "big"}),
        ("acme/secret-finetune/rerank", {**CHAT, "penstock.model": OTHER, "penstock.domain": "rerank"}),
        ("acme/secret-finetune/unheard-of", {"penstock.provider": "acme", "penstock.model": OTHER}),
        ("acme/chat", {"penstock.provider": "acme", "penstock.model": OTHER}),
    ],
)
def test_a_resource_is_labelled_by_what_is_listed_of_it(resource: str, labels: Mapping[str, str]) -> None:
    meter = Meter(OtelConfig(model_labels={"small-2026": "small", "org/big-1": "big"}, domains=["rerank"]))
    meter.request(0, "request_lease_acquired", resource)
    assert meter.figures("penstock.request.active") == [(labels, 1)]


def test_providers_beyond_the_first_many_share_a_label() -> None:
    meter = Meter()
    for n in range(200):
        meter.request(0, "request_lease_acquired", f"p{n}/m/chat", request_lease_id=f"rl-{n}")
    providers = {labels["penstock.provider"] for labels, _ in meter.figures("penstock.request.active")}
    assert len(providers) == 65
    assert OTHER in providers


secrets = st.text(min_size=1, max_size=12).map(lambda text: f"secret-{text}")
STREAMS: Final[list[Literal["scheduler", "request"]]] = ["scheduler", "request"]
KINDS: Final = {stream: sorted({event.event_kind for event in one_of_each_event(stream)}) for stream in STREAMS}


@st.composite
def events_full_of_secrets(draw: st.DrawFn) -> RuntimeEvent:
    """Events in which every field that a caller or a provider can fill says something that must not get out."""
    stream = draw(st.sampled_from(STREAMS))
    return RuntimeEvent(
        stream=stream,
        event_kind=draw(st.sampled_from(KINDS[stream])),
        captured_at_monotonic=draw(st.floats(0, 1e6)),
        sequence=draw(st.integers(1, 10**6)),
        correlation=RuntimeCorrelation(*[draw(secrets) for _ in range(7)]),
        task_id=draw(secrets),
        task_execution_id=draw(secrets),
        task_lease_id=draw(secrets),
        request_attempt_id=draw(secrets),
        request_lease_id=draw(secrets),
        resource=draw(st.builds("acme/{}/{}".format, secrets, st.sampled_from(["chat", "secret-domain"]))),
        group=draw(secrets),
        reason_or_outcome=draw(secrets),
        snapshot={draw(secrets): draw(secrets)},
        diagnostics={"algorithm": draw(secrets), "after": 3.0, draw(secrets): draw(secrets)},
    )


@settings(max_examples=60, deadline=None)
@given(st.lists(events_full_of_secrets(), max_size=12))
def test_no_label_shows_an_id_a_raw_model_or_a_group(events: list[RuntimeEvent]) -> None:
    meter = Meter()
    allowed = {*KINDS["scheduler"], *KINDS["request"], *map(str, RequestDomain), "acme", "small", OTHER}
    for event in events:
        {"scheduler": meter.plugin.penstock_scheduler_event, "request": meter.plugin.penstock_request_event}[
            event.stream
        ](event)
    for _, point in meter.points():
        assert set(point.attributes) <= LABEL_KEYS
        assert set(point.attributes.values()) <= allowed


# -- the API alone --

USE_IT = """
import sys
from penstock.testing import one_of_each_event
from penstock_otel import OtelConfig, OtelPlugin

plugin = OtelPlugin(OtelConfig())
for event in one_of_each_event("scheduler"):
    plugin.penstock_scheduler_event(event)
for event in one_of_each_event("request"):
    plugin.penstock_request_event(event)
plugin.penstock_run_finished()
print(*sorted(name for name in sys.modules if name.startswith("opentelemetry.")))
"""


def test_neither_sdk_nor_exporter_is_imported() -> None:
    imported = subprocess.run([sys.executable, "-c", USE_IT], check=True, capture_output=True, text=True).stdout.split()
    assert "opentelemetry.metrics" in imported
    assert [name for name in imported if name.startswith(("opentelemetry.sdk", "opentelemetry.exporter"))] == []
