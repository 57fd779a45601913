"""What OpenTelemetry gets, proved with its SDK; and what it never gets."""

from __future__ import annotations

import subprocess
import sys

import pytest
from plugins.otel.tests.meter import CHAT, Meter

from penstock import PluginError, RunInfo, RunReport
from penstock.testing import SinkContract, one_of_each_event
from penstock_otel import OTHER, Labels, OtelConfig, OtelPlugin
from penstock_otel.adding_up import KINDS, AddingUp

LOCAL = {"penstock.task.kind": "local"}


class TestContract(SinkContract):
    def make_sink(self) -> object:
        return OtelPlugin(OtelConfig())


def test_events_that_mean_nothing_here_are_not_even_built() -> None:
    assert OtelPlugin.sink.kinds is not None
    assert "selected" not in OtelPlugin.sink.kinds
    adding_up = AddingUp(Labels(OtelConfig()))
    for stream in ("scheduler", "request"):
        for event in one_of_each_event(stream):
            found = adding_up.of([event])
            assert event.event_kind in KINDS or not (found.counts or found.values)


def test_a_task_waits_then_runs_then_ends() -> None:
    meter = Meter()
    meter.scheduler(1, "ready_enqueued")
    meter.scheduler(3, "worker_spawned")
    assert meter.figures("penstock.task.wait.duration") == [({}, 2)]
    meter.scheduler(8, "task_completed", reason_or_outcome="completed")
    meter.scheduler(8, "task_lease_released")
    outcome = {"penstock.outcome": "completed"}
    assert meter.figures("penstock.task.run.duration") == [(outcome, 5)]
    ended = {**LOCAL, **outcome, "penstock.event.kind": "task_completed"}
    assert meter.figures("penstock.task.ended") == [(ended, 1)]


def test_a_task_that_is_dropped_while_queued_waited_for_nothing() -> None:
    meter = Meter()
    meter.scheduler(1, "ready_enqueued")
    meter.scheduler(3, "non_retryable_dropped", reason_or_outcome="deadline")
    meter.scheduler(5, "worker_spawned")
    assert meter.figures("penstock.task.wait.duration") == []


def test_a_call_waits_then_is_out_then_ended() -> None:
    meter = Meter()
    meter.request(1, "request_wait_started", request_lease_id=None)
    meter.request(4, "request_wait_completed", request_lease_id=None)
    meter.request(4, "request_lease_acquired")
    waited = {**CHAT, "penstock.outcome": "completed"}
    assert meter.figures("penstock.request.wait.duration") == [(waited, 3)]
    meter.request(4, "model_request_started")
    meter.request(9, "model_request_completed", reason_or_outcome="success")
    meter.request(9, "request_lease_released", reason_or_outcome="success")
    assert meter.figures("gen_ai.client.operation.duration") == [(CHAT, 5)]
    assert meter.figures("penstock.request.ended") == [({**CHAT, "penstock.outcome": "success"}, 1)]


def test_a_call_that_failed_says_how() -> None:
    meter = Meter()
    meter.request(4, "model_request_started")
    meter.request(9, "model_request_completed", reason_or_outcome="provider_timeout")
    assert meter.figures("gen_ai.client.operation.duration") == [({**CHAT, "error.type": "provider_timeout"}, 5)]


def test_tokens_and_cost_are_counted_by_whom_they_are_for() -> None:
    price = {"input": 1.0, "output": 10.0, "cache_read": 0.0}
    meter = Meter(
        OtelConfig(groups=["tenant-1"]), models={"acme/small": "small-2026"}, prices={"acme/small-2026": price}
    )
    used = {"input_tokens": 2_000_000, "output_tokens": 100_000, "cache_read_tokens": 1_000_000}
    for group, diagnostics in (("tenant-1", used), ("tenant-2", used), ("tenant-1", {"output_tokens": 5})):
        meter.request(9, "request_lease_released", reason_or_outcome="success", group=group, diagnostics=diagnostics)
    first, other = {**CHAT, "penstock.group": "tenant-1"}, {**CHAT, "penstock.group": OTHER}
    read, written = {"gen_ai.token.type": "input"}, {"gen_ai.token.type": "output"}
    assert meter.figures("gen_ai.client.token.usage") == [
        ({**first, **read}, 2_000_000),
        ({**first, **written}, 100_005),
        ({**other, **read}, 2_000_000),
        ({**other, **written}, 100_000),
    ]
    assert meter.figures("penstock.request.cost") == [(first, 2.0), (other, 2.0)]


