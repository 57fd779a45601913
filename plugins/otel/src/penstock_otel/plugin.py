"""The sink: both event streams, and the figures of the run, as OpenTelemetry metrics.

It uses the API alone (package `opentelemetry-api`): which SDK counts, and where the figures go, is for the program to
set up, and without any the instruments do nothing. Names, kinds and units are `penstock.METRICS`; labels are those of
`labels.py` and no others.

There are no spans: exporters drop them when they come in bursts, so they are no record of account. The record is
`penstock-jsonl`.

With an SDK an instrument costs some microseconds, too much for the loop, and too much for each event. So the sink is
buffered, and adds up what it was given once per flush, in a thread of its own (`adding_up.py`); counters and gauges
are observed when somebody asks (`meters.py`). It waits when it is full, for a count that missed an end would stay wrong
for ever.
"""

from __future__ import annotations

from collections.abc import Sequence

from opentelemetry.metrics import MeterProvider

from penstock import ConfigError, PluginError, Prices, RunInfo, RunReport, RuntimeEvent, SinkSpec, hookimpl
from penstock_otel.adding_up import KINDS, AddingUp
from penstock_otel.config import OtelConfig
from penstock_otel.labels import Labels
from penstock_otel.meters import RunUnderWay, meters_of

__all__ = ["OtelPlugin"]


class OtelPlugin:
    """Reports to an OpenTelemetry meter what both gates do.

    `meter_provider` is the one to use instead of the process's own.

    The metrics are listed in docs/reference/metrics.md, with their kinds, units and labels.
    """

    Config = OtelConfig
    sink = SinkSpec(mode="buffered", on_full="wait", kinds=KINDS)

    def __init__(self, config: OtelConfig, meter_provider: MeterProvider | None = None) -> None:
        self._labels = Labels(config)
        self._adding_up = AddingUp(self._labels)
        self._meters = meters_of(meter_provider)
        self._events: list[RuntimeEvent] = []
        self._run: RunUnderWay | None = None

    @hookimpl
    def penstock_run_started(self, run: RunInfo) -> None:
        """Labels are the names in the run's configuration, and its figures can be asked for.

        Raises `PluginError` for a price that is none: what calls of that model cost is not told then.
        """
        self._labels.see(run)
        if run.figures is not None:
            self._run = RunUnderWay(run.figures, self._labels)
            self._meters.show(self._run)
        wrong: list[str] = []
        for model, price in run.prices.items():
            try:
                self._adding_up.prices[model] = Prices(**price)
            except (ConfigError, TypeError) as error:
                wrong.append(f"the price of {model} is none: {error}")
        if wrong:
            raise PluginError("otel", "; ".join(wrong))

    @hookimpl
    def penstock_scheduler_event(self, event: RuntimeEvent) -> None:
        """Keep it until it is added up."""
        self._events.append(event)

    penstock_request_event = penstock_scheduler_event

    def take_many(self, events: Sequence[RuntimeEvent]) -> None:
        """Keep them until they are added up."""
        self._events += events

    @hookimpl
    def penstock_run_finished(self, report: RunReport) -> None:
        """Nothing is under way any more."""
        self.flush()
        self._adding_up.forget()
        if self._run is not None:
            self._meters.hide(self._run, report.decisions)

    def flush(self) -> None:
        """Add up what came since the last time."""
        events, self._events = self._events, []
        if events:
            self._meters.add(self._adding_up.of(events))
