"""The outcomes of rows for people and for programs: a Markdown table, CSV, and JSON."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from penstock_bench.measuring.records import Figure, Outcome
from penstock_bench.reporting.tables import csv_text, json_text, markdown_table, with_notes
from penstock_bench.reporting.targets import Verdict

__all__ = ["as_csv", "as_json", "as_markdown", "short"]

HEAD = ("row", "unit", "ours (spread)", "against", "theirs (spread)", "times", "wanted", "")


def as_markdown(outcomes: Sequence[Outcome], verdicts: Sequence[Verdict]) -> str:
    """The table; below it what is to be known of single rows."""
    by_row = _by_row(verdicts)
    table = markdown_table(HEAD, (_line(outcome, by_row.get(outcome.row)) for outcome in outcomes))
    return with_notes(table, (f"{outcome.title}: {outcome.note}" for outcome in outcomes if outcome.note))


def _by_row(verdicts: Sequence[Verdict]) -> Mapping[str, Verdict]:
    return {verdict.target.row: verdict for verdict in verdicts}


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
    """Three significant digits, and no exponent."""
    if abs(value) >= 100:
        return f"{value:,.0f}"
    return f"{value:.2f}" if abs(value) >= 0.1 or not value else f"{value:.2g}"


def as_json(facts: Mapping[str, object], outcomes: Sequence[Outcome], verdicts: Sequence[Verdict]) -> str:
    """Everything: what it ran on, each row with the values of its rounds, and its target."""
    by_row = _by_row(verdicts)
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
    return json_text({**facts, "rows": rows})


def _target(verdict: Verdict | None) -> Mapping[str, object] | None:
    if verdict is None:
        return None
    target = verdict.target
    bound = {"at_least": target.at_least} if target.at_least is not None else {"at_most": target.at_most}
    return {"figure": target.figure, **bound, "source": target.source, "says": target.says, "met": verdict.met}


def as_csv(outcomes: Sequence[Outcome], verdicts: Sequence[Verdict]) -> str:
    """A line per row and figure."""
    by_row = _by_row(verdicts)
    head = ("row", "figure", "unit", "against", "median", "low", "high", "rounds", "wanted", "met")
    return csv_text(head, (line for outcome in outcomes for line in _figures(outcome, by_row.get(outcome.row))))


def _figures(outcome: Outcome, verdict: Verdict | None) -> Iterator[Sequence[object]]:
    for name, unit, figure in (
        ("ours", outcome.unit.name, outcome.ours),
        ("other", outcome.unit.name, outcome.other),
        ("ratio", "times", outcome.ratio),
    ):
        if figure is None:
            continue
        wanted: tuple[object, object] = ("", "")
        if verdict is not None and verdict.target.figure == name:
            wanted = (verdict.target.words, verdict.met)
        spread = (figure.median, figure.low, figure.high, len(figure.values))
        yield (outcome.row, name, unit, outcome.against, *spread, *wanted)
