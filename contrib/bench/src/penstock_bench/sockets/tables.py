"""The results of `penstock bench sockets` for people and for programs."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

import attrs

from penstock_bench.reporting.tables import csv_text, json_text, markdown_table, with_notes
from penstock_bench.sockets.cells import CONTENDERS
from penstock_bench.sockets.reasons import why_not
from penstock_bench.sockets.results import CellOutcome

__all__ = ["sockets_csv", "sockets_json", "sockets_markdown", "unexplained"]


def sockets_markdown(outcomes: Sequence[CellOutcome]) -> str:
    """The table, and below it where ours is not the best and why."""
    head = ("provider", "who", "seconds (at best)", "429s", "429s per call", "fairness")
    lines = [line for outcome in outcomes for line in _lines(outcome)]
    notes = (f"{words}: {why or 'NOT EXPLAINED'}" for _, _, words, why in _behind(outcomes))
    return with_notes(markdown_table(head, lines), notes)


def unexplained(outcomes: Sequence[CellOutcome]) -> list[str]:
    """Where ours is not the best, and nothing says why."""
    return [words for _, _, words, why in _behind(outcomes) if why is None]


def sockets_json(facts: Mapping[str, object], outcomes: Sequence[CellOutcome]) -> str:
    """Everything: the runs of each contender, and where ours is behind."""
    cells = [
        {
            "cell": outcome.cell.name,
            "title": outcome.cell.title,
            "least_seconds": outcome.cell.least_seconds,
            "runs": {name: [attrs.asdict(run) for run in runs] for name, runs in outcome.runs.items()},
            "behind": [
                {"figure": figure, "contender": contender, "says": words, "why": why}
                for figure, contender, words, why in _behind([outcome])
            ],
        }
        for outcome in outcomes
    ]
    return json_text({**facts, "cells": cells})


def sockets_csv(outcomes: Sequence[CellOutcome]) -> str:
    """A line per cell, contender and round."""
    head = ("cell", "contender", "round", "seconds", "refused", "fairness", "complete", "done")
    return csv_text(head, (line for outcome in outcomes for line in _rounds(outcome)))


def _rounds(outcome: CellOutcome) -> Iterator[Sequence[object]]:
    for name, runs in outcome.runs.items():
        for number, run in enumerate(runs, 1):
            fair = "" if run.fairness is None else run.fairness
            yield outcome.cell.name, name, number, run.seconds, run.refused, fair, run.complete, run.done


def _lines(outcome: CellOutcome) -> Iterator[Sequence[str]]:
    for number, name in enumerate(outcome.runs):
        seconds, fair = outcome.seconds(name), outcome.fairness(name)
        taken = f"only {outcome.done(name):.0f} calls" if seconds is None else f"{seconds:.1f}"
        yield (
            "" if number else outcome.cell.title,
            CONTENDERS[name],
            taken if number else f"{taken} ({outcome.cell.least_seconds:.1f})",
            f"{outcome.refused(name):.0f}",
            f"{outcome.refused(name) / outcome.cell.calls:.3f}",
            "" if fair is None else f"{fair:.2f}",
        )


def _behind(outcomes: Sequence[CellOutcome]) -> Iterator[tuple[str, str, str, str | None]]:
    for outcome in outcomes:
        for figure, contender, words in outcome.better():
            yield figure, contender, words, why_not(outcome, figure, contender)
