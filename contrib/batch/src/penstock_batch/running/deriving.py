"""The rows of the next stage, made of those of one that is over, in their order; written as they are made.

They go into a file like an input, which the run reads as it reads the first: through the window, a few in memory. A row
of which a split cannot be made has failed, and none of its items is a row. It runs in a thread, since it calls
functions of users; `DerivedRows.make` says what has become of how many.
"""

from __future__ import annotations

import os
from array import array
from collections.abc import Callable, Iterator
from contextlib import suppress
from threading import Lock
from typing import Any

import attrs

from penstock_batch.calls.tallies import MOST_REASONS
from penstock_batch.pipeline.loading import Pipeline
from penstock_batch.pipeline.stages import Stage
from penstock_batch.pipeline.steps import Step
from penstock_batch.rows.lines import json_line
from penstock_batch.rows.reader import InputFacts, Row
from penstock_batch.rows.row import digest_of
from penstock_batch.rows.target import RowSource
from penstock_batch.rows.working_files import Workplace
from penstock_batch.running.changing import RowFailed, items_of, passes
from penstock_batch.running.gathering import Gathered
from penstock_batch.running.lineage import Lineage, Origin
from penstock_batch.running.results import Results
from penstock_batch.words.amounts import counted

__all__ = ["DerivedRows", "StageRows"]


class _GivenUp(Exception):
    """The end of the making of rows that nobody waits for any more."""


@attrs.define
class StageRows:
    """One stage in a run: the pipeline as its rows see it, and what has become of them. `origin` says where a row comes
    from, `None` in the first stage, where it has a line.
    """

    pipeline: Pipeline
    results: Results
    limit: int | None
    origin: Callable[[int], Origin] | None = None

    @property
    def rows(self) -> int:
        """The rows that are to be done."""
        rows = self.pipeline.facts.rows
        return rows if self.limit is None else min(self.limit, rows)


class DerivedRows:
    """The rows that `change` makes of the rows of a stage, in files at `place`. `close` takes these away."""

    def __init__(self, change: Step, before: StageRows, place: Workplace, failed_before: int = 0) -> None:
        number, self.path = place.new_file("stage")
        self._file = os.fdopen(number, "wb")
        self._change = change
        self._before = before
        self._names = before.pipeline.names
        self._lineage = Lineage(before.origin)
        self._digests = array("Q")
        self._gathered = Gathered(place, change.by) if change.kind == "gather" else None
        self._secrets = before.pipeline.secrets
        self._lock = Lock()
        self._given_up = False
        self.failed_before = failed_before
        """Rows that have failed until now, in this stage and those before."""
        self.open_before = 0
        """Rows of the stage before of which nobody knows yet what becomes of them."""
        self.made_of = 0
        """Rows that these were made of."""
        self.failures: dict[tuple[str, str], int] = {}
        """The rows that failed by their step and reason; of many reasons only the first are told apart."""
        self.told = ""
        """What has become of how many rows, in one line."""

    def __len__(self) -> int:
        return len(self._lineage)

    def make(self) -> None:
        """Make all rows. Raises `OSError`, `sqlite3.Error`, or what reading the rows before raises."""
        make = {"split": self._split, "filter": self._filter, "gather": self._gather}[self._change.kind]
        with suppress(_GivenUp):
            self.told = f"{self._change.name}: {make()}"
        self._file.flush()

    def give_up(self) -> None:
        """Let nothing of the rows before be read any more by `make`, which may be at it in a thread."""
        with self._lock:
            self._given_up = True

    def stage(self, stage: Stage, results: Results) -> StageRows:
        """The stage that these rows begin."""
        cells = stage.cells
        if (gathered := self._gathered) is not None:  # its cell is the first of the stage
            cells = tuple(
                attrs.evolve(step, rows_of=gathered.group) if step.name == self._change.name else step for step in cells
            )
        facts = InputFacts(len(self._lineage), stage.columns, "", digests=self._digests)
        pipeline = self._before.pipeline.of_stage(attrs.evolve(stage, cells=cells))
        pipeline = attrs.evolve(pipeline, source=RowSource(self.path, "jsonl"), facts=facts)
        return StageRows(pipeline, results, None, self._lineage.origin)

    def close(self) -> None:
        """Take the files away, and what there was no room for."""
        with suppress(OSError):
            self._file.close()
        self.path.unlink(missing_ok=True)
        if self._gathered is not None:
            self._gathered.close()

    # -- the kinds --

    def _split(self) -> str:
        none = 0
        for row, values in self._done_rows():
            mark, rows = self._file.tell(), len(self._lineage)
            kept = {name: value for name, value in values.items() if name != self._change.over}
            number = 0
            try:
                for number, item in enumerate(items_of(self._change, values), start=1):  # counted behind
                    self._add({**kept, self._change.name: self._secrets.value(item)}, self._parent(row), number)
            except RowFailed as error:
                self._file.seek(mark)
                self._file.truncate()
                self._lineage.cut(rows)
                del self._digests[rows:]
                self._fail(row, error)
                continue
            self.made_of += 1
            none += not number
        empty = f", {none:,} of them without an item" if none else ""
        return f"{counted(len(self), 'row')} of {self.made_of:,}{empty}"

    def _filter(self) -> str:
        for row, values in self._done_rows():
            try:
                stays = passes(self._change, values, row.values)
            except RowFailed as error:
                self._fail(row, error)
                continue
            self.made_of += 1
            if stays:
                self._add(values, self._parent(row), 0)
        return f"{self.made_of - len(self):,} of {counted(self.made_of, 'row')} filtered"

    def _gather(self) -> str:
        gathered = self._gathered
        assert gathered is not None
        for row, values in self._done_rows():
            missing = [name for name in self._change.by if name not in values]
            if missing:
                self._fail(row, RowFailed(f"the row has no column {missing[0]!r}, by which it is to be gathered"))
                continue
            gathered.add(values)
            self.made_of += 1
        for columns in gathered.ended():
            self._add(columns, None, 0)
        without = f", without {self.failed_before:,} that failed" if self.failed_before else ""
        return f"{counted(self.made_of, 'row')} gathered into {len(self):,}{without}"

    # -- rows --

    def _done_rows(self) -> Iterator[tuple[Row, dict[str, Any]]]:
        """The rows of the stage before that are done, with all their values."""
        before, seen = self._before, 0
        for row in before.pipeline.rows():
            if row.index >= before.rows:
                break
            seen += 1
            with self._lock:
                if self._given_up:
                    raise _GivenUp
                result = before.results.of(row.index)
            if not isinstance(row, Row) or not before.pipeline.facts.unchanged(row):
                self.failed_before += 1
            elif result is None:
                self.open_before += 1
            elif result.kind == "failed":
                self.failed_before += 1
            else:
                record = result.record
                yield row, {name: record[name] for name in self._names if name in record}
        self.failed_before += before.rows - seen  # rows that the input has no more

    def _parent(self, row: Row) -> int:
        return row.line if self._before.origin is None else row.index

    def _add(self, values: dict[str, Any], parent: int | None, item: int) -> None:
        line = json_line(values)
        self._file.write(line)
        self._digests.append(digest_of(line.strip()))
        self._lineage.add(parent, item)

    def _fail(self, row: Row, error: RowFailed) -> None:
        reason = self._secrets.text(str(error))
        with self._lock:
            if self._given_up:
                raise _GivenUp
            self._before.results.failed(row.index, self._change.name, reason)
        self.failed_before += 1
        cause = self._change.name, reason if len(self.failures) < MOST_REASONS else "other reasons"
        self.failures[cause] = self.failures.get(cause, 0) + 1
