"""The rows that gathers make one of: in a file of SQLite, by group, so that neither their number nor that of the groups
is one of memory.

Groups have the order of their first rows, and rows their own. What a group is known by is the digest of its rows, so a
gather is made anew when one of them has changed, come, or gone, and else not.
"""

from __future__ import annotations

import json
import os
import sqlite3
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing
from hashlib import blake2b
from pathlib import Path
from typing import Any, Final

import attrs

from penstock_batch.rows.lines import json_bytes
from penstock_batch.rows.working_files import Workplace
from penstock_batch.words.amounts import counted

__all__ = ["Gathered", "Group"]

_AT_A_TIME: Final = 1000
_SCHEMA: Final = """
CREATE TABLE groups (number INTEGER PRIMARY KEY, name BLOB UNIQUE, size INTEGER, digest TEXT);
CREATE TABLE members (number INTEGER, place INTEGER, row BLOB, PRIMARY KEY (number, place)) WITHOUT ROWID;
"""


@attrs.frozen
class Group:
    """The rows of one group; each iteration reads them anew from the file, a few at a time."""

    path: Path
    number: int
    size: int
    digest: str

    def __len__(self) -> int:
        return self.size

    def __str__(self) -> str:
        return counted(self.size, "row")

    def __iter__(self) -> Iterator[dict[str, Any]]:
        with closing(sqlite3.connect(self.path, check_same_thread=False)) as file:
            for body in _members(file, self.number):
                yield json.loads(body)


class Gathered:
    """All groups of one gather, in a file at `place` that only its owner can read. Rows are added, then it is
    `ended`; `close` takes the file away.
    """

    def __init__(self, place: Workplace, by: Sequence[str]) -> None:
        number, self.path = place.new_file("gathered")
        os.close(number)
        self._by = tuple(by)
        self._file = sqlite3.connect(self.path, check_same_thread=False, isolation_level=None)
        self._file.executescript(f"PRAGMA journal_mode = OFF; PRAGMA synchronous = OFF; {_SCHEMA} BEGIN;")
        self._place = 0
        if not by:  # all rows are one group, also where there is none
            self._number([])

    def add(self, row: Mapping[str, Any]) -> None:
        """Add the next row. Raises `KeyError` if it has not all columns `by`."""
        number = self._number([row[name] for name in self._by])
        self._file.execute("INSERT INTO members VALUES (?,?,?)", (number, self._place, json_bytes(row)))
        self._place += 1

    def _number(self, values: Sequence[Any]) -> int:
        name = _name(values)
        found = self._file.execute("SELECT number FROM groups WHERE name = ?", (name,)).fetchone()
        if found is None:
            return self._file.execute("INSERT INTO groups (name) VALUES (?)", (name,)).lastrowid or 0
        number: int = found[0]
        return number

    def ended(self) -> Iterator[dict[str, Any]]:
        """The columns `by` of each group, when all rows are there."""
        last = self._file.execute("SELECT max(number) FROM groups").fetchone()[0] or 0
        for number in range(1, last + 1):
            digest, size = blake2b(digest_size=16), 0
            for body in _members(self._file, number):
                digest.update(b"%d:" % len(body) + body)
                size += 1
            change = "UPDATE groups SET size = ?, digest = ? WHERE number = ?"
            self._file.execute(change, (size, digest.hexdigest(), number))
        self._file.execute("COMMIT")
        for (name,) in self._file.execute("SELECT name FROM groups ORDER BY number"):
            yield dict(zip(self._by, json.loads(name), strict=True))

    def group(self, columns: Mapping[str, Any]) -> Group:
        """The group with these columns. Raises `KeyError` if there is none."""
        question = "SELECT number, size, digest FROM groups WHERE name = ?"
        found = self._file.execute(question, (_name([columns[name] for name in self._by]),)).fetchone()
        if found is None:
            raise KeyError(str(self._by))
        return Group(self.path, *found)

    def close(self) -> None:
        """Take the file away."""
        self._file.close()
        self.path.unlink(missing_ok=True)


def _members(file: sqlite3.Connection, number: int) -> Iterator[bytes]:
    place = -1
    while True:  # a few at a time: no question stays open while somebody looks at a row
        question = "SELECT place, row FROM members WHERE number = ? AND place > ? ORDER BY place LIMIT ?"
        found = file.execute(question, (number, place, _AT_A_TIME)).fetchall()
        for place, body in found:  # noqa: B007  # the last is where the next question begins
            yield body
        if len(found) < _AT_A_TIME:
            return


def _name(values: Sequence[Any]) -> bytes:
    return json.dumps(values, ensure_ascii=True, sort_keys=True).encode("ascii")
