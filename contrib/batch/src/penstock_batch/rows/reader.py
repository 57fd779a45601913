"""The reader of rows: one at a time, each with the line that it begins on, and never a whole file in memory.

The input is read three times: to survey it, for the run, and for the output. So each row has a digest of its text, by
which the later passes know whether it still is the row that it was.

A row that cannot be read is a `BadRow` with its line and reason, and the reading goes on behind it: one broken line
among a hundred thousand costs one row. Only what concerns the file as a whole (it is not there, its header cannot be
used) is an `InputProblem`.
"""

from __future__ import annotations

import csv
import hashlib
import io
import json
import math
from array import array
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final, Literal, NoReturn

import attrs

from penstock_batch.rows.failed_rows import FAILED, row_without_failure, unread

__all__ = ["BadRow", "InputFacts", "InputProblem", "Row", "read_rows", "survey"]

Format = Literal["jsonl", "csv"]

_MOST_FIELD = 2**31 - 1  # what csv takes for a limit on every platform
_SHOWN = 500
_BUFFER = 1 << 16


class InputProblem(ValueError):
    """An input file that cannot be used at all, in one line."""


@attrs.define(slots=True)
class Row:
    """A row: `index` counts all rows from 0, good and bad; `line` is the line of the file, from 1, on which it
    begins; `digest` is one of its text, in 64 bits.
    """

    index: int
    line: int
    values: dict[str, Any]
    digest: int = attrs.field(default=0, eq=False)


@attrs.define(slots=True)
class BadRow:
    """A row that could not be read, and why. `text` is its beginning, as far as that is known."""

    index: int
    line: int
    problem: str
    text: str = ""
    digest: int = attrs.field(default=0, eq=False)


@attrs.frozen
class InputFacts:
    """The facts of an input from one pass over it: how many rows, which columns occur in any of them, the file's
    SHA-256, and the digest of each row.

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


def read_rows(path: Path, form: Format) -> Iterator[Row | BadRow]:
    """The rows of a file, in order. Raises `InputProblem` if it cannot be opened or read, or has no usable CSV
    header.
    """
    try:
        with path.open("rb") as file:
            yield from _rows(path, file, form)
    except OSError as error:
        raise InputProblem(f"{path}: {error.strerror or error}") from None


def _rows(path: Path, file: io.BufferedReader[Any], form: Format) -> Iterator[Row | BadRow]:
    return _csv_rows(path, file) if form == "csv" else _json_rows(file)


class _Hashed(io.RawIOBase):
    """A file that hashes what is read of it."""

    def __init__(self, path: Path) -> None:
        self._file = path.open("rb", buffering=0)
        self.sha256 = hashlib.sha256()

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        count: int = self._file.readinto(buffer) or 0
        self.sha256.update(memoryview(buffer)[:count])
        return count

    def close(self) -> None:
        self._file.close()
        super().close()


def survey(path: Path, form: Format, *, most_bad: int = 10) -> InputFacts:
    """The facts of an input, after one pass over all of it. Raises `InputProblem`."""
    columns: dict[str, None] = {}
    bad: list[BadRow] = []
    bad_count = 0
    digests = array("Q")
    try:
        with _Hashed(path) as hashed, io.BufferedReader(hashed, _BUFFER) as file:
            for row in _rows(path, file, form):
                digests.append(row.digest)
                if isinstance(row, Row):
                    columns.update(dict.fromkeys(row.values))
                else:
                    bad_count += 1
                    if len(bad) < most_bad:
                        bad.append(row)
            sha256 = hashed.sha256.hexdigest()
    except OSError as error:
        raise InputProblem(f"{path}: {error.strerror or error}") from None
    if form == "csv" and not columns:
        columns.update(dict.fromkeys(_csv_header(path)))
    return InputFacts(len(digests), tuple(columns), sha256, tuple(bad), bad_count, digests)


def _digest(raw: bytes) -> int:
    return int.from_bytes(hashlib.blake2b(raw, digest_size=8).digest(), "big")


# -- JSON Lines --


def _json_rows(file: io.BufferedReader[Any]) -> Iterator[Row | BadRow]:
    index = 0
    for line, raw in enumerate(file, start=1):
        content = raw.removeprefix(b"\xef\xbb\xbf") if line == 1 else raw
        if not content.strip():
            continue
        row = _json_row(index, line, content)
        row.digest = _digest(content.strip())
        yield row
        index += 1


def _json_row(index: int, line: int, raw: bytes) -> Row | BadRow:
    try:
        values = _DECODER.decode(raw.decode())
    except UnicodeDecodeError as error:
        return BadRow(index, line, f"is not UTF-8 (byte {error.start + 1})", _shown(raw))
    except (ValueError, RecursionError) as error:
        reason = "is nested too deeply" if isinstance(error, RecursionError) else f"is not JSON: {_short(error)}"
        return BadRow(index, line, reason, _shown(raw))
    if not isinstance(values, dict):
        return BadRow(index, line, f"must be a JSON object, not {_KINDS.get(type(values), 'a number')}", _shown(raw))
    if FAILED in values:
        if (before := unread(values)) is not None:
            return BadRow(index, line, *before)
        try:
            values = row_without_failure(values)
        except ValueError as error:
            return BadRow(index, line, str(error), _shown(raw))
    return Row(index, line, values)


def _short(error: Exception) -> str:
    return f"{error.msg} (column {error.colno})" if isinstance(error, json.JSONDecodeError) else str(error)


def _no_constant(word: str) -> NoReturn:
    raise ValueError(f"{word} is no JSON number")


def _finite(digits: str) -> float:
    number = float(digits)
    if math.isinf(number):
        raise ValueError(f"{digits} is too large")
    return number


_DECODER: Final = json.JSONDecoder(parse_constant=_no_constant, parse_float=_finite)


def _shown(raw: bytes) -> str:
    return raw[:_SHOWN].decode(errors="replace").rstrip("\r\n")


_KINDS = {list: "an array", str: "a string", bool: "true or false", type(None): "null"}


# -- CSV --


def _csv_rows(path: Path, file: io.BufferedReader[Any]) -> Iterator[Row | BadRow]:
    # The default limit of 131,072 characters is csv's own guard for files of strangers; a text column may well be
    # longer.
    csv.field_size_limit(_MOST_FIELD)
    text = io.TextIOWrapper(file, encoding="utf-8-sig", errors="surrogateescape", newline="")
    try:
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
                row = _csv_row(index, line, header, fields)
            row.digest = _digest("\x1f".join([names, *fields]).encode(errors="surrogateescape"))
            yield row
            index += 1
    finally:
        text.detach()  # the file is its opener's to close


def _csv_row(index: int, line: int, header: list[str], fields: list[str]) -> Row | BadRow:
    if len(fields) != len(header):
        problem = f"has {len(fields)} field{'s' * (len(fields) != 1)} where the header names {len(header)}"
        return BadRow(index, line, problem, ",".join(fields)[:_SHOWN].encode(errors="replace").decode())
    if any("\udc80" <= character <= "\udcff" for field in fields for character in field):
        return BadRow(index, line, "is not UTF-8")
    return Row(index, line, dict(zip(header, fields, strict=True)))


def _csv_header(path: Path) -> list[str]:
    with path.open(encoding="utf-8-sig", errors="surrogateescape", newline="") as file:
        return _header(path, csv.reader(file, strict=True))


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
