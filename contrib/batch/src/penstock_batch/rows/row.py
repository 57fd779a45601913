"""A row as every format gives it, and what is wrong with one that cannot be read.

A row's digest says whether it is the same row when the input is read again. Where a format has lines the digest is of
their text, else of the values as JSON.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Final, Protocol

import attrs
import msgspec

from penstock_batch.rows.lines import json_bytes

__all__ = ["BadRow", "InputProblem", "Row", "RowReader", "digest_of", "digested", "shown"]

_SHOWN: Final = 500


class InputProblem(ValueError):
    """An input file that cannot be used at all, in one line."""


class Row(msgspec.Struct, eq=False):
    """A row: `index` counts all rows from 0, good and bad; `line` is the line of the file, from 1, on which it
    begins, or the row's number where a file has no lines; `digest` is one of its text, in 64 bits.
    """

    index: int
    line: int
    values: dict[str, Any]
    digest: int = 0

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Row):
            return NotImplemented
        return (self.index, self.line, self.values) == (other.index, other.line, other.values)

    __hash__ = None  # type: ignore[assignment]  # its values may be changed by whoever holds it


@attrs.define(slots=True)
class BadRow:
    """A row that could not be read, and why. `text` is its beginning, as far as that is known."""

    index: int
    line: int
    problem: str
    text: str = ""
    digest: int = attrs.field(default=0, eq=False)


class RowReader(Protocol):
    """What reads one format. It raises `InputProblem` for what concerns the file as a whole."""

    def rows(self, path: Path) -> Iterator[Row | BadRow]:
        """The rows of a file, in order, and never more than some of them in memory."""
        ...

    def header(self, path: Path) -> Sequence[str]:
        """The columns that the file names itself, before any row; empty where rows bring their own."""
        ...


def digest_of(raw: bytes) -> int:
    """64 bits by which a row is known again."""
    return int.from_bytes(hashlib.blake2b(raw, digest_size=8).digest(), "big")


def digested(row: Row | BadRow) -> Row | BadRow:
    """The row, with the digest of what it holds, for formats that have no text."""
    row.digest = digest_of(json_bytes(row.values if isinstance(row, Row) else [row.problem, row.text]))
    return row


def shown(raw: bytes) -> str:
    """The beginning of a line, for people."""
    return raw[:_SHOWN].decode(errors="replace").rstrip("\r\n")
