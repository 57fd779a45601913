"""The figures by which a run, or a gateway, is watched: every metric's name, kind, unit, labels and meaning.

This is the one place where they are named: the sink `otel`, a gateway's `/metrics`, the dashboards and the reference
page take them from here. Names follow OpenTelemetry's rules; where its conventions for generative AI have a metric or a
label that means the same (`gen_ai.…`, in development as of v1.42.0), that name is taken. A gateway writes
Prometheus' text format itself, and its names are those of that page.

Labels are drawn from closed sets: names that the configuration has, or that somebody listed, and words that Penstock
defines. So the number of series has a bound, whatever callers and providers say.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final, Literal

import attrs

__all__ = ["METRICS", "Metric", "MetricLabel", "Metrics"]


class MetricLabel:
    """The keys of labels, as OpenTelemetry has them."""

    PROVIDER: Final = "gen_ai.provider.name"
    MODEL: Final = "gen_ai.request.model"
    OPERATION: Final = "gen_ai.operation.name"
    """The domain of a call: `chat`, `embeddings`, `image`, `healthcheck`, or what a provider's configuration adds."""
    TOKEN: Final = "gen_ai.token.type"
    """`input` or `output`."""
    ERROR: Final = "error.type"
    """How a call ended that was no success; absent where it was."""
    GROUP: Final = "penstock.group"
    """A tenant, or a column: the group of a task or of a call."""
    TASK: Final = "penstock.task.kind"
    """`local`, `model` or `custom_model`."""
    OUTCOME: Final = "penstock.outcome"
    REASON: Final = "penstock.reason"
    """The code of a refusal; `turn` where nothing refuses but the order."""
    BY: Final = "penstock.by"
    """Who refused: `core` or a plugin."""
    RESOURCE: Final = "penstock.resource"
    """A resource of the scheduler: `submission`, `local`, and what the configuration adds."""
    EVENT: Final = "penstock.event.kind"
    PLUGIN: Final = "penstock.plugin"
    """Who was asked: a plugin by its name."""
    HOOK: Final = "penstock.hook"
    """What it was asked by: a hook, or a hook and the method of what its factory made."""


@attrs.frozen
class Metric:
    """One figure. `labels` are those of all its series; `own_labels` says whether labels of one's own come beside them.

    `unit` is by UCUM; a word in braces is a count of such things.
    """

    kind: Literal["counter", "gauge", "histogram"]
    unit: str
    what: str
    labels: tuple[str, ...] = ()
    own_labels: bool = False
    boundaries: tuple[float, ...] = ()
    """Of a histogram: the upper ends of its buckets."""

    def in_prometheus(self, name: str) -> str:
        """What the metric of this name is called where Prometheus reads it by OpenTelemetry's exporter; of a histogram,
        without `_bucket`, `_sum` or `_count`.

        >>> name = "penstock.request.wait.duration"
        >>> METRICS.of_run[name].in_prometheus(name)
        'penstock_request_wait_duration_seconds'
        """
        named = name.replace(".", "_") + ("_seconds" if self.unit == "s" else "")
        return f"{named}_total" if self.kind == "counter" else named


SECONDS: Final = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 120.0, 300.0, 600.0)
"""Calls take tens of milliseconds to minutes, waits up to many."""

_TOKENS: Final = tuple(float(4**power) for power in range(14))
"""As the conventions for generative AI say; so are the next."""
_OPERATION_SECONDS: Final = tuple(round(0.01 * 2**power, 2) for power in range(14))

_DECISION: Final = (MetricLabel.PLUGIN, MetricLabel.HOOK)
_MODEL: Final = (MetricLabel.PROVIDER, MetricLabel.MODEL, MetricLabel.OPERATION)

