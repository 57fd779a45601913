"""A run of the store as lines of text: what its page has, without charts and rows."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import attrs

from penstock_batch.pipeline.loading import Pipeline
from penstock_batch.report.figures import figures_of
from penstock_batch.report.page import Table
from penstock_batch.report.tables import chosen, facts, state, tables
from penstock_batch.store.reading import StoreReader
from penstock_batch.store.samples import runs, samples
from penstock_batch.store.spent import spent_of

__all__ = ["Told", "report_lines", "text_lines"]


@attrs.frozen
class Told:
    """What is told of a run, but for charts and rows."""

    title: str
    state: str
    facts: Sequence[tuple[str, str]]
    tables: Sequence[Table]


def report_lines(pipeline: Pipeline, *, run: int | None) -> Iterator[str]:
    """The lines for the last run of a pipeline, or for the one with this number. Raises `ConfigError` if there is
    none."""
    with StoreReader(pipeline.store) as reader:
        record = chosen(runs(reader.ask), run, pipeline)
        figures = figures_of(record, samples(reader.ask, record.run))
        spent = spent_of(reader.ask).cost
    name = f"Run {record.run} of {'a pipeline' if pipeline.path is None else pipeline.path.name}"
    yield from text_lines(Told(name, state(record), facts(figures, spent), tables(record, figures)))


def text_lines(told: Told) -> Iterator[str]:
    """The lines of what is told of a run."""
    yield told.title
    yield told.state
    yield from (f"{name}: {value}" for name, value in told.facts)
    for table in told.tables:
        if table.rows:
            yield ""
            yield table.title
            yield from _aligned(table)


def _aligned(table: Table) -> Iterator[str]:
    lines = [table.heads, *table.rows] if any(table.heads) else [*table.rows]
    widths = [max(len(line[at]) for line in lines) for at in range(len(table.heads))]
    for line in lines:
        yield "  " + "  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip()
