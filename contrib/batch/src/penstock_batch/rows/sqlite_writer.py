"""Rows as a table of a SQLite database, put there in one transaction: nothing else in the file is touched.

The rows first go to a database of their own, since they may come slowly, and from the very file that they go to; then
they are copied over as a whole, and the table of an earlier run goes with the same commit.
"""

from __future__ import annotations

import os
import sqlite3
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any, Final

from penstock_batch.rows.lines import json_bytes
from penstock_batch.rows.sqlite_rows import PATIENCE, quoted, sqlite_words
from penstock_batch.rows.working_files import END, begins

__all__ = ["sqlite_rows_to", "table_problem"]

_INTEGERS: Final = range(-(2**63), 2**63)


def table_problem(path: Path, table: str, *, replace: bool) -> str | None:
    """Why rows cannot be put into this table; `None` if they can. A table that is there is only made anew if it may be
    replaced.
    """
    if not path.exists() or path.stat().st_size == 0:
        return None
    try:
        with closing(sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro", timeout=PATIENCE, uri=True)) as database:
            found = database.execute(
                "SELECT type FROM sqlite_master WHERE name = ? COLLATE NOCASE", (table,)
            ).fetchone()
    except sqlite3.Error as error:
        return sqlite_words(error)
    if found is None:
        return None
    if found[0] != "table":
        return f"has {table!r} as {found[0]}; name another table"
    return None if replace else f"has a table {table!r} that no run has made; --overwrite replaces it"


@contextmanager
def sqlite_rows_to(
    path: Path, table: str, names: Sequence[str], *, mark: str = "", patience: float = PATIENCE
) -> Iterator[Callable[[Mapping[str, Any]], object]]:
    """A function that takes one row after another; they are the table when the block ends well. Until then they lie in
    a folder whose name has the `mark` of a store. Raises `OSError` with the reason if they cannot be, also if another
    program holds the database for longer than `patience` seconds.
    """
    with tempfile.TemporaryDirectory(prefix=begins(path.name, mark), suffix=END, dir=path.parent) as folder:
        aside = Path(folder) / "rows"
        try:
            with closing(sqlite3.connect(aside, isolation_level=None)) as database:
                yield from _filled(database, table, names)
            _put(aside, path, table, names, patience)
        except sqlite3.Error as error:
            raise OSError(sqlite_words(error)) from None


def _filled(
    database: sqlite3.Connection, table: str, names: Sequence[str]
) -> Iterator[Callable[[Mapping[str, Any]], object]]:
    database.execute("PRAGMA journal_mode = OFF")
    database.execute("PRAGMA synchronous = OFF")
    database.execute("BEGIN")
    database.execute(_create("main", table, names))
    insert = f"INSERT INTO {quoted(table)} VALUES ({', '.join('?' * len(names))})"
    yield lambda row: database.execute(insert, [_value(row.get(name)) for name in names])
    database.execute("COMMIT")


def _create(schema: str, table: str, names: Sequence[str]) -> str:
    # Columns without a type: with one, SQLite would make numbers of texts that look like some.
    return f"CREATE TABLE {schema}.{quoted(table)} ({', '.join(map(quoted, names))})"


def _put(aside: Path, path: Path, table: str, names: Sequence[str], patience: float) -> None:
    if not path.exists():
        os.close(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600))
    with closing(sqlite3.connect(path, isolation_level=None, timeout=patience)) as database:
        database.execute("PRAGMA synchronous = FULL")
        database.execute("ATTACH ? AS aside", (str(aside.absolute()),))
        database.execute("BEGIN IMMEDIATE")
        database.execute(f"DROP TABLE IF EXISTS main.{quoted(table)}")
        database.execute(_create("main", table, names))
        # Without an index a table is gone through by rowid, as it was filled; a column may bear that name.
        database.execute(f"INSERT INTO main.{quoted(table)} SELECT * FROM aside.{quoted(table)}")
        database.execute("COMMIT")


def _value(value: Any) -> Any:
    if value is None or isinstance(value, float):
        return value
    if isinstance(value, int):
        return value if value in _INTEGERS else str(value)
    text = value if isinstance(value, str) else json_bytes(value).decode()
    return text if text.isascii() else text.encode(errors="backslashreplace").decode()
