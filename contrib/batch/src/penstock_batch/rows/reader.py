"""The rows of an input, whatever its format, and the facts of it from one pass over all of them.

The input is read up to three times: to survey it, for the run, and for the output. So each row has a digest, by which
the later passes know whether it still is the row that it was; where all rows are done, and the file as a whole is what
it was, the last pass is spared.

A row that cannot be read is a `BadRow` with its line and reason, and the reading goes on behind it: one broken line
among a hundred thousand costs one row. Only what concerns the file as a whole (it is not there, its header cannot be
used) is an `InputProblem`.
"""

from __future__ import annotations

import hashlib
import stat
from array import array
from collections.abc import Iterator, Set
from pathlib import Path

import attrs

from penstock_batch.rows.csv_rows import CsvReader
from penstock_batch.rows.failed_rows import FAILED, row_without_failure, unread
from penstock_batch.rows.formats import ARROW, Format, without_pyarrow
from penstock_batch.rows.given import GivenReader
from penstock_batch.rows.json_rows import JsonReader
from penstock_batch.rows.lines import json_bytes
from penstock_batch.rows.openai_rows import OpenAiReader
from penstock_batch.rows.row import BadRow, InputProblem, Row, RowReader
from penstock_batch.rows.sqlite_rows import SqliteReader

__all__ = ["BadRow", "InputFacts", "InputProblem", "Row", "is_still", "read_rows", "survey"]


@attrs.frozen
class InputFacts:
    """The facts of an input from one pass over it: how many rows, which columns occur in any of them, the file's
    SHA-256 (of a table in a database: that of its rows), and the digest of each row.

    `bad` are the first malformed rows, `bad_count` counts all.
    """

    rows: int
    columns: tuple[str, ...]
    sha256: str
    bad: tuple[BadRow, ...] = ()
    bad_count: int = 0
    digests: array[int] = attrs.field(factory=lambda: array("Q"), repr=False, eq=False)

    def unchanged(self, row: Row | BadRow) -> bool:
        """Whether the row, read again, is the one that stood there."""
        return row.index < len(self.digests) and self.digests[row.index] == row.digest


def read_rows(path: Path, form: Format, *, table: str | None = None) -> Iterator[Row | BadRow]:
    """The rows of a file, in order; of a database those of `table`. Raises `InputProblem` if it cannot be opened or
    read, or names no usable columns.
    """
    reader = _reader(path, form, table)
    try:
        _check_ordinary(path)
        for row in reader.rows(path):
            yield _without_failure(row) if type(row) is Row and FAILED in row.values else row
    except OSError as error:
        raise InputProblem(f"{path}: {error.strerror or error}") from None


def survey(path: Path, form: Format, *, table: str | None = None, most_bad: int = 10) -> InputFacts:
    """The facts of an input, after one pass over all of it. Raises `InputProblem`."""
    columns: dict[str, None] = {}
    bad: list[BadRow] = []
    bad_count = 0
    digests = array("Q")
    known: Set[str] = columns.keys()
    before = _sha256(path, form)
    for row in read_rows(path, form, table=table):
        digests.append(row.digest)
        if isinstance(row, Row):
            if not row.values.keys() <= known:
                columns.update(dict.fromkeys(row.values))
        else:
            bad_count += 1
            if len(bad) < most_bad:
                bad.append(row)
    try:
        columns = columns or dict.fromkeys(_reader(path, form, table).header(path))
    except OSError as error:
        raise InputProblem(f"{path}: {error.strerror or error}") from None
    sha256 = _sha256(path, form)
    if sha256 is None:
        sha256 = hashlib.sha256(digests.tobytes()).hexdigest()
    elif sha256 != before:
        sha256 = f"{before} and {sha256}"  # somebody writes it: what was read is neither
    return InputFacts(len(digests), tuple(columns), sha256, tuple(bad), bad_count, digests)


def is_still(path: Path, form: Format, facts: InputFacts) -> bool:
    """Whether a file as a whole is what it was when these were its facts; of a database that is not seen. Raises
    `InputProblem`.
    """
    return _sha256(path, form) == facts.sha256


def _without_failure(row: Row) -> Row | BadRow:
    """A row that failed in an earlier run, and says why, as it was."""
    if (before := unread(row.values)) is not None:
        return BadRow(row.index, row.line, *before, row.digest)
    try:
        return Row(row.index, row.line, row_without_failure(row.values), row.digest)
    except ValueError as error:
        return BadRow(row.index, row.line, str(error), json_bytes(row.values).decode()[:500], row.digest)


def _reader(path: Path, form: Format, table: str | None) -> RowReader:
    if form == "sqlite":
        if table is None:
            raise InputProblem(f"{path}: is a database; say which of its tables by table")
        return SqliteReader(table)
    if form in ARROW:
        try:
            from penstock_batch.rows.arrow_rows import ArrowReader, ParquetReader
        except ImportError as error:
            raise InputProblem(f"{path}: {without_pyarrow(form, error)}") from None
        return ParquetReader() if form == "parquet" else ArrowReader()
    return _BY_LINES[form]


_BY_LINES: dict[str, RowReader] = {
    "jsonl": JsonReader(),
    "csv": CsvReader(),
    "openai-batch": OpenAiReader(),
    "given": GivenReader(),
}


def _check_ordinary(path: Path) -> None:
    """Refuse what has come into the place of a file since a run began: a pipe may have nobody who writes it, and a
    device need not end. Those that are named as an input are copied before they are read. Raises `InputProblem` or
    `OSError`.
    """
    mode = path.stat().st_mode
    if not stat.S_ISREG(mode) and not stat.S_ISDIR(mode):  # what a folder is, opening it says
        raise InputProblem(f"{path}: is no ordinary file any more")


def _sha256(path: Path, form: Format) -> str | None:
    """The SHA-256 of a file; `None` of a database, which may hold more than the rows. Raises `InputProblem`."""
    if form == "sqlite":
        return None
    try:
        _check_ordinary(path)
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        raise InputProblem(f"{path}: {error.strerror or error}") from None
