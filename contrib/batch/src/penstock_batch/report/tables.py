"""A run of the store in tables: its state in a line, its facts, and what was done, waited for and reached."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime

from penstock import AsyncCapacityPlan, ConfigError, Problem
from penstock_batch.pipeline.loading import Pipeline
from penstock_batch.report.figures import RunFigures
from penstock_batch.report.page import Table
from penstock_batch.store.samples import RunRecord
from penstock_batch.words.amounts import duration, money

__all__ = ["chosen", "facts", "state", "tables"]


def chosen(records: Sequence[RunRecord], run: int | None, pipeline: Pipeline) -> RunRecord:
    """The last run of these, or the one with this number. Raises `ConfigError` if there is none."""
    if not records:
        what = "holds no run yet; penstock run keeps what a report is made of"
        raise ConfigError(Problem((), what, str(pipeline.store)))
    if run is None:
        return records[-1]
    found = next((record for record in records if record.run == run), None)
    if found is None:
        numbers = ", ".join(str(record.run) for record in records[-10:])
        raise ConfigError(Problem((), f"has no run {run}; there are {numbers}", str(pipeline.store)))
    return found


def state(record: RunRecord) -> str:
    """When it began, and whether it has ended."""
    began = f"{datetime.fromtimestamp(record.started, UTC):%Y-%m-%d %H:%M:%S} UTC"
    if record.ended is None:
        return f"Began {began}, and has not ended: it goes on, or was killed."
    return f"Began {began}, and ended after {duration(record.ended - record.started)}."


def facts(figures: RunFigures, spent: float) -> list[tuple[str, str]]:
    """The few figures that come first; `spent` is what all runs have cost."""
    found = [
        ("rows", f"{figures.rows:,}"),
        ("rows done", f"{figures.rows_done:,}"),
        ("rows failed", f"{figures.rows_failed:,}"),
        ("time", duration(figures.seconds)),
    ]
    if figures.cost is not None:
        found += [("cost", money(figures.cost)), ("cost of all runs", money(spent))]
    return found


def tables(record: RunRecord, figures: RunFigures) -> list[Table]:
    """What was done by which step and model, what the run waited for, what limited it, why rows failed."""
    whole = sum(figures.limits.values()) or 1.0
    limits = sorted(figures.limits.items(), key=lambda pair: -pair[1])
    models = [
        [
            name,
            f"{model.calls:,}",
            f"{model.limited:,}",
            f"{model.failed:,}",
            f"{model.input_tokens:,}",
            f"{model.output_tokens:,}",
            _money(model.cost),
        ]
        for name, model in figures.models.items()
    ]
    steps = []
    for name, step in figures.steps.items():
        wait = figures.waits[name]
        each = step.cost / step.done if step.cost and step.done else None
        steps.append(
            [
                name,
                *(f"{count:,}" for count in (step.kept, step.empty, step.done, step.failed)),
                _money(step.cost),
                _money(each),
                "" if wait.seconds is None else duration(wait.seconds),
                f"{wait.most:,}",
            ]
        )
    return [
        Table(
            "steps", "Steps", ["step", "kept", "empty", "done", "failed", "cost", "each", "wait", "most waiting"], steps
        ),
        Table("models", "Models", ["model", "calls", "429s", "failed", "tokens in", "tokens out", "cost"], models),
        Table(
            "limited",
            "What the run waited for",
            ["", "time", "share"],
            [[what, duration(seconds), f"{seconds / whole:.0%}"] for what, seconds in limits if seconds >= whole / 200],
        ),
        *_capacity(record.capacity),
        Table(
            "failures",
            "Failures",
            ["reason", "rows"],
            [[why, f"{count:,}"] for why, count in sorted(record.failures.items(), key=lambda pair: -pair[1])],
        ),
    ]


def _capacity(plan: AsyncCapacityPlan | None) -> list[Table]:
    """What limited the run: the parts of its capacity plan, which do not mix. Charts show the moments."""
    if plan is None:
        return []
    sections = plan.sections()
    most, told = "the most at once so far", "not known"
    return [
        Table("reached", "Limits that were reached", ["", "the most"], [[a, b] for a, b, _ in sections["reached"]]),
        Table("configured", "What was configured", ["", "", "by"], sections["configured"]),
        Table("most", "The most at once", ["", "the most"], [[a, b] for a, b, _ in sections[most]]),
        Table("unknown", "Limits that are not known", ["", "why"], [[a, b] for a, b, _ in sections[told]]),
    ]


def _money(amount: float | None) -> str:
    return "" if amount is None else money(amount)
