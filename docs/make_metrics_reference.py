"""The generator of `docs/reference/metrics.md`: every metric of `penstock-otel` and of a gateway's `/metrics`.

    python docs/make_metrics_reference.py

What the plugin counts is asked of the plugin itself: it is given a meter that notes what is made, and every kind of
event. A test holds the file against `reference()`, so that the page cannot fall behind the code.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from random import Random
from typing import Any

import attrs
from opentelemetry.metrics import CallbackOptions, Meter, MeterProvider

from penstock import RuntimeEvent
from penstock.testing import one_of_each_event
from penstock_gateway.metric_names import METRICS
from penstock_otel import OtelConfig, OtelPlugin

PAGE = Path(__file__).parent / "reference" / "metrics.md"

HEAD = """\
# The metrics

<!-- Written by docs/make_metrics_reference.py from what penstock-otel and penstock-gateway make. Change it there. -->

Labels are drawn from closed sets: words of Penstock's own, names of the configuration, and what an operator listed.
What callers send makes no new series. What happens one by one is told by [events](events.md).

## By OpenTelemetry

What [penstock-otel](../../plugins/otel/README.md) reports, with `sinks = ["otel"]` under `[plugins]`. Exporters for
Prometheus write `_` for each `.`, and the unit at the end.
"""

GATEWAY = """\
## By a gateway

What `penstock serve` answers at `/metrics`: [gateway-operating.md](../gateway-operating.md).
"""


ORDERS = 50


@attrs.define
class Instrument:
    """A metric as it was made, and the labels under which something was counted."""

    kind: str
    name: str
    unit: str
    what: str
    labels: set[str] = attrs.field(factory=set)
    callbacks: Sequence[Any] = ()

    def add(self, amount: float, attributes: Mapping[str, str] | None = None, context: object = None) -> None:
        self.labels.update(attributes or {})

    set = record = add


class NotingMeter(Meter):
    """A meter that keeps what is made of it."""

    def __init__(self) -> None:
        super().__init__("noting")
        self.made: dict[str, Instrument] = {}

    def observe(self) -> None:
        """Ask those instruments that are asked."""
        for instrument in self.made.values():
            for callback in instrument.callbacks:
                for observation in callback(CallbackOptions()):
                    instrument.add(observation.value, observation.attributes)

    def _make(self, kind: str, name: str, unit: str = "", description: str = "", callbacks: Any = ()) -> Any:
        return self.made.setdefault(name, Instrument(kind, name, unit, description, callbacks=callbacks or ()))

    def create_counter(self, name: str, unit: str = "", description: str = "") -> Any:
        return self._make("counter", name, unit, description)

    def create_up_down_counter(self, name: str, unit: str = "", description: str = "") -> Any:
        return self._make("up-down counter", name, unit, description)

    def create_histogram(self, name: str, unit: str = "", description: str = "", **_: Any) -> Any:
        return self._make("histogram", name, unit, description)

    def create_gauge(self, name: str, unit: str = "", description: str = "") -> Any:
        return self._make("gauge", name, unit, description)

    def create_observable_counter(self, name: str, callbacks: Any = None, unit: str = "", description: str = "") -> Any:
        return self._make("counter", name, unit, description, callbacks)

    def create_observable_up_down_counter(
        self, name: str, callbacks: Any = None, unit: str = "", description: str = ""
    ) -> Any:
        return self._make("up-down counter", name, unit, description, callbacks)

    def create_observable_gauge(self, name: str, callbacks: Any = None, unit: str = "", description: str = "") -> Any:
        return self._make("gauge", name, unit, description, callbacks)


class NotingProvider(MeterProvider):
    """A provider with one meter."""

    def __init__(self) -> None:
        self.meter = NotingMeter()

    def get_meter(self, name: str, *_: Any, **__: Any) -> Meter:
        return self.meter


def reference() -> str:
    """The text of the page."""
    return "\n".join([HEAD, *_of_otel(), "", GATEWAY, *_of_the_gateway(), ""])


def _of_otel() -> Iterator[str]:
    provider = NotingProvider()
    plugin = OtelPlugin(OtelConfig(), provider)
    for seed in range(ORDERS):
        for event in _events(seed):
            tell = plugin.penstock_scheduler_event if event.stream == "scheduler" else plugin.penstock_request_event
            tell(event)
    provider.meter.observe()
    yield "| metric | kind | unit | what it is | labels |"
    yield "|---|---|---|---|---|"
    for each in provider.meter.made.values():
        yield _line((f"`{each.name}`", each.kind, f"`{each.unit}`", each.what, _listed(sorted(each.labels))))


def _events(seed: int) -> list[RuntimeEvent]:
    """Every kind of event, in an order of its own: what has a duration has to begin before it ends."""
    made = [
        attrs.evolve(event, reason_or_outcome=outcome, diagnostics={**(event.diagnostics or {}), "algorithm": "aimd"})
        for event in (*one_of_each_event("scheduler"), *one_of_each_event("request"))
        for outcome in ("success", "rate_limited")
    ]
    Random(seed).shuffle(made)
    return made


def _of_the_gateway() -> Iterator[str]:
    yield "| metric | kind | what it is | labels |"
    yield "|---|---|---|---|"
    for name, metric in METRICS.items():
        yield _line((f"`{name}`", metric.kind, metric.what, _listed(metric.labels)))


def _listed(labels: Sequence[str]) -> str:
    return ", ".join(f"`{label}`" for label in labels)


def _line(cells: Sequence[str]) -> str:
    return f"| {' | '.join(cells)} |"


if __name__ == "__main__":
    PAGE.write_text(reference(), encoding="utf-8")
