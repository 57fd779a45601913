"""A run's page, from its store: the figures as tables and charts, and a sample of its rows."""

from __future__ import annotations

from collections.abc import Callable

from penstock_batch.pipeline.loading import Pipeline
from penstock_batch.report.charts import charts, scripts
from penstock_batch.report.figures import figures_of
from penstock_batch.report.page import Chart, Table, page
from penstock_batch.report.rows import row_views
from penstock_batch.report.tables import chosen, facts, state, tables
from penstock_batch.store.reading import StoreReader
from penstock_batch.store.samples import runs, samples
from penstock_batch.store.spent import spent_of
from penstock_batch.words.amounts import counted

__all__ = ["report_page"]


def report_page(pipeline: Pipeline, *, run: int | None, rows: int) -> bytes:
    """The page of the last run of a pipeline, or of the one with this number. Raises `ConfigError` if there is none."""
    with StoreReader(pipeline.store) as reader:
        record = chosen(runs(reader.ask), run, pipeline)
        figures = figures_of(record, samples(reader.ask, record.run))
        views = row_views(pipeline, reader, rows)
        spent = spent_of(reader.ask).cost
    clean = pipeline.secrets.text
    name = "a pipeline" if pipeline.path is None else pipeline.path.name
    return page(
        title=clean(f"Run {record.run} of {name}"),
        state=state(record),
        facts=facts(figures, spent),
        tables=[_with(table, clean) for table in tables(record, figures)],
        charts=[Chart(name, title, spec) for name, (title, spec) in charts(figures).items()],
        rows=views,
        rows_word=f"{len(views):,} {_of_what(pipeline)} as they stand now, failed ones first to be chosen",
        scripts=scripts(),
    )


def _of_what(pipeline: Pipeline) -> str:
    stages = len(pipeline.stages)
    return (
        f"of {counted(pipeline.facts.rows, 'row')}" if stages == 1 else f"rows of the {stages} stages, as many of each,"
    )


def _with(table: Table, clean: Callable[[str], str]) -> Table:
    return Table(table.name, table.title, table.heads, [[clean(cell) for cell in row] for row in table.rows])
