"""Where the rows of a run go, in which format, and how they get there: whole, or not at all."""

from __future__ import annotations

import json
import sys
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import IO, Final

import attrs

from penstock_batch.rows.csv_writer import csv_rows_to
from penstock_batch.rows.formats import ARROW, Format, column_problem, without_pyarrow
from penstock_batch.rows.own_files import OutputLost, written
from penstock_batch.rows.sqlite_writer import sqlite_rows_to, table_problem
from penstock_batch.words.terminal import hand_out

__all__ = ["STANDARD", "RowSource", "Target", "store_beside"]

STANDARD: Final = Path("-")
"""The path that stands for standard input and standard output."""

Put = Callable[[bytes], object]


def store_beside(output: Path) -> Path:
    """Where the answers for an output are kept, if nothing else is said."""
    return output.with_name(f"{output.name}.store")


@attrs.frozen
class RowSource:
    """Where rows come from, and in which format."""

    path: Path
    form: Format
    table: str | None = None


@attrs.frozen
class Target:
    """The place of the output. `path` is `STANDARD` for standard output; `table` that of a database."""

    path: Path
    form: Format
    table: str | None = None

    def __str__(self) -> str:
        if self.path == STANDARD:
            return "standard output"
        return f"{self.path}, table {self.table}" if self.table is not None else str(self.path)

    def problem(self, names: Sequence[str]) -> str | None:
        """Why rows with these columns cannot be written there, in the format that it has."""
        if self.form in ARROW:
            try:
                import pyarrow  # noqa: F401
            except ImportError as error:
                return without_pyarrow(self.form, error)
        return column_problem(self.form, names)

    def occupied(self, *, ours: bool) -> str | None:
        """Why rows cannot be put there, for what lies there; `ours` if what lies there may be replaced."""
        if self.path == STANDARD:
            return "is closed" if sys.stdout is None else None
        if self.table is not None:
            return table_problem(self.path, self.table, replace=ours)
        if ours or not self.path.exists():
            return None
        return "exists, but not the store of the run that made it; --overwrite replaces it"

    def remove(self) -> None:
        """Remove what an earlier run left there. A table stays until the next one takes its place."""
        if self.path != STANDARD and self.table is None:
            self.path.unlink()

    @contextmanager
    def rows(
        self,
        names: Sequence[str],
        store: Path,
        source: RowSource,
        came_from: Mapping[str, str] | None = None,
        *,
        mark: str = "",
    ) -> Iterator[Put]:
        """A function that takes one row after another, each a line of JSON; they are there, all of them, when the block
        ends well.

        Where the formats of both know types, columns of `source` keep theirs; `came_from` says which column is which,
        where it is not the one of the same name. Raises `OutputLost`, which says whether `store` is there, whose `mark`
        what is written bears until it is whole.
        """
        if self.path == STANDARD:
            with tempfile.TemporaryFile() as file:
                with self._writer(file, names, source, came_from) as put:
                    yield put
                try:
                    file.seek(0)
                    hand_out(file)
                except OSError as error:
                    raise OutputLost(Path(str(self)), error.strerror or str(error), store) from None
        elif self.table is not None:
            try:
                with sqlite_rows_to(self.path, self.table, names, mark=mark) as put:
                    yield lambda line: put(json.loads(line))
            except OSError as error:
                raise OutputLost(self.path, error.strerror or str(error), store) from None
        else:
            with written(self.path, store, mark=mark) as kept, self._writer(kept, names, source, came_from) as put:
                yield put

    @contextmanager
    def _writer(
        self, file: IO[bytes], names: Sequence[str], source: RowSource, came_from: Mapping[str, str] | None
    ) -> Iterator[Put]:
        with ExitStack() as stack:
            if self.form in ARROW:
                from penstock_batch.rows.arrow_rows import arrow_schema
                from penstock_batch.rows.arrow_writer import arrow_rows_to

                parquet = source.form == "parquet"
                came_as = arrow_schema(source.path, parquet=parquet) if source.form in ARROW else None
                yield stack.enter_context(arrow_rows_to(file, self.form, names, came_as, came_from))
            elif self.form == "csv":
                put = csv_rows_to(file, names)
                yield lambda line: put(json.loads(line))
            else:
                yield file.write