def test_a_price_that_is_none_is_told_and_all_else_goes_on() -> None:
    prices = {"acme/small-2026": {"inptu": 1.0}, "acme/big": {"input": -1.0}}
    run = RunInfo(run_id="r", started_at=0, seed=0, models={"acme/small": "small-2026"}, prices=prices)
    meter = Meter(OtelConfig())
    with pytest.raises(PluginError) as caught:
        meter.plugin.penstock_run_started(run)
    assert "acme/small-2026" in str(caught.value)
    assert "acme/big" in str(caught.value)
    meter.request(9, "request_lease_released", reason_or_outcome="success", diagnostics={"input_tokens": 3})
    assert meter.figures("penstock.request.cost") == []
    assert meter.figures("penstock.request.ended") == [({**CHAT, "penstock.outcome": "success"}, 1)]


def test_rate_limits_are_counted_once_per_call() -> None:
    meter = Meter()
    meter.request(0, "model_request_completed", reason_or_outcome="rate_limited")
    meter.request(0, "request_rate_limited")
    meter.request(0, "request_lease_released", reason_or_outcome="rate_limited")
    assert meter.figures("penstock.request.ended") == [({**CHAT, "penstock.outcome": "rate_limited"}, 1)]


@pytest.mark.parametrize(
    ("kind", "reason"), [("request_wait_timeout", "queue_timeout"), ("request_wait_cancelled", "cancellation")]
)
def test_a_wait_in_vain_is_over(kind: str, reason: str) -> None:
    meter = Meter()
    meter.request(0, "request_wait_started")
    meter.request(2, kind, reason_or_outcome=reason)
    assert meter.figures("penstock.request.wait.duration") == [({**CHAT, "penstock.outcome": reason}, 2)]


def test_a_call_that_gets_no_lease_is_refused_once() -> None:
    meter = Meter()
    meter.request(0, "request_wait_started")
    meter.request(2, "request_wait_timeout", reason_or_outcome="queue_timeout")
    meter.request(2, "request_acquire_denied", reason_or_outcome="queue_timeout")
    assert meter.figures("penstock.request.refused") == [({**CHAT, "penstock.reason": "queue_timeout"}, 1)]


def test_dropped_events_are_counted() -> None:
    meter = Meter()
    meter.scheduler(0, "events_dropped", diagnostics={"dropped": 3, "first_sequence": 1, "last_sequence": 3})
    assert meter.figures("penstock.event.dropped") == [({}, 3)]


def test_what_was_under_way_in_a_run_lasts_into_no_other() -> None:
    meter = Meter()
    meter.scheduler(0, "ready_enqueued")
    meter.request(0, "request_wait_started")
    meter.plugin.penstock_run_finished(RunReport(run_id="r-1", started_at=0.0, finished_at=1.0))
    meter.scheduler(9, "worker_spawned")
    meter.request(9, "request_wait_completed")
    assert meter.figures("penstock.task.wait.duration") == []
    assert meter.figures("penstock.request.wait.duration") == []


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
    assert [seconds for _, seconds in meter.figures("gen_ai.client.operation.duration")] == [2]
    assert [seconds for _, seconds in meter.figures("penstock.task.run.duration")] == [3]


def test_an_end_that_is_reported_twice_is_one_duration() -> None:
    meter = Meter()
    meter.request(0, "model_request_started")
    for _ in range(2):
        meter.request(1, "model_request_completed", reason_or_outcome="success")
    ((_, point),) = [each for each in meter.points() if each[0] == "gen_ai.client.operation.duration"]
    assert point.count == 1


# -- the API alone --

USE_IT = """
import sys
from penstock import RunReport
from penstock.testing import one_of_each_event
from penstock_otel import OtelConfig, OtelPlugin

plugin = OtelPlugin(OtelConfig())
for event in one_of_each_event("scheduler"):
    plugin.penstock_scheduler_event(event)
for event in one_of_each_event("request"):
    plugin.penstock_request_event(event)
plugin.penstock_run_finished(RunReport(run_id="r-1", started_at=0.0, finished_at=1.0))
print(*sorted(name for name in sys.modules if name.startswith("opentelemetry.")))
"""


def test_neither_sdk_nor_exporter_is_imported() -> None:
    imported = subprocess.run([sys.executable, "-c", USE_IT], check=True, capture_output=True, text=True).stdout.split()
    assert "opentelemetry.metrics" in imported
    assert [name for name in imported if name.startswith(("opentelemetry.sdk", "opentelemetry.exporter"))] == []
