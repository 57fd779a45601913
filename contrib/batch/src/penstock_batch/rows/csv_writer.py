"""Rows as CSV, written as they come."""

from __future__ import annotations

import csv
import io
from collections.abc import Callable, Mapping, Sequence
from typing import IO, Any

from penstock_batch.rows.lines import json_bytes

__all__ = ["csv_rows_to"]


def csv_rows_to(file: IO[bytes], names: Sequence[str]) -> Callable[[Mapping[str, Any]], object]:
    """A function that writes one row to `file`, below a header with `names`. A row without one of them has an empty
    field there, and what is neither text nor nothing stands in it as JSON.
    """
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
