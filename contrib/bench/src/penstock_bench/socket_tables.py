"""The results of `penstock bench sockets` for people and for programs."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import attrs

from penstock_bench.socket_cells import CONTENDERS
from penstock_bench.socket_reasons import why_not
from penstock_bench.socket_results import CellOutcome
from penstock_bench.tables import markdown_table

__all__ = ["sockets_markdown", "unexplained", "write_sockets"]


def sockets_markdown(outcomes: Sequence[CellOutcome]) -> str:
    """The table, and below it where ours is not the best and why."""
    head = ("provider", "who", "seconds (at best)", "429s", "429s per call", "fairness")
    lines = [line for outcome in outcomes for line in _lines(outcome)]
    notes = [f"- {words}: {why or 'NOT EXPLAINED'}" for _, _, words, why in _behind(outcomes)]
    return "\n".join([markdown_table(head, lines), *(["", *notes] if notes else [])])


def unexplained(outcomes: Sequence[CellOutcome]) -> list[str]:
    """Where ours is not the best, and nothing says why."""
    return [words for _, _, words, why in _behind(outcomes) if why is None]


def write_sockets(folder: Path, facts: Mapping[str, object], outcomes: Sequence[CellOutcome]) -> None:
    """Write `sockets.json`, `.csv` and `.md` into the folder, which is made if need be. Raises `OSError`."""
    folder.mkdir(parents=True, exist_ok=True)
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
    told = json.dumps({**facts, "cells": cells}, indent=2, ensure_ascii=False) + "\n"
    (folder / "sockets.json").write_text(told, encoding="utf-8")
    (folder / "sockets.csv").write_text(_csv(outcomes), encoding="utf-8")
    (folder / "sockets.md").write_text(sockets_markdown(outcomes) + "\n", encoding="utf-8")


def _csv(outcomes: Sequence[CellOutcome]) -> str:
    told = io.StringIO()
    writer = csv.writer(told, lineterminator="\n")
    writer.writerow(["cell", "contender", "round", "seconds", "refused", "fairness", "complete", "done"])
    for outcome in outcomes:
        for name, runs in outcome.runs.items():
            for number, run in enumerate(runs, 1):
                fair = "" if run.fairness is None else run.fairness
                writer.writerow(
                    [outcome.cell.name, name, number, run.seconds, run.refused, fair, run.complete, run.done]
                )
    return told.getvalue()


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