_OF_RUN: Final[Mapping[str, Metric]] = MappingProxyType(
    {
        "penstock.request.limit": Metric("gauge", "{request}", "Calls that may be in flight now", _MODEL),
        "penstock.request.active": Metric("gauge", "{request}", "Calls in flight", _MODEL),
        "penstock.request.waiting": Metric(
            "gauge",
            "{request}",
            "Calls that wait, by what they are refused for now, and by whom",
            (*_MODEL, MetricLabel.REASON, MetricLabel.BY),
        ),
        "penstock.request.cooldown": Metric("gauge", "s", "What is left of a cooldown", _MODEL),
        "penstock.group.request.active": Metric(
            "gauge", "{request}", "Calls in flight, by whom they are for", (MetricLabel.GROUP,)
        ),
        "penstock.group.request.waiting": Metric(
            "gauge", "{request}", "Calls that wait, by whom they are for", (MetricLabel.GROUP,)
        ),
        "penstock.task.active": Metric(
            "gauge", "{task}", "Tasks that hold a lease", (MetricLabel.TASK, MetricLabel.GROUP)
        ),
        "penstock.task.waiting": Metric(
            "gauge",
            "{task}",
            "Tasks that are ready and not started, by what they are refused for now, and by whom",
            (MetricLabel.TASK, MetricLabel.GROUP, MetricLabel.REASON, MetricLabel.BY),
        ),
        "penstock.resource.limit": Metric(
            "gauge", "{place}", "Places of a resource of the scheduler", (MetricLabel.RESOURCE,)
        ),
        "penstock.resource.active": Metric("gauge", "{place}", "Places of it that are taken", (MetricLabel.RESOURCE,)),
        "penstock.request.ended": Metric(
            "counter",
            "{request}",
            "Calls that ended, by outcome; `rate_limited` are the provider's 429s",
            (*_MODEL, MetricLabel.GROUP, MetricLabel.OUTCOME),
            own_labels=True,
        ),
        "penstock.request.refused": Metric(
            "counter",
            "{request}",
            "Calls that got no lease here, by the code of the refusal",
            (*_MODEL, MetricLabel.GROUP, MetricLabel.REASON),
            own_labels=True,
        ),
        "penstock.request.wait.duration": Metric(
            "histogram",
            "s",
            "What calls have waited, by how that ended",
            (*_MODEL, MetricLabel.GROUP, MetricLabel.OUTCOME),
            own_labels=True,
            boundaries=SECONDS,
        ),
        "gen_ai.client.operation.duration": Metric(
            "histogram",
            "s",
            "How long calls were out",
            (*_MODEL, MetricLabel.ERROR),
            boundaries=_OPERATION_SECONDS,
        ),
        "gen_ai.client.token.usage": Metric(
            "histogram",
            "{token}",
            "Tokens of a call, as its provider told them",
            (*_MODEL, MetricLabel.GROUP, MetricLabel.TOKEN),
            own_labels=True,
            boundaries=_TOKENS,
        ),
        "penstock.request.cost": Metric(
            "counter",
            "{money}",
            "What calls have cost, in the money of the models' `price`",
            (*_MODEL, MetricLabel.GROUP),
            own_labels=True,
        ),
        "penstock.task.ended": Metric(
            "counter",
            "{task}",
            "Ends of tasks and of their executions, by outcome",
            (MetricLabel.TASK, MetricLabel.GROUP, MetricLabel.EVENT, MetricLabel.OUTCOME),
            own_labels=True,
        ),
        "penstock.task.wait.duration": Metric(
            "histogram",
            "s",
            "From ready to started",
            (MetricLabel.GROUP,),
            own_labels=True,
            boundaries=SECONDS,
        ),
        "penstock.task.run.duration": Metric(
            "histogram",
            "s",
            "From started to ended",
            (MetricLabel.GROUP, MetricLabel.OUTCOME),
            own_labels=True,
            boundaries=SECONDS,
        ),
        "penstock.decision.asked": Metric(
            "counter", "{question}", "Questions to a plugin, of the decisions that are traced", _DECISION
        ),
        "penstock.decision.refused": Metric(
            "counter", "{question}", "Those of them that it answered with a refusal", _DECISION
        ),
        "penstock.decision.failed": Metric("counter", "{question}", "Those of them at which it raised", _DECISION),
        "penstock.decision.time": Metric("counter", "s", "What its answers took together", _DECISION),
        "penstock.event.dropped": Metric("counter", "{event}", "Events that never came to the sink"),
    }
)
_GATEWAY_SECONDS: Final = (0.005, 0.025, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 120.0, 300.0)

_OF_GATEWAY: Final[Mapping[str, Metric]] = MappingProxyType(
    {
        "penstock_calls_total": Metric(
            "counter",
            "",
            "Calls, by the status of their answer; 0: the client left before.",
            ("key", "model", "status"),
        ),
        "penstock_refused_total": Metric(
            "counter", "", "Calls that the gateway refused, by the code of the refusal.", ("key", "reason")
        ),
        "penstock_provider_429_total": Metric(
            "counter",
            "",
            "Calls that a provider, or one of its endpoints, refused with 429, or so in a 200.",
            ("model", "provider"),
        ),
        "penstock_tokens_total": Metric(
            "counter", "", "Tokens, as told; of a stream that broke off, by its text.", ("key", "model", "direction")
        ),
        "penstock_cost_total": Metric(
            "counter", "", "What calls have cost, in the money of the models' prices.", ("key", "model")
        ),
        "penstock_lost_log_lines_total": Metric("counter", "", "Lines of the log that were lost."),
        "penstock_connections": Metric("gauge", "", "Clients that are connected."),
        "penstock_connections_limit": Metric("gauge", "", "Clients that may be connected."),
        "penstock_in_flight": Metric("gauge", "", "Calls at providers.", ("model", "domain")),
        "penstock_limit": Metric("gauge", "", "Calls in flight that are allowed now.", ("model", "domain")),
        "penstock_waiting": Metric("gauge", "", "Calls in line.", ("model", "domain")),
        "penstock_key_waiting": Metric("gauge", "", "Calls in line, by key.", ("key",)),
        "penstock_waiting_for": Metric(
            "gauge", "", "Calls in line, by what they are refused for now, and by whom.", ("resource", "reason", "by")
        ),
        "penstock_key_used": Metric(
            "gauge", "", "Of a key's limit per day or month, what is used by now: 1 is the whole.", ("key", "quota")
        ),
        "penstock_ledger_behind_seconds": Metric(
            "gauge", "s", "The age of what was used and does not stand in the ledger yet."
        ),
        "penstock_wait_seconds": Metric(
            "histogram", "s", "What admitted calls have waited.", ("key",), boundaries=_GATEWAY_SECONDS
        ),
        "penstock_answer_seconds": Metric(
            "histogram", "s", "From admission to the end of the answer.", ("model",), boundaries=_GATEWAY_SECONDS
        ),
    }
)


@attrs.frozen
class Metrics:
    """Every metric, by name. `of_run` are those that the sink `otel` tells, `of_gateway` those at a gateway's
    `/metrics`, in the order of that page; `label` has the keys of labels.

    >>> METRICS.of_run["penstock.request.limit"].labels[0] == METRICS.label.PROVIDER
    True
    """

    of_run: Mapping[str, Metric] = _OF_RUN
    of_gateway: Mapping[str, Metric] = _OF_GATEWAY
    label: type[MetricLabel] = MetricLabel


METRICS: Final = Metrics()
