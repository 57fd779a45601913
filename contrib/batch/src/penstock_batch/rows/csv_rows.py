"""CSV: a header that names the columns, and records whose fields are texts."""

from __future__ import annotations

import csv
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from penstock_batch.rows.failed_rows import FAILED
from penstock_batch.rows.row import BadRow, InputProblem, Row, digest_of, shown
from penstock_batch.words.amounts import counted

__all__ = ["CsvReader"]

_MOST_FIELD: Final = 2**31 - 1  # what csv takes for a limit on every platform


class CsvReader:
    """The reader of CSV. A record that does not fit the header costs its row; a header that names no columns the
    file."""

    def rows(self, path: Path) -> Iterator[Row | BadRow]:
        """The rows of a file, in order."""
        # The default limit of 131,072 characters is csv's own guard for files of strangers; a text column may well be
        # longer.
        csv.field_size_limit(_MOST_FIELD)
        with path.open(encoding="utf-8-sig", errors="surrogateescape", newline="") as text:
            reader = csv.reader(text, strict=True)
            header = _header(path, reader)
            names = "\x1f".join(header)
            index = 0
            while True:
                line = reader.line_num + 1
                try:
                    fields = next(reader)
                except StopIteration:
                    return
                except csv.Error as error:
                    row: Row | BadRow = BadRow(index, line, f"is not CSV: {error}")
                    fields = [str(error)]
                else:
                    if not fields:
                        continue
                    row = _row(index, line, header, fields)
                row.digest = digest_of("\x1f".join([names, *fields]).encode(errors="surrogateescape"))
                yield row
                index += 1

    def header(self, path: Path) -> list[str]:
        """The columns that the first line names."""
        with path.open(encoding="utf-8-sig", errors="surrogateescape", newline="") as file:
            return _header(path, csv.reader(file, strict=True))


def _row(index: int, line: int, header: list[str], fields: list[str]) -> Row | BadRow:
    if len(fields) != len(header):
        problem = f"has {counted(len(fields), 'field')} where the header names {len(header)}"
        return BadRow(index, line, problem, shown(",".join(fields).encode(errors="replace")))
    if any("\udc80" <= character <= "\udcff" for field in fields for character in field):
        return BadRow(index, line, "is not UTF-8", shown(",".join(fields).encode(errors="surrogateescape")))
    return Row(index, line, dict(zip(header, fields, strict=True)))


def _header(path: Path, reader: Iterator[list[str]]) -> list[str]:
    try:
        header = next(reader, None)
    except csv.Error as error:
        raise InputProblem(f"{path}: line 1 is not CSV: {error}") from None
    if not header:
        raise InputProblem(f"{path}: the first line must be a header that names the columns")
    twice = sorted({name for name in header if header.count(name) > 1})
    if twice or "" in header:
        what = f"{twice[0]!r} twice" if twice and twice[0] else "a column without a name"
        raise InputProblem(f"{path}: the header has {what}")
    if any("\udc80" <= character <= "\udcff" for name in header for character in name):
        raise InputProblem(f"{path}: the header is not UTF-8")
    if FAILED in header:
        raise InputProblem(f"{path}: the header has a column {FAILED!r}, which says why a row failed; rename it")
    return header
