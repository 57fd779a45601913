"""Rows of a table in a SQLite database, by rowid or, where a table has none, by its primary key.

They are read by pages, and between two of them nothing is held: a run may take hours, and others write meanwhile. What
they change in rows that were read before is found by the digests, as in files.
"""

from __future__ import annotations

import base64
import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from math import isinf
from pathlib import Path
from typing import Any, Final

import attrs

from penstock import did_you_mean
from penstock_batch.rows.row import BadRow, InputProblem, Row, digested

__all__ = ["PATIENCE", "SqliteReader", "copy_database", "quoted", "sqlite_words"]

PATIENCE: Final = 5.0
"""Seconds to wait for a database that another program writes."""
_PAGE: Final = 500
_ROWIDS: Final = ("rowid", "_rowid_", "oid")


@attrs.frozen
class _Shape:
    """How a table is read: its columns, and what its rows are ordered by."""

    columns: tuple[str, ...]
    keys: tuple[str, ...]
    """As SQL."""

    def page(self, table: str, *, first: bool) -> str:
        keys = ", ".join(self.keys)
        columns = ", ".join(map(quoted, self.columns))
        after = "" if first else f" WHERE ({keys}) > ({', '.join('?' * len(self.keys))})"
        return f"SELECT {keys}, {columns} FROM {quoted(table)}{after} ORDER BY {keys} LIMIT {_PAGE}"


class SqliteReader:
    """The reader of one table."""

    def __init__(self, table: str, *, patience: float = PATIENCE) -> None:
        self._table = table
        self._patience = patience

    def rows(self, path: Path) -> Iterator[Row | BadRow]:
        """The rows of the table, in order. Their `line` is their number, from 1."""
        index = 0
        with _opened(path, self._patience) as database:
            shape = self._shape(path, database)
            keys = len(shape.keys)
            page = database.execute(shape.page(self._table, first=True)).fetchall()
            while page:
                for found in page:
                    yield digested(_row(index, shape.columns, found[keys:]))
                    index += 1
                page = database.execute(shape.page(self._table, first=False), page[-1][:keys]).fetchall()

    def header(self, path: Path) -> tuple[str, ...]:
        """The columns of the table."""
        with _opened(path, self._patience) as database:
            return self._shape(path, database).columns

    def _shape(self, path: Path, database: sqlite3.Connection) -> _Shape:
        kinds = dict(database.execute("SELECT name, type FROM sqlite_master WHERE type IN ('table', 'view')"))
        kind = next((kinds[name] for name in kinds if name.lower() == self._table.lower()), None)
        if kind is None:
            hint = did_you_mean(self._table, kinds, otherwise="there are") if kinds else "it has none"
            raise InputProblem(f"{path}: has no table {self._table!r}; {hint}")
        if kind == "view":
            raise InputProblem(f"{path}: {self._table!r} is a view, whose rows have no order; name a table")
        described = database.execute(f"PRAGMA table_xinfo({quoted(self._table)})").fetchall()
        columns = tuple(str(each[1]) for each in described if each[6] != 1)
        taken = {column.lower() for column in columns}
        for rowid in _ROWIDS:
            if rowid in taken:
                continue
            try:
                database.execute(f"SELECT {rowid} FROM {quoted(self._table)} LIMIT 0")
            except sqlite3.OperationalError:
                break  # it has none
            return _Shape(columns, (rowid,))
        primary = sorted((each[5], str(each[1])) for each in described if each[5])
        if not primary:
            raise InputProblem(f"{path}: the rows of {self._table!r} have no order: it has columns named as each rowid")
        return _Shape(columns, tuple(quoted(name) for _, name in primary))


def quoted(name: str) -> str:
    """A name as SQL has it.

    >>> print(quoted('a "b" c'))
    "a ""b"" c"
    """
    return '"' + name.replace('"', '""') + '"'


def sqlite_words(error: Exception) -> str:
    """What SQLite means by an error, in words that say what to do."""
    said = str(error)
    if "locked" in said:
        return "is locked by another program; try again when it has ended"
    if "not a database" in said or "file is encrypted" in said:
        return "is no SQLite database"
    if "malformed" in said:
        return "is a damaged SQLite database"
    return f"cannot be used by SQLite: {said}"


def copy_database(source: Path, copy: Path) -> None:
    """Make a copy that is whole, with what still lies in a write-ahead log. Raises `InputProblem`."""
    with _opened(source, PATIENCE) as database, closing(sqlite3.connect(copy)) as target:
        database.backup(target)


@contextmanager
def _opened(path: Path, patience: float) -> Iterator[sqlite3.Connection]:
    path.stat()  # says why in the system's words
    try:
        with closing(sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro", timeout=patience, uri=True)) as database:
            # The file may be a stranger's: no function of its schema is run that could do more than compute.
            database.execute("PRAGMA trusted_schema = OFF")
            database.text_factory = _text
            yield database
    except (sqlite3.Error, UnicodeError) as error:
        raise InputProblem(f"{path}: {sqlite_words(error)}") from None


def _text(raw: bytes) -> str:
    return raw.decode(errors="surrogateescape")


def _row(index: int, columns: Sequence[str], found: Sequence[Any]) -> Row | BadRow:
    values: dict[str, Any] = {}
    for column, value in zip(columns, found, strict=True):
        if isinstance(value, bytes):
            value = base64.b64encode(value).decode()
        elif isinstance(value, float) and isinf(value):
            value = "Infinity" if value > 0 else "-Infinity"
        elif isinstance(value, str) and not value.isascii() and any("\udc80" <= each <= "\udcff" for each in value):
            return BadRow(index, index + 1, f"{column!r} is not UTF-8")
        values[column] = value
    return Row(index, index + 1, values)
