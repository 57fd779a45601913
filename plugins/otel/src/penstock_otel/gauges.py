"""What is true of a run now, as figures by their labels: limits, what is in flight, who waits and for what."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from typing import Final

from penstock import METRICS, HookFigures, RunFigures
from penstock_otel.labels import Labels, Pairs

__all__ = ["DECISIONS", "GAUGES", "Gauges", "decisions_of", "gauges_of", "join"]

GAUGES: Final = tuple(name for name, metric in METRICS.of_run.items() if metric.kind == "gauge")
"""Their names."""

DECISIONS: Final = tuple(name for name in METRICS.of_run if name.startswith("penstock.decision."))
"""The counters that a run has the figures of, while it is under way and when it is over."""

COOLDOWN: Final = "penstock.request.cooldown"

Gauges = dict[str, dict[Pairs, float]]
"""Name to labels to figure."""


def gauges_of(figures: RunFigures, labels: Labels) -> Gauges:
    """The gauges of a run by name; series that have the same labels are one, and their figures added up."""
    found: Gauges = defaultdict(lambda: defaultdict(float))
    for tasks in figures.tasks:
        whose = labels.task(tasks.kind) + labels.of_group(tasks.group)
        found["penstock.task.active"][whose] += tasks.active
        for why in tasks.waits_for:
            because = labels.reason(why.reason) + labels.by(why.by)
            found["penstock.task.waiting"][whose + because] += why.waiting
    for calls in figures.calls:
        model = labels.model(f"{calls.provider}/{calls.model}/{calls.domain}")
        found["penstock.request.active"][model] += calls.active
        if calls.limit is not None:
            found["penstock.request.limit"][model] += calls.limit
        cooldown = found[COOLDOWN]
        cooldown[model] = max(cooldown[model], calls.cooldown)
        for why in calls.waits_for:
            because = labels.reason(why.reason) + labels.by(why.by)
            found["penstock.request.waiting"][model + because] += why.waiting
    for tenant in figures.tenants:
        whose = labels.of_group(tenant.group)
        found["penstock.group.request.active"][whose] += tenant.active
        found["penstock.group.request.waiting"][whose] += tenant.waiting
    for name, (taken, limit) in figures.resources.items():
        resource: Pairs = ((METRICS.label.RESOURCE, name),)
        found["penstock.resource.active"][resource] += taken
        found["penstock.resource.limit"][resource] += limit
    join(found, decisions_of(figures.decisions, labels))
    return found


def decisions_of(asked: Iterable[HookFigures], labels: Labels) -> Gauges:
    """What plugins were asked so far in a run, as far as decisions are traced, and what became of it."""
    found: Gauges = {name: defaultdict(float) for name in DECISIONS}
    for each in asked:
        whose = labels.decision(each.plugin, each.hook)
        found["penstock.decision.asked"][whose] += each.questions
        found["penstock.decision.refused"][whose] += each.refusals
        found["penstock.decision.failed"][whose] += each.errors
        found["penstock.decision.time"][whose] += each.seconds
    return found


def join(gauges: Gauges, more: Gauges) -> None:
    """Add the gauges of another run: of cooldowns the longest counts, all else is added up."""
    for name, series in more.items():
        joined = gauges.setdefault(name, {})
        for labels, figure in series.items():
            before = joined.get(labels, 0.0)
            joined[labels] = max(before, figure) if name == COOLDOWN else before + figure
