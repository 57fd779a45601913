"""A plugin behind an SDK that keeps everything in memory; and the labels of what it is told here."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader, MetricsData

from penstock import EventStream, RunInfo, RuntimeCorrelation
from penstock_otel import OtelConfig, OtelPlugin

CHAT = {"gen_ai.provider.name": "acme", "gen_ai.request.model": "small", "gen_ai.operation.name": "chat"}


class Meter:
    """A plugin behind an SDK that keeps everything in memory."""

    def __init__(self, config: OtelConfig | None = None, **run: Any) -> None:
        self.reader = InMemoryMetricReader()
        self.provider = MeterProvider([self.reader], shutdown_on_exit=False)
        self.plugin = OtelPlugin(config or OtelConfig(model_labels={"small-2026": "small"}), self.provider)
        self.plugin.penstock_run_started(RunInfo(run_id="r-1", started_at=0.0, seed=0, plugins=("aimd",), **run))
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
        self.plugin.flush()
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
