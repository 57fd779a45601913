"""Rounds: every row once per round, and within a row the other side right before ours, so that both meet the
same machine.
"""

from __future__ import annotations

import gc
from collections.abc import Callable, Sequence

import attrs

from penstock_bench.measuring.records import Figure, Outcome, Sample
from penstock_bench.measuring.rows import Competitor, Local, MeasuresCompetitor, Row

__all__ = ["run_rounds"]


@attrs.define
class _Kept:
    """The samples of one row so far."""

    row: Row
    ours: list[Sample] = attrs.field(factory=list)
    others: list[Sample] = attrs.field(factory=list)
    ratios: list[float] = attrs.field(factory=list)


def run_rounds(
    rows: Sequence[Row],
    rounds: int,
    competitor: MeasuresCompetitor | None,
    announce: Callable[[str], None] = lambda _: None,
) -> list[Outcome]:
    """The outcome of every row; without `competitor`, rows that are held against it are measured alone.

    Where the other side was cut by its time, ours is compared over the same first units; if it had done none by then,
    there is nothing to compare with.
    """
    kept = [_Kept(row) for row in rows]
    for number in range(1, rounds + 1):
        for each in kept:
            if each.row.rounds is None or number <= each.row.rounds:
                announce(f"round {number} of {rounds}: {each.row.title}")
                _measure(each, competitor)
    return [_outcome(each, competitor) for each in kept]


def _measure(kept: _Kept, competitor: MeasuresCompetitor | None) -> None:
    other = _other(kept.row, competitor)
    mark = other.units if other is not None and not other.complete else None
    gc.collect()
    ours = kept.row.ours(mark)
    kept.ours.append(ours)
    if other is not None:
        kept.others.append(other)
        if other.units:
            compared = ours if mark is None else ours.first(mark)
            kept.ratios.append(other.cost / compared.cost)


def _other(row: Row, competitor: MeasuresCompetitor | None) -> Sample | None:
    if isinstance(row.other, Local):
        gc.collect()
        return row.other.measure(None)
    if isinstance(row.other, Competitor) and competitor is not None:
        return competitor.measure(row.other.cell, row.other.parameters)
    return None


def _outcome(kept: _Kept, competitor: MeasuresCompetitor | None) -> Outcome:
    row = kept.row
    ours = Figure.of([sample.cost for sample in kept.ours], row.unit.show)
    assert ours is not None
    against = ""
    if isinstance(row.other, Local):
        against = row.other.name
    elif isinstance(row.other, Competitor) and competitor is not None:
        against = competitor.name
    return Outcome(
        row=row.name,
        title=row.title,
        unit=row.unit,
        ours=ours,
        against=against,
        other=Figure.of([sample.cost for sample in kept.others if sample.units], row.unit.show),
        ratio=Figure.of(kept.ratios),
        note=_note(kept),
        capacity=kept.ours[-1].capacity,
    )


def _note(kept: _Kept) -> str:
    cut = [sample for sample in kept.others if not sample.complete]
    if not cut:
        return ""
    fewest = min(sample.units for sample in cut)
    if not fewest:
        return "the other side had done nothing when its time was up"
    return f"the other side had done {fewest:,} when its time was up, and ours is compared over as many"
