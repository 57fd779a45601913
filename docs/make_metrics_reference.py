"""The generator of `docs/reference/metrics.md` from the table of metrics: `python docs/make_metrics_reference.py`.

A test holds the file against `reference()`, so that the page cannot fall behind the code.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from penstock import METRICS

PAGE = Path(__file__).parent / "reference" / "metrics.md"

HEAD = """\
# The metrics

<!-- Written by docs/make_metrics_reference.py from core/src/penstock/words/metrics.py. Change it there. -->

Every figure by which a run, or a gateway, is watched. Dashboards and alerts that are ready:
[dashboards.md](../dashboards.md).
"""

OF_A_RUN = """\
## Of a run

By the sink `otel` ([penstock-otel](../../plugins/otel/README.md)), in any program and in `penstock run`. Counters and
gauges are observed when somebody asks for them: a gauge is true at that moment, and is there only while the run is.
`{request}` and the like are counts of such things. The name in Prometheus is that which OpenTelemetry's exporter makes.

| metric | in Prometheus | kind | unit | what it is |
|---|---|---|---|---|
"""

LABELS = """\

| metric | labels |
|---|---|
"""

MEANING = """\

In Prometheus the dots of a label are underscores: `gen_ai_request_model`. A label is there where there is something to
say: `gen_ai.request.model` not for a whole provider, `error.type` not for a success, `penstock.group` only where
`[plugins.otel] groups` lists any. *Own* are the labels that `[plugins.otel.labels]` lists, each after
`penstock.label.`. Whatever is on no list is `other`.

| label | what it is |
|---|---|
"""

OF_A_GATEWAY = """\

## Of a gateway

At `/metrics` of its admin port, as Prometheus reads it. `key` is the name of a key in the file, never the key.

| metric | kind | labels | what it is |
|---|---|---|---|
"""

WHAT_LABELS_ARE: Mapping[str, str] = {
    METRICS.label.PROVIDER: "the provider of a call, by the name that the configuration has for it",
    METRICS.label.MODEL: "the model, by its name in `[providers]` or in `model_labels`; never a raw id",
    METRICS.label.OPERATION: "the domain: `chat`, `embeddings`, `image`, `healthcheck`, or of a provider's `domains`",
    METRICS.label.TOKEN: "`input` or `output`",
    METRICS.label.ERROR: "how a call ended that was no success: `rate_limited`, `provider_timeout`, …",
    METRICS.label.GROUP: "whom it is for: a tenant, a column; one that is listed",
    METRICS.label.TASK: "`local`, `model` or `custom_model`",
    METRICS.label.OUTCOME: "how it ended: `success`, `rate_limited`, `completed`, `failed`, `queue_timeout`, …",
    METRICS.label.REASON: "why it is refused: `no_capacity`, `cooldown`, …; `turn` where nothing refuses but the order",
    METRICS.label.BY: "who refuses it: `core`, or a plugin by its name",
    METRICS.label.RESOURCE: "a resource of the scheduler: `submission`, `local`, or one of `[scheduler.resources]`",
    METRICS.label.EVENT: "the kind of an event",
    METRICS.label.PLUGIN: "who was asked: a plugin by its name",
    METRICS.label.HOOK: "what it was asked by: a hook, or a hook and the method of what its factory made",
}


def reference() -> str:
    """The text of the page."""
    return "".join(
        [
            HEAD,
            "\n",
            OF_A_RUN,
            *(f"{line}\n" for line in _run()),
            LABELS,
            *(f"| `{name}` | {_labels(metric)} |\n" for name, metric in METRICS.of_run.items()),
            MEANING,
            *(f"| `{label}` | {what} |\n" for label, what in WHAT_LABELS_ARE.items()),
            OF_A_GATEWAY,
            *(f"| `{n}` | {m.kind} | {_labels(m)} | {_sentence(m)} |\n" for n, m in METRICS.of_gateway.items()),
        ]
    )


def _run() -> Iterator[str]:
    for name, metric in METRICS.of_run.items():
        yield f"| `{name}` | `{metric.in_prometheus(name)}` | {metric.kind} | {_unit(metric)} | {_sentence(metric)} |"


def _unit(metric: Any) -> str:
    return f"`{metric.unit}`"


def _labels(metric: Any) -> str:
    return ", ".join([*(f"`{label}`" for label in metric.labels), *(["*own*"] if metric.own_labels else [])])


def _sentence(metric: Any) -> str:
    return metric.what.rstrip(".")


if __name__ == "__main__":
    PAGE.write_text(reference(), encoding="utf-8")
