"""Gauges are observed when somebody asks, in the run's own thread or in another, and of runs under way alone."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import Any

import pytest
import trio
import trio.testing
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader
from plugins.otel.tests.meter import CHAT, Meter

import penstock
from penstock import METRICS
from penstock_otel import OTHER, OtelConfig, OtelPlugin

CONFIG: Mapping[str, Any] = {
    "plugins": {"ready_queue": "fair", "task_policies": [], "request_limiters": []},
    "providers": {"acme": {"models": {"small": {"model": "small-2026", "max_parallel_requests": 2}}}},
}
REFUSED = {"penstock.reason": "no_capacity", "penstock.by": "core"}
LIMIT, ACTIVE, WAITING = "penstock.request.limit", "penstock.request.active", "penstock.request.waiting"


async def call(tenant: str, seconds: float = 10.0) -> None:
    async with penstock.request("acme/small", group=tenant):
        await trio.sleep(seconds)


def in_series(figures: list[tuple[Mapping[str, Any], float]], label: str) -> Mapping[str, float]:
    return {labels.get(label, ""): figure for labels, figure in figures}


async def test_limits_and_who_waits_and_why_are_those_of_the_moment(autojump_clock: trio.testing.MockClock) -> None:
    meter = Meter(OtelConfig(groups=["a", "b", "column"]))
    async with penstock.open_scheduler(CONFIG, plugins=[meter.plugin]) as scheduler:
        for tenant in ("a", "b", "b", "nobody-listed"):
            scheduler.start_soon(partial(call, tenant), group="column")
        await trio.sleep(5)
        assert meter.figures(LIMIT) == [(CHAT, 2)]
        assert meter.figures(ACTIVE) == [(CHAT, 2)]
        assert meter.figures(WAITING) == [({**CHAT, **REFUSED}, 2)]
        tenants = in_series(meter.figures("penstock.group.request.waiting"), "penstock.group")
        assert sum(tenants.values()) == 2
        assert set(tenants) <= {"a", "b", OTHER}
        assert meter.figures("penstock.task.active") == [
            ({"penstock.task.kind": "local", "penstock.group": "column"}, 4)
        ]
        assert in_series(meter.figures("penstock.resource.active"), "penstock.resource") == {"submission": 4}
        assert in_series(meter.figures("penstock.resource.limit"), "penstock.resource") == {"submission": 1024}
        await trio.sleep(6)
        assert meter.figures(ACTIVE) == [(CHAT, 2)]
        assert meter.figures(WAITING) == []
    assert meter.figures(LIMIT) == []


class Refusing:
    plugin_name = "refusing"

    @penstock.hookimpl
    def penstock_task_eligible(self, now: float) -> penstock.Denied | None:
        if now < 2.5:
            return penstock.Denied("policy_denial", {penstock.At(now + 1.0)})
        if now < 3.5:
            raise RuntimeError
        return None


async def test_what_plugins_are_asked_is_counted_while_a_run_goes_on_and_afterwards(
    autojump_clock: trio.testing.MockClock,
) -> None:
    meter = Meter()
    config = {"plugins": {"trace": 1.0}}

    def told() -> dict[str, float]:
        of = {"penstock.plugin": "refusing", "penstock.hook": "penstock_task_eligible"}
        names = ("asked", "refused", "failed", "time")
        found = {name: meter.figures(f"penstock.decision.{name}") for name in names}
        return {name: figure for name, series in found.items() for labels, figure in series if labels == of}

    before: dict[str, float] = {}
    for _ in range(2):
        start = trio.current_time()
        rule = Refusing()
        async with penstock.open_scheduler(config, plugins=[meter.plugin, rule]) as scheduler:
            scheduler.start_soon(trio.sleep, 0)
            await trio.sleep(max(0.0, start + 2.2 - trio.current_time()))
            during = told()
        assert scheduler.report is not None
        figures = {each.plugin: each for each in scheduler.report.decisions}["refusing"]
        after = told()
        assert before.get("asked", 0) < during["asked"] <= after["asked"]
        assert after["asked"] == before.get("asked", 0) + figures.questions
        assert after["refused"] == before.get("refused", 0) + figures.refusals
        assert after["failed"] == before.get("failed", 0) + figures.errors
        assert after["time"] == pytest.approx(before.get("time", 0.0) + figures.seconds)
        before = after
    assert before["refused"] >= 3
    assert before["failed"] >= 1


async def test_without_a_trace_nothing_is_said_of_decisions(autojump_clock: trio.testing.MockClock) -> None:
    meter = Meter()
    async with penstock.open_scheduler(plugins=[meter.plugin]) as scheduler:
        scheduler.start_soon(trio.sleep, 0)
        await trio.sleep(1)
        assert meter.figures("penstock.decision.asked") == []


async def test_tasks_wait_for_a_reason(autojump_clock: trio.testing.MockClock) -> None:
    meter = Meter()
    async with penstock.open_scheduler({"scheduler": {"submission_capacity": 1}}, plugins=[meter.plugin]) as scheduler:
        for _ in range(3):
            scheduler.start_soon(trio.sleep, 2)
        await trio.sleep(1)
        ((labels, waiting),) = meter.figures("penstock.task.waiting")
    assert waiting == 2
    assert set(labels) == {"penstock.task.kind", "penstock.reason", "penstock.by"}


async def test_all_gauges_of_one_look_are_of_one_moment(
    autojump_clock: trio.testing.MockClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    meter = Meter()
    async with penstock.open_scheduler(CONFIG, plugins=[meter.plugin]) as scheduler:
        asked: list[float] = []
        figures = scheduler.figures()

        def figures_of(*_: object) -> penstock.RunFigures:
            asked.append(trio.current_time())
            return figures

        monkeypatch.setattr("penstock.run.scheduler.figures_of", figures_of)
        meter.figures(LIMIT)
        assert len(asked) == 1
        meter.figures(ACTIVE)
    assert len(asked) == 2


async def test_two_runs_of_one_provider_are_one_page(autojump_clock: trio.testing.MockClock) -> None:
    """The second plugin finds the instruments of the first: counts go on, and gauges are added up."""
    meter = Meter()
    second = OtelPlugin(OtelConfig(), meter.provider)
    async with (
        penstock.open_scheduler(CONFIG, plugins=[meter.plugin]) as one,
        penstock.open_scheduler(CONFIG, plugins=[second]) as other,
    ):
        for scheduler in (one, other):
            async with scheduler.requests.attempt("acme/small"):
                pass
        async with one.requests.attempt("acme/small"), other.requests.attempt("acme/small"):
            assert meter.figures(LIMIT) == [(CHAT, 4)]
            assert meter.figures(ACTIVE) == [(CHAT, 2)]
    second.flush()
    assert meter.figures("penstock.request.ended") == [({**CHAT, "penstock.outcome": "success"}, 4)]


async def test_a_plugin_that_serves_several_runs_goes_on_counting(autojump_clock: trio.testing.MockClock) -> None:
    meter = Meter()
    for _ in range(2):
        async with penstock.open_scheduler(CONFIG, plugins=[meter.plugin]) as scheduler:
            scheduler.start_soon(call, "a")
    assert meter.figures("penstock.request.ended") == [({**CHAT, "penstock.outcome": "success"}, 2)]


@pytest.mark.loopback
async def test_another_thread_asks_the_loop() -> None:
    reader = InMemoryMetricReader()
    provider = MeterProvider([reader], shutdown_on_exit=False)
    plugin = OtelPlugin(OtelConfig(), provider)
    async with penstock.open_scheduler(CONFIG, plugins=[plugin]), penstock.request("acme/small"):
        data = await trio.to_thread.run_sync(reader.get_metrics_data)
    assert data is not None
    (scope,) = data.resource_metrics[0].scope_metrics
    shown = [metric for metric in scope.metrics if metric.name in (LIMIT, ACTIVE)]
    figures = {metric.name: [getattr(point, "value", None) for point in metric.data.data_points] for metric in shown}
    assert figures == {LIMIT: [2], ACTIVE: [1]}
    provider.shutdown()


@pytest.mark.parametrize("name", [name for name, metric in METRICS.of_run.items()])
def test_every_metric_has_a_name_and_labels_by_the_rules_of_opentelemetry(name: str) -> None:
    metric = METRICS.of_run[name]
    for word in (name, *metric.labels):
        assert word == word.lower()
        assert word.replace(".", "").replace("_", "").isalnum()
        assert word.startswith(("penstock.", "gen_ai.", "error."))
    assert metric.unit in ("s", "{request}", "{task}", "{place}", "{token}", "{money}", "{event}", "{question}")
    assert bool(metric.boundaries) == (metric.kind == "histogram")
    assert list(metric.boundaries) == sorted(metric.boundaries)
