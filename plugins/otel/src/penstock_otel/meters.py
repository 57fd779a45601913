"""The instruments of one meter provider, which all runs of the process share.

An instrument is made once: of a second one by the same name the SDK takes no callback, and a page of figures can have
each series only once. Counters and gauges are observed when somebody asks, so an event costs them nothing; histograms
must be told each value.
"""

from __future__ import annotations

import threading
from collections import defaultdict
from collections.abc import Callable, Iterable
from functools import partial
from importlib.metadata import version
from typing import Any
from weakref import WeakKeyDictionary

import attrs
from opentelemetry.metrics import CallbackOptions, Histogram, MeterProvider, Observation, get_meter, get_meter_provider

from penstock import METRICS, RunFigures
from penstock_otel.adding_up import Sum
from penstock_otel.gauges import GAUGES, Gauges, gauges_of, join
from penstock_otel.labels import Labels, Pairs

__all__ = ["Meters", "RunUnderWay", "meters_of"]


@attrs.frozen(eq=False)
class RunUnderWay:
    """A run whose gauges are shown: how it is asked for its figures, and its labels."""

    ask: Callable[[], RunFigures | None]
    labels: Labels


class Meters:
    """The instruments, and what they show. May be used in any thread."""

    def __init__(self, meter_provider: MeterProvider | None) -> None:
        meter = get_meter("penstock_otel", version("penstock-otel"), meter_provider)
        self._histograms: dict[str, Histogram] = {}
        self._totals: dict[str, defaultdict[Pairs, float]] = {}
        self._adding = threading.Lock()
        self._runs: list[RunUnderWay] = []
        self._asking = threading.Lock()
        self._gauges: Gauges = {}
        self._shown = {*GAUGES}
        self._attributes: dict[Pairs, dict[str, str] | None] = {(): None}
        """Of no labels it is `None`: the SDK takes 1.2 µs to look into an empty dictionary."""
        made: list[Any] = []
        for name, metric in METRICS.of_run.items():
            if metric.kind == "histogram":
                boundaries = metric.boundaries
                self._histograms[name] = meter.create_histogram(
                    name, metric.unit, metric.what, explicit_bucket_boundaries_advisory=boundaries
                )
            elif metric.kind == "counter":
                self._totals[name] = defaultdict(float)
                made.append(
                    meter.create_observable_counter(name, [partial(self._total, name)], metric.unit, metric.what)
                )
            else:
                made.append(meter.create_observable_gauge(name, [partial(self._now, name)], metric.unit, metric.what))
        self._made = tuple(made)

    def add(self, found: Sum) -> None:
        """Add what some events came to."""
        with self._adding:
            for (name, labels), count in found.counts.items():
                self._totals[name][labels] += count
        for name, value, labels in found.values:
            if labels not in self._attributes:
                self._attributes[labels] = dict(labels)
            self._histograms[name].record(value, self._attributes[labels])

    def show(self, run: RunUnderWay) -> None:
        """The gauges of a run from now on."""
        self._runs.append(run)

    def hide(self, run: RunUnderWay) -> None:
        """No longer: it is over. May be called again."""
        if run in self._runs:
            self._runs.remove(run)

    def _total(self, name: str, _: CallbackOptions) -> Iterable[Observation]:
        with self._adding:
            totals = tuple(self._totals[name].items())
        return [Observation(count, dict(labels)) for labels, count in totals]

    def _now(self, name: str, _: CallbackOptions) -> Iterable[Observation]:
        """The runs are asked once for all gauges: by whichever of them is asked a second time."""
        with self._asking:
            if name in self._shown:
                self._gauges = self._ask()
                self._shown.clear()
            self._shown.add(name)
            gauges = tuple(self._gauges.get(name, {}).items())
        return [Observation(figure, dict(labels)) for labels, figure in gauges]

    def _ask(self) -> Gauges:
        found: Gauges = {}
        for run in tuple(self._runs):
            figures = run.ask()
            if figures is not None:
                join(found, gauges_of(figures, run.labels))
        return found


_of_the_process: list[Meters] = []
_of_providers: WeakKeyDictionary[MeterProvider, Meters] = WeakKeyDictionary()
_making = threading.Lock()


def meters_of(meter_provider: MeterProvider | None) -> Meters:
    """The instruments of a meter provider; `None`: the process's own."""
    with _making:
        if meter_provider is None or meter_provider is get_meter_provider():
            if not _of_the_process:
                _of_the_process.append(Meters(None))
            return _of_the_process[0]
        if meter_provider not in _of_providers:
            _of_providers[meter_provider] = Meters(meter_provider)
        return _of_providers[meter_provider]
