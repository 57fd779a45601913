"""What a gateway counts, as Prometheus reads it (text format 0.0.4). Pure. The names are the core's."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from functools import partial
from typing import Any

import attrs

from penstock import METRICS
from penstock_gateway.histogram import BUCKETS, Histogram

__all__ = ["Labels", "Metrics"]

Labels = tuple[tuple[str, str], ...]


@attrs.define(eq=False)
class Metrics:
    """The counts of one gateway. What was never counted is 0, or empty."""

    # None is a `Counter`, which has a method of its own to delete: so each write to one goes by a look-up of methods.
    calls: defaultdict[tuple[str, str, int], int] = attrs.field(factory=partial(defaultdict, int))
    """By key, model and status; 0: the client left."""
    refused: defaultdict[tuple[str, str], int] = attrs.field(factory=partial(defaultdict, int))
    """Refused by the gateway itself, by key and reason."""
    limited: defaultdict[tuple[str, str], int] = attrs.field(factory=partial(defaultdict, int))
    """Answered with 429, by model and by who did: of several endpoints, which."""
    tokens: defaultdict[tuple[str, str, str], int] = attrs.field(factory=partial(defaultdict, int))
    """By key, model and direction, as providers told."""
    cost: defaultdict[tuple[str, str], float] = attrs.field(factory=partial(defaultdict, float))
    """By key and model, in the money of the models' prices."""
    waits: defaultdict[str, Histogram] = attrs.field(factory=partial(defaultdict, Histogram))
    """By key, in seconds, of calls that were admitted."""
    latencies: defaultdict[str, Histogram] = attrs.field(factory=partial(defaultdict, Histogram))
    """By model, in seconds from admission to the end of the answer."""
    lost_lines: int = 0
    """Of the log, for want of a reader."""

    def text(self, gauges: Mapping[str, Mapping[Labels, float]]) -> str:
        """The page. `gauges` are what is true now: name to labels to figure."""
        series: dict[str, Mapping[Labels, float]] = {
            "penstock_calls_total": _labelled("penstock_calls_total", self.calls),
            "penstock_refused_total": _labelled("penstock_refused_total", self.refused),
            "penstock_provider_429_total": _labelled("penstock_provider_429_total", self.limited),
            "penstock_tokens_total": _labelled("penstock_tokens_total", self.tokens),
            "penstock_cost_total": _labelled("penstock_cost_total", self.cost),
            "penstock_lost_log_lines_total": {(): self.lost_lines},
            **gauges,
        }
        histograms = {"penstock_wait_seconds": self.waits, "penstock_answer_seconds": self.latencies}
        lines: list[str] = []
        for name, metric in METRICS.of_gateway.items():
            if name not in series and name not in histograms:
                continue
            lines += (f"# HELP {name} {metric.what}", f"# TYPE {name} {metric.kind}")
            if name in histograms:
                lines += _histogram(name, metric.labels[0], histograms[name])
            else:
                lines += [f"{name}{_written(labels)} {figure}" for labels, figure in series[name].items()]
        return "\n".join(lines) + "\n"


def _labelled(name: str, counts: Mapping[Any, float]) -> dict[Labels, float]:
    names = METRICS.of_gateway[name].labels
    return {tuple(zip(names, map(str, values), strict=True)): count for values, count in counts.items()}


def _histogram(name: str, label: str, those: Mapping[str, Histogram]) -> list[str]:
    lines = []
    for value, histogram in those.items():
        below = 0
        for bound, count in zip((*BUCKETS, float("inf")), histogram.counts, strict=True):
            below += count
            edge = "+Inf" if bound == float("inf") else f"{bound:g}"
            lines.append(f"{name}_bucket{_written(((label, value), ('le', edge)))} {below}")
        lines.append(f"{name}_sum{_written(((label, value),))} {histogram.total:.6f}")
        lines.append(f"{name}_count{_written(((label, value),))} {below}")
    return lines


def _written(labels: Labels) -> str:
    if not labels:
        return ""
    quoted = (
        '{}="{}"'.format(name, value.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n"))
        for name, value in labels
    )
    return "{" + ",".join(quoted) + "}"
