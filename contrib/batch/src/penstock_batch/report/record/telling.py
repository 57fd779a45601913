"""What is told of a run from its record of events: in what state it is, and tables of what calls and tasks did."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC
from pathlib import Path
from typing import Final, TypeVar

import attrs

from penstock import ConfigError, Problem, printable
from penstock_batch.report.figures import RunFigures, figures_of
from penstock_batch.report.page import Table
from penstock_batch.report.record.events import RecordFiles
from penstock_batch.report.record.run import CallCounts, Durations, RecordedRun, TaskCounts
from penstock_batch.report.text import Told
from penstock_batch.store.samples import RunRecord
from penstock_batch.words.amounts import counted, duration

__all__ = ["ToldRun", "told_by"]

T = TypeVar("T", CallCounts, TaskCounts)

LAYERS: Final[Mapping[str, str]] = {
    "dependencies": "tasks that others depend on",
    "queue_order": "the task gate at its work",
    "task_capacity": "places of the task gate",
    "request_wait": "limits of calls",
    "cooldown": "cooldowns and back-off",
    "provider": "answers of providers",
    "after": "what tasks do beside their calls",
}


@attrs.frozen
class ToldRun(Told):
    """The same, with the run's figures for charts."""

    figures: RunFigures


def told_by(paths: Sequence[Path], *, run: int | None) -> ToldRun:
    """What is told of the last run in these files, or of the one with this number, from 1. Raises `ConfigError` if they
    have none.
    """
    files = RecordFiles(paths)
    chosen, number = _chosen(files, run, paths)
    chosen.finish()
    samples = [attrs.evolve(each, limited_by=LAYERS.get(each.limited_by, "")) for each in chosen.samples]
    limits = {LAYERS[layer]: seconds for layer, seconds in chosen.view.what_limited().items() if seconds > 0}
    record = RunRecord(run=number, started=0.0, ended=chosen.seconds, limits=limits)
    name = f"run {chosen.run_id}" if chosen.run_id is not None else "a run without a name"
    return ToldRun(
        title=printable(f"Report of {name}"),
        state=printable(" ".join([_state(chosen), *_missing(chosen), *files.notes()])),
        facts=_facts(chosen),
        tables=_tables(chosen, limits),
        figures=figures_of(record, samples),
    )


def _chosen(files: RecordFiles, wanted: int | None, paths: Sequence[Path]) -> tuple[RecordedRun, int]:
    """The run, and its number. Only the one that is wanted is kept."""
    number, current, kept = 1, RecordedRun(), None
    for event in files.events():
        if not current.goes_on_with(event):
            if number == wanted:
                kept = current
            number, current = number + 1, RecordedRun()
        current.add(event)
    if wanted is None or wanted == number:
        return current, number
    if kept is None:
        what = f"has no run {wanted}; it has {counted(number, 'run')}"
        raise ConfigError(Problem((), what, ", ".join(map(str, paths))))
    return kept, wanted


def _state(run: RecordedRun) -> str:
    took = duration(run.seconds)
    if run.wall is None:
        began = "When it began is not told by its record, which lacks its start or is of an earlier version."
    else:
        try:
            began = f"Began {run.wall.astimezone(UTC):%Y-%m-%d %H:%M:%S} UTC."
        except (OverflowError, ValueError):
            began = "Its record tells a time of day that there is not."
    ended = f"Ended after {took}." if run.ended else f"Its end is not in the record; the last event came after {took}."
    return f"{began} {ended}"


def _missing(run: RecordedRun) -> Iterator[str]:
    if run.missing:
        yield f"{counted(run.missing, 'event')} were dropped, so figures are only about right."
    if not run.started:
        yield "The start of the run is not in the record."
    unknown = sum(run.unknown.values())
    if unknown:
        names = ", ".join(sorted(repr(kind[:60]) for kind in run.unknown)[:5])
        yield f"{counted(unknown, 'event')} mean something that this version does not know: {names}."


def _facts(run: RecordedRun) -> list[tuple[str, str]]:
    calls, limited = (sum(getattr(each, name) for each in run.models.values()) for name in ("calls", "limited"))
    facts = [("time", duration(run.seconds)), ("events", f"{run.events:,}")]
    facts += [(f"tasks {outcome}", f"{count:,}") for outcome, count in run.outcomes.most_common(6)]
    if calls:
        facts += [("calls", f"{calls:,}"), ("429s", f"{limited:,} ({limited / calls:.1%})")]
    return facts


def _tables(run: RecordedRun, limits: Mapping[str, float]) -> list[Table]:
    whole = sum(limits.values()) or 1.0
    heads = ["calls", "429s", "failed", "refused", "tokens in", "tokens out", "wait p95", "time p95"]
    return [
        Table("models", "Calls by model", ["model", *heads], _calls(run.models)),
        Table("tenants", "Calls by whom they are for", ["for", *heads], _calls(run.tenants)),
        Table(
            "groups",
            "Tasks by group",
            ["group", "done", "failed", "wait p95", "time p95"],
            [
                [printable(name), f"{t.done:,}", f"{t.failed:,}", _p95(t.waits), _p95(t.took)]
                for name, t in _busiest(run.groups)
            ],
        ),
        Table(
            "limited",
            "What the run waited for",
            ["", "time", "share"],
            [
                [what, duration(seconds), f"{seconds / whole:.0%}"]
                for what, seconds in sorted(limits.items(), key=lambda pair: -pair[1])
            ],
        ),
        Table(
            "plugins",
            "Errors of plugins",
            ["plugin and hook", "errors"],
            [[printable(name), f"{count:,}"] for name, count in run.plugin_errors.most_common()],
        ),
    ]


def _calls(those: Mapping[str, CallCounts]) -> list[list[str]]:
    return [
        [
            printable(name),
            *(f"{count:,}" for count in (each.calls, each.limited, each.failed, each.refused)),
            *(f"{count:,}" for count in (each.input_tokens, each.output_tokens)),
            _p95(each.waits),
            _p95(each.took),
        ]
        for name, each in _busiest(those)
    ]


def _busiest(those: Mapping[str, T]) -> list[tuple[str, T]]:
    return sorted(those.items(), key=lambda pair: (-pair[1].took.count, pair[0]))


def _p95(durations: Durations) -> str:
    found = durations.quantile(0.95)
    return "" if found is None else duration(found)
