"""Rows that a program gives: put aside in a private file, since a run reads its input more than once.

A line is a row, or as a text what is wrong with one.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from os import PathLike
from pathlib import Path
from typing import Any, Final

from penstock import ConfigError
from penstock_batch.rows.lines import json_line
from penstock_batch.rows.python_values import as_json
from penstock_batch.rows.row import BadRow, Row, digest_of
from penstock_batch.rows.spool import Spool
from penstock_batch.words.failures import said_of

__all__ = ["GivenReader", "given_rows"]


def given_rows(rows: Iterable[Mapping[str, Any]]) -> Spool:
    """The rows, all of them, in a file that is gone with the result. What the iterable raises passes through; a row
    that has no form in JSON is kept as one that cannot be read. Raises `ConfigError` for what are no rows.
    """
    if (wrong := _no_rows(rows)) is not None:
        raise ConfigError(f"rows must be an iterable of mappings from columns to values, not {wrong}")

    def fill(path: Path) -> None:
        with path.open("xb") as file:
            for row in rows:
                file.write(_line(row))

    return Spool(fill)


def _no_rows(rows: object) -> str | None:
    """What was given in the place of rows, and what would be right; also what is gone through by other than rows."""
    name = type(rows).__name__
    if isinstance(rows, str | bytes | PathLike):
        return f"{name}; a file is named by [input] path in the pipeline"
    if isinstance(rows, Mapping):
        return f"one {name}; for a single row write [row]"
    for method, call in _FRAMES.items():
        if hasattr(rows, "columns") and hasattr(rows, method):
            return f"a {name}; write {call}"
    if not hasattr(rows, "__iter__") and not hasattr(rows, "__getitem__"):
        collect = "; collect them first" if hasattr(rows, "__aiter__") else ""
        return f"{name}{collect}"
    return None


_FRAMES: Final = {
    "iterrows": "frame.to_dict('records')",  # pandas
    "iter_rows": "frame.iter_rows(named=True)",  # Polars
    "to_pylist": "table.to_pylist()",  # Arrow
}


def _line(row: Any) -> bytes:
    if not isinstance(row, Mapping):
        return json_line(f"must be a mapping of columns to values, not {type(row).__name__}")
    values: dict[str, Any] = {}
    for name, value in row.items():
        try:
            values |= as_json({name: value})
        except Exception as error:  # a foreign object may do anything while it is looked at
            said = str(error) if type(error) is ValueError else said_of(error)
            return json_line(f"{name!r:.100} cannot be read: {said:.200}")
    return json_line(values)


class GivenReader:
    """The reader of such a file. The `line` of a row is its number, from 1."""

    def rows(self, path: Path) -> Iterator[Row | BadRow]:
        """The rows of the file, in order."""
        with path.open("rb") as file:
            for index, raw in enumerate(file):
                value, digest = json.loads(raw), digest_of(raw)
                if isinstance(value, str):
                    yield BadRow(index, index + 1, value, digest=digest)
                else:
                    yield Row(index, index + 1, value, digest)

    def header(self, path: Path) -> tuple[str, ...]:
        """Nothing: each row names its own."""
        return ()
