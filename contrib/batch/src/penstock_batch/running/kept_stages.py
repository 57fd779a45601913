"""The stages of a pipeline as far as they are kept: what `check`, `plan`, `report` and `--redo` look at.

Nothing is called for a cell. The rows of a later stage are made of those before that are whole, as a run makes them, so
the functions of splits and filters are called. Where rows before are open, there are fewer rows than there will be.
"""

from __future__ import annotations

import tempfile
from collections.abc import Generator, Iterator
from contextlib import contextmanager
from itertools import islice
from pathlib import Path

import attrs
import trio

from penstock import ConfigError, Problem
from penstock_batch.calls.claims import Answers, Claims
from penstock_batch.pipeline.loading import Pipeline
from penstock_batch.pipeline.steps import Step
from penstock_batch.rows.reader import InputProblem, Row
from penstock_batch.rows.working_files import Workplace
from penstock_batch.running.deriving import DerivedRows, StageRows
from penstock_batch.running.kept_rows import LOOKED_AT, KeptRow, KeptRows
from penstock_batch.running.staged import StagedRows

__all__ = ["KeptStage", "kept_stages"]


@attrs.frozen
class KeptStage:
    """One stage. `rows` are those that can be read, with what is kept of each, to be gone through once; `whole` says
    whether they are all that there will be, `made` how they were made, by the step `change` (`None` of the first).
    """

    stage: StageRows
    claims: Claims
    rows: Iterator[KeptRow]
    whole: bool = True
    change: Step | None = None
    made: DerivedRows | None = None

    @property
    def pipeline(self) -> Pipeline:
        """The pipeline as these rows see it."""
        return self.stage.pipeline

    def line(self, row: Row) -> str:
        """Where a row comes from, for people."""
        return f"line {row.line}" if self.stage.origin is None else str(self.stage.origin(row.index))


def kept_stages(pipeline: Pipeline, answers: Answers, limit: int | None = None) -> Generator[KeptStage, None, None]:
    """The stages over the first `limit` rows of the input, the first one first; none behind a gather that is not begun.
    To be closed where it is left before its end. Raises `ConfigError` if the input cannot be read any more, and
    `NoRoom`.
    """
    with StagedRows(pipeline, limit, Workplace(Path(tempfile.gettempdir()))) as staged:
        whole = True
        change: Step | None = None
        while True:
            claims = Claims(answers, staged.last.pipeline.facts.digests)
            rows = _looked_at(staged.last, claims, goes_on=staged.change is not None)
            yield KeptStage(staged.last, claims, rows, whole, change, staged.made)
            change = staged.change
            if change is None:
                return
            for _ in rows:  # of which the next ones are made
                pass
            with _told():
                if trio.run(staged.advance) is None:
                    return
            assert staged.made is not None
            whole = whole and not staged.made.open_before


@contextmanager
def _told() -> Iterator[None]:
    try:
        yield
    except InputProblem as problem:
        raise ConfigError(Problem(("input", "path"), str(problem))) from None


def _some(rows: Iterator[Row]) -> list[Row]:
    with _told():
        return list(islice(rows, LOOKED_AT))


def _looked_at(stage: StageRows, claims: Claims, *, goes_on: bool) -> Iterator[KeptRow]:
    pipeline = stage.pipeline
    kept = KeptRows(pipeline.steps, pipeline.needs, claims)
    sound = (row for row in pipeline.rows() if row.index < stage.rows and isinstance(row, Row))
    while some := _some(sound):
        for row in kept.of(some):
            if goes_on and len(row.finished) == len(pipeline.steps):
                stage.results.done(row.row.index, pipeline.record(row.row.values, row.values))
            yield row
