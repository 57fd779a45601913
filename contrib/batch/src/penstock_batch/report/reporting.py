"""A run's page, from its store: the figures as tables and charts, and a sample of its rows."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime

from penstock import ConfigError, Problem
from penstock_batch.pipeline.loading import Pipeline
from penstock_batch.report.charts import charts, scripts
from penstock_batch.report.figures import RunFigures, figures_of
from penstock_batch.report.page import Chart, Table, page
from penstock_batch.report.rows import row_views
from penstock_batch.store.reading import StoreReader
from penstock_batch.store.samples import RunRecord, runs, samples
from penstock_batch.store.spent import spent_of
from penstock_batch.words.amounts import counted, duration, money

__all__ = ["report_page"]


def report_page(pipeline: Pipeline, *, run: int | None, rows: int) -> bytes:
    """The page of the last run of a pipeline, or of the one with this number. Raises `ConfigError` if there is none."""
    with StoreReader(pipeline.store) as reader:
        record = _chosen(runs(reader.ask), run, pipeline)
        figures = figures_of(record, samples(reader.ask, record.run))
        views = row_views(pipeline, reader, rows)
        spent = spent_of(reader.ask).cost
    clean = pipeline.secrets.text
    name = "a pipeline" if pipeline.path is None else pipeline.path.name
    return page(
        title=clean(f"Run {record.run} of {name}"),
        state=_state(record),
        facts=_facts(figures, spent),
        tables=[_with(table, clean) for table in _tables(record, figures)],
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


def _with(table: Table, clean: object) -> Table:
    assert callable(clean)
    return Table(table.name, table.title, table.heads, [[clean(cell) for cell in row] for row in table.rows])


def _chosen(records: Sequence[RunRecord], run: int | None, pipeline: Pipeline) -> RunRecord:
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


def _state(record: RunRecord) -> str:
    began = f"{datetime.fromtimestamp(record.started, UTC):%Y-%m-%d %H:%M:%S} UTC"
    if record.ended is None:
        return f"Began {began}, and has not ended: it goes on, or was killed."
    return f"Began {began}, and ended after {duration(record.ended - record.started)}."


def _facts(figures: RunFigures, spent: float) -> list[tuple[str, str]]:
    facts = [
        ("rows", f"{figures.rows:,}"),
        ("rows done", f"{figures.rows_done:,}"),
        ("rows failed", f"{figures.rows_failed:,}"),
        ("time", duration(figures.seconds)),
    ]
    if figures.cost is not None:
        facts += [("cost", money(figures.cost)), ("cost of all runs", money(spent))]
    return facts


def _tables(record: RunRecord, figures: RunFigures) -> list[Table]:
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
        Table(
            "failures",
            "Failures",
            ["reason", "rows"],
            [[why, f"{count:,}"] for why, count in sorted(record.failures.items(), key=lambda pair: -pair[1])],
        ),
    ]


def _money(amount: float | None) -> str:
    return "" if amount is None else money(amount)
