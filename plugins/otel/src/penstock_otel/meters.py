"""The instruments of one meter provider, which all runs of the process share.

An instrument is made once: of a second one by the same name the SDK takes no callback, and a page of figures can have
each series only once. Counters and gauges are observed when somebody asks, so an event costs them nothing; histograms
must be told each value.
"""

from __future__ import annotations

import threading
from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from functools import partial
from importlib.metadata import version
from typing import Any
from weakref import WeakKeyDictionary

import attrs
from opentelemetry.metrics import CallbackOptions, Histogram, MeterProvider, Observation, get_meter, get_meter_provider

from penstock import METRICS, HookFigures, RunFigures
from penstock_otel.adding_up import Sum
from penstock_otel.gauges import DECISIONS, GAUGES, Gauges, decisions_of, gauges_of, join
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
        self._shown = {*GAUGES, *DECISIONS}
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
                told = partial(self._now if name in DECISIONS else self._total, name)
                made.append(meter.create_observable_counter(name, [told], metric.unit, metric.what))
            else:
                made.append(meter.create_observable_gauge(name, [partial(self._now, name)], metric.unit, metric.what))
        self._made = tuple(made)
        self._totals["penstock.event.dropped"][()] = 0.0  # there from the start: an increase is seen from a zero on

    def add(self, found: Sum) -> None:
        """Add what some events came to."""
        with self._adding:
            for (name, labels), count in found.counts.items():
                self._totals[name][labels] += count
        histograms, attributes = self._histograms, self._attributes
        for name, value, labels in found.values:
            try:
                known = attributes[labels]
            except KeyError:
                known = attributes[labels] = dict(labels)
            histograms[name].record(value, known)

    def show(self, run: RunUnderWay) -> None:
        """The gauges of a run from now on."""
        self._runs.append(run)

    def hide(self, run: RunUnderWay, asked: Sequence[HookFigures] = ()) -> None:
        """No longer: it is over, and what plugins were `asked` in it is added up for good. May be called again."""
        if run not in self._runs:
            return
        with self._adding:
            self._runs.remove(run)
            self._gauges = {}
            self._shown = {*GAUGES, *DECISIONS}  # so that nothing of it is shown, or counted, a second time
            for name, series in decisions_of(asked, run.labels).items():
                for labels, count in series.items():
                    self._totals[name][labels] += count

    def _total(self, name: str, _: CallbackOptions) -> Iterable[Observation]:
        with self._adding:
            totals = tuple(self._totals[name].items())
        return [Observation(count, dict(labels)) for labels, count in totals]

    def _now(self, name: str, _: CallbackOptions) -> Iterable[Observation]:
        """Of the runs under way, and, of what is a count, of those that are over.

        The runs are asked once for all that is shown: by whichever of them is asked a second time.
        """
        with self._asking:
            asked = self._ask() if name in self._shown else None
            with self._adding:
                if asked is not None:
                    self._gauges = {}
                    for run, gauges in asked:
                        if run in self._runs:  # else it has ended meanwhile
                            join(self._gauges, gauges)
                    self._shown.clear()
                self._shown.add(name)
                figures = dict(self._totals.get(name, {}))
                for labels, figure in self._gauges.get(name, {}).items():
                    figures[labels] = figures.get(labels, 0.0) + figure
        return [Observation(figure, dict(labels)) for labels, figure in figures.items()]

    def _ask(self) -> list[tuple[RunUnderWay, Gauges]]:
        """May take a second for each run: its own thread answers."""
        asked = [(run, run.ask()) for run in tuple(self._runs)]
        return [(run, gauges_of(figures, run.labels)) for run, figures in asked if figures is not None]


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
