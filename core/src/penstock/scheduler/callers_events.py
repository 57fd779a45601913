"""Events that callers put into the scheduler stream: checked, since any sink must be able to write them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from penstock.events.correlation import RuntimeCorrelation
from penstock.events.records import SCHEDULER_EVENT_KINDS, EventStream, json_safe
from penstock.words.checks import a_name, an_instance, shown
from penstock.words.errors import ConfigError
from penstock.words.labels import labels_of

__all__ = ["record_callers_event"]


def record_callers_event(
    stream: EventStream,
    kind: str,
    now: float,
    correlation: RuntimeCorrelation | None,
    words: Mapping[str, str | None],
    snapshot: Mapping[str, Any] | None,
    diagnostics: Mapping[str, Any] | None,
    labels: Mapping[str, str] | None,
) -> None:
    """Record one event; `words` are its fields that are text. Raises `ConfigError` for a kind that there is not, or for
    what cannot be written as JSON.
    """
    if kind not in tuple(SCHEDULER_EVENT_KINDS):
        raise ConfigError(f"the scheduler stream has no event kind {shown(kind)}")
    for name, word in words.items():
        if word is not None:
            a_name(word, name)
    if correlation is not None:
        an_instance(correlation, RuntimeCorrelation, "correlation").check()
    stream.record(
        kind,
        now,
        correlation=correlation,
        snapshot=json_safe(snapshot, "snapshot"),
        diagnostics=json_safe(diagnostics, "diagnostics"),
        labels=labels_of(labels),
        **words,
    )
    stream.deliver()
