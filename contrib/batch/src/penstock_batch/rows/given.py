"""Rows that a program gives: put aside in a private file, since a run reads its input more than once.

A line is a row, or as a text what is wrong with one.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from penstock_batch.rows.lines import json_line
from penstock_batch.rows.python_values import as_json
from penstock_batch.rows.row import BadRow, Row, digest_of
from penstock_batch.rows.spool import Spool
from penstock_batch.words.failures import said_of

__all__ = ["GivenReader", "given_rows"]


def given_rows(rows: Iterable[Mapping[str, Any]]) -> Spool:
    """The rows, all of them, in a file that is gone with the result. What the iterable raises passes through; a row
    that has no form in JSON is kept as one that cannot be read.
    """

    def fill(path: Path) -> None:
        with path.open("xb") as file:
            for row in rows:
                file.write(_line(row))

    return Spool(fill)


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
