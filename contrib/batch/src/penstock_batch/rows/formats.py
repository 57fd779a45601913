"""The formats of the output: one line per row, as JSON or as CSV, by what the file's name says."""

from __future__ import annotations

import csv
import io
from collections.abc import Callable, Mapping, Sequence
from typing import IO, Any, Final, Literal

from penstock_batch.rows.lines import json_bytes, json_line

__all__ = ["FORMATS", "Format", "row_writer"]

Format = Literal["jsonl", "csv"]
FORMATS: Final[Mapping[str, Format]] = {".jsonl": "jsonl", ".ndjson": "jsonl", ".csv": "csv"}
"""The formats by the ending of a file's name, in lower case."""


def row_writer(form: Format, file: IO[bytes], names: Sequence[str]) -> Callable[[Mapping[str, Any]], object]:
    """A function that writes one row to `file`. CSV has a header with `names`, a row without one of them an empty field
    there, and what is neither text nor nothing stands in it as JSON.
    """
    if form == "jsonl":
        return lambda row: file.write(json_line(row))
    line = io.StringIO(newline="")
    rows = csv.writer(line)

    def put(fields: Sequence[str]) -> None:
        rows.writerow(fields)
        file.write(line.getvalue().encode(errors="backslashreplace"))
        line.seek(0)
        line.truncate()

    put(names)
    return lambda row: put([_field(row.get(name)) for name in names])


def _field(value: Any) -> str:
    if value is None:
        return ""
    return value if isinstance(value, str) else json_bytes(value).decode()
