"""The results for people and for programs: a Markdown table, CSV, and JSON."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path

from penstock_bench.records import Figure, Outcome
from penstock_bench.targets import Verdict

__all__ = ["as_csv", "as_json", "as_markdown", "markdown_table", "write_all"]

HEAD = ("row", "unit", "ours (spread)", "against", "theirs (spread)", "times", "wanted", "")


def markdown_table(head: Sequence[str], lines: Iterable[Sequence[str]]) -> str:
    """A table whose columns are lined up, so that it can also be read as it is."""
    cells = [head, *lines]
    widths = [max(3, *(len(line[at]) for line in cells)) for at in range(len(head))]
    told = [
        "| " + " | ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)) + " |" for line in cells
    ]
    told.insert(1, "|" + "|".join("-" * (width + 2) for width in widths) + "|")
    return "\n".join(told)


def as_markdown(outcomes: Sequence[Outcome], verdicts: Sequence[Verdict]) -> str:
    """The table; below it what is to be known of single rows."""
    by_row = {verdict.target.row: verdict for verdict in verdicts}
    lines = [_line(outcome, by_row.get(outcome.row)) for outcome in outcomes]
    notes = [f"- {outcome.title}: {outcome.note}" for outcome in outcomes if outcome.note]
    return "\n".join([markdown_table(HEAD, lines), *(["", *notes] if notes else [])])


def _line(outcome: Outcome, verdict: Verdict | None) -> Sequence[str]:
    wanted, met = "", ""
    if verdict is not None:
        wanted = verdict.target.words
        met = {None: "not measured", True: "met", False: "MISSED"}[verdict.met]
    ratio = "" if outcome.ratio is None else short(outcome.ratio.median)
    return (
        outcome.title,
        outcome.unit.name,
        with_spread(outcome.ours),
        outcome.against,
        "" if outcome.other is None else with_spread(outcome.other),
        ratio,
        wanted,
        met,
    )


def with_spread(figure: Figure) -> str:
    """The median, and in brackets the smallest and the largest, if there were several rounds."""
    if len(figure.values) == 1:
        return short(figure.median)
    return f"{short(figure.median)} ({short(figure.low)}–{short(figure.high)})"


def short(value: float) -> str:
    """Three digits that count, and no exponent."""
    if abs(value) >= 100:
        return f"{value:,.0f}"
    return f"{value:.2f}" if abs(value) >= 0.1 or not value else f"{value:.2g}"


def as_json(facts: Mapping[str, object], outcomes: Sequence[Outcome], verdicts: Sequence[Verdict]) -> str:
    """Everything: what it ran on, each row with the values of its rounds, and its target."""
    by_row = {verdict.target.row: verdict for verdict in verdicts}
    rows = [
        {
            "row": outcome.row,
            "title": outcome.title,
            "unit": outcome.unit.name,
            "ours": outcome.ours.as_mapping(),
            "against": outcome.against or None,
            "other": None if outcome.other is None else outcome.other.as_mapping(),
            "ratio": None if outcome.ratio is None else outcome.ratio.as_mapping(),
            "note": outcome.note or None,
            "target": _target(by_row.get(outcome.row)),
        }
        for outcome in outcomes
    ]
    return json.dumps({**facts, "rows": rows}, indent=2, ensure_ascii=False) + "\n"


def _target(verdict: Verdict | None) -> Mapping[str, object] | None:
    if verdict is None:
        return None
    target = verdict.target
    bound = {"at_least": target.at_least} if target.at_least is not None else {"at_most": target.at_most}
    return {"figure": target.figure, **bound, "source": target.source, "says": target.says, "met": verdict.met}


def as_csv(outcomes: Sequence[Outcome], verdicts: Sequence[Verdict]) -> str:
    """A line per row and figure."""
    by_row = {verdict.target.row: verdict for verdict in verdicts}
    told = io.StringIO()
    writer = csv.writer(told, lineterminator="\n")
    writer.writerow(["row", "figure", "unit", "against", "median", "low", "high", "rounds", "wanted", "met"])
    for outcome in outcomes:
        for name, unit, figure in _figures(outcome):
            verdict = by_row.get(outcome.row)
            bound = (
                ["", ""] if verdict is None or verdict.target.figure != name else [verdict.target.words, verdict.met]
            )
            spread = [figure.median, figure.low, figure.high, len(figure.values)]
            writer.writerow([outcome.row, name, unit, outcome.against, *spread, *bound])
    return told.getvalue()


def _figures(outcome: Outcome) -> Iterator[tuple[str, str, Figure]]:
    yield "ours", outcome.unit.name, outcome.ours
    if outcome.other is not None:
        yield "other", outcome.unit.name, outcome.other
    if outcome.ratio is not None:
        yield "ratio", "times", outcome.ratio


def write_all(
    folder: Path, bench: str, facts: Mapping[str, object], outcomes: Sequence[Outcome], verdicts: Sequence[Verdict]
) -> list[Path]:
    """Write `<bench>.json`, `.csv` and `.md` into the folder, which is made if need be. Raises `OSError`."""
    folder.mkdir(parents=True, exist_ok=True)
    texts = {
        "json": as_json(facts, outcomes, verdicts),
        "csv": as_csv(outcomes, verdicts),
        "md": as_markdown(outcomes, verdicts) + "\n",
    }
    paths = []
    for ending, text in texts.items():
        paths.append(folder / f"{bench}.{ending}")
        paths[-1].write_text(text, encoding="utf-8")
    return paths
