"""JSON Lines: an object on each line."""

from __future__ import annotations

import json
import math
import re
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final, NoReturn

from penstock_batch.rows.lines import json_value, names_once, quickly_read
from penstock_batch.rows.row import BadRow, Row, digest_of, shown

__all__ = ["JsonReader"]

_APART: Final = re.compile(rb'"\s+:')
_KINDS: Final = {list: "an array", str: "a string", bool: "true or false", type(None): "null"}


class JsonReader:
    """The reader of JSON Lines. Empty lines count for nothing; a line that is no object costs its row."""

    def rows(self, path: Path) -> Iterator[Row | BadRow]:
        """The rows of a file, in order."""
        index = 0
        with path.open("rb") as file:
            for line, raw in enumerate(file, start=1):
                content = raw.removeprefix(b"\xef\xbb\xbf") if line == 1 else raw
                text = content.strip()
                if not text:
                    continue
                digest = digest_of(text)
                try:
                    values = quickly_read(content)
                except (ValueError, RecursionError):
                    values = None
                if type(values) is dict and content.count(b":") == len(values):  # as nearly all are
                    yield Row(index, line, values, digest)
                else:
                    yield self._row(index, line, content, digest)
                index += 1

    def header(self, path: Path) -> tuple[str, ...]:
        """Nothing: each object names its own."""
        return ()

    def _row(self, index: int, line: int, raw: bytes, digest: int) -> Row | BadRow:
        try:
            values = json_value(raw, _strictly)
            if isinstance(values, dict) and not _has_names_once(raw, len(values)):
                json.loads(raw.decode(), object_pairs_hook=names_once)
        except UnicodeDecodeError as error:
            return BadRow(index, line, f"is not UTF-8 (byte {error.start + 1})", shown(raw), digest)
        except (ValueError, RecursionError) as error:
            reason = "is nested too deeply" if isinstance(error, RecursionError) else f"is not JSON: {_short(error)}"
            return BadRow(index, line, reason, shown(raw), digest)
        if not isinstance(values, dict):
            return BadRow(
                index, line, f"must be a JSON object, not {_KINDS.get(type(values), 'a number')}", shown(raw), digest
            )
        return Row(index, line, values, digest)


def _has_names_once(raw: bytes, names: int) -> bool:
    """Whether it is seen at once that no name stands twice in the text of an object with so many members: each has a
    colon, and the only ones that follow a quote are theirs.
    """
    return raw.count(b":") == names or (raw.count(b'":') == names and _APART.search(raw) is None)


def _strictly(raw: bytes) -> Any:
    return json.loads(raw.decode(), parse_constant=_no_constant, parse_float=_finite)


def _short(error: Exception) -> str:
    if isinstance(error, json.JSONDecodeError):
        return f"{error.msg} (column {error.colno})"
    said = str(error)
    if "integer string conversion" in said:  # Python's words tell how to let it read such numbers
        return f"it has a number of more than {sys.get_int_max_str_digits():,} digits"
    return said


def _no_constant(word: str) -> NoReturn:
    raise ValueError(f"{word} is no JSON number")


def _finite(digits: str) -> float:
    number = float(digits)
    if math.isinf(number):
        raise ValueError(f"{digits} is too large")
    return number
