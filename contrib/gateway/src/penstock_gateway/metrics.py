"""What a gateway counts, as Prometheus reads it (text format 0.0.4). Pure.

Labels are names of the configuration and statuses alone: what clients send makes no new series.
"""

from __future__ import annotations

from bisect import bisect_left
from collections import Counter
from collections.abc import Iterable, Mapping
from typing import Final

import attrs

__all__ = ["BUCKETS", "Histogram", "Metrics"]

BUCKETS: Final = (0.005, 0.025, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 120.0, 300.0)
"""Seconds."""

Labels = tuple[tuple[str, str], ...]


@attrs.define
class Histogram:
    """How many values are at most as large as each bucket, and their sum."""

    counts: list[int] = attrs.field(factory=lambda: [0] * (len(BUCKETS) + 1))
    total: float = 0.0

    def add(self, value: float) -> None:
        """Count a value."""
        self.counts[bisect_left(BUCKETS, value)] += 1
        self.total += value


@attrs.define(eq=False)
class Metrics:
    """The counts of one gateway."""

    calls: Counter[tuple[str, str, int]] = attrs.field(factory=Counter)
    """By key, model and status; 0: the client left."""
    refused: Counter[tuple[str, str]] = attrs.field(factory=Counter)
    """Refused by the gateway itself, by key and reason."""
    limited: Counter[str] = attrs.field(factory=Counter)
    """Answered with 429 by the provider, by model."""
    tokens: Counter[tuple[str, str, str]] = attrs.field(factory=Counter)
    """By key, model and direction, as providers told."""
    waits: dict[str, Histogram] = attrs.field(factory=dict)
    """By key, in seconds, of calls that were admitted."""
    latencies: dict[str, Histogram] = attrs.field(factory=dict)
    """By model, in seconds from admission to the end of the answer."""
    lost_lines: int = 0
    """Of the log, for want of a reader."""

    def waited(self, key: str, seconds: float) -> None:
        """A call was admitted."""
        self.waits.setdefault(key, Histogram()).add(seconds)

    def answered(self, model: str, seconds: float) -> None:
        """A call has ended at its provider."""
        self.latencies.setdefault(model, Histogram()).add(seconds)

    def text(self, gauges: Mapping[str, tuple[str, Mapping[Labels, float]]]) -> str:
        """The page. `gauges` are what is true now: name to (what it is, labels to figure)."""
        lines: list[str] = []
        for name, what, series in (
            ("penstock_calls_total", "Calls by status; 0: the client left.", _calls(self.calls)),
            ("penstock_refused_total", "Calls that the gateway refused.", _pairs(self.refused, "key", "reason")),
            (
                "penstock_provider_429_total",
                "Calls that the provider refused with 429.",
                [((("model", model),), count) for model, count in self.limited.items()],
            ),
            ("penstock_tokens_total", "Tokens, as providers told.", _tokens(self.tokens)),
            ("penstock_lost_log_lines_total", "Lines of the log that were lost.", [((), self.lost_lines)]),
        ):
            lines += _family(name, "counter", what, series)
        for name, (what, figures) in gauges.items():
            lines += _family(name, "gauge", what, figures.items())
        lines += _histograms("penstock_wait_seconds", "Wait of admitted calls.", "key", self.waits)
        lines += _histograms("penstock_answer_seconds", "From admission to the answer's end.", "model", self.latencies)
        return "\n".join(lines) + "\n"


def _calls(calls: Counter[tuple[str, str, int]]) -> list[tuple[Labels, float]]:
    return [
        ((("key", key), ("model", model), ("status", str(status))), count)
        for (key, model, status), count in calls.items()
    ]


def _tokens(tokens: Counter[tuple[str, str, str]]) -> list[tuple[Labels, float]]:
    return [
        ((("key", key), ("model", model), ("direction", direction)), count)
        for (key, model, direction), count in tokens.items()
    ]


def _pairs(counts: Counter[tuple[str, str]], first: str, second: str) -> list[tuple[Labels, float]]:
    return [(((first, one), (second, two)), count) for (one, two), count in counts.items()]


def _family(name: str, kind: str, what: str, series: Iterable[tuple[Labels, float]]) -> list[str]:
    return [f"# HELP {name} {what}", f"# TYPE {name} {kind}"] + [
        f"{name}{_written(labels)} {figure}" for labels, figure in series
    ]


def _histograms(name: str, what: str, label: str, those: Mapping[str, Histogram]) -> list[str]:
    lines = [f"# HELP {name} {what}", f"# TYPE {name} histogram"]
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
