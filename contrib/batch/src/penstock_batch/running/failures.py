"""The failed file: rows of the input, each once, whatever has failed of it.

A row that was made of others is no row of the input. What failed of those that were split off a row of the input stands
with that row: the first item that did says why, the others are told with it. A row that was gathered of many has no row
of the input; it stands at the end of the file, and cannot be read from there.
"""

from __future__ import annotations

import json
import tempfile
from typing import IO, Any, Final, Self

from penstock_batch.rows.failed_rows import failed_line
from penstock_batch.rows.lines import json_bytes, json_line
from penstock_batch.rows.reader import BadRow, Row
from penstock_batch.running.deriving import StageRows
from penstock_batch.running.results import Result
from penstock_batch.running.rows_over import Failure

__all__ = ["FailedRows"]

_SHOWN: Final = 500
_MOST_TOLD: Final = 100
"""Failures that are told of one row of the input."""


class FailedRows:
    """The failures of a run, written to `file` as rows come: those of later stages first. Use as a context manager."""

    def __init__(self, file: IO[bytes]) -> None:
        self._file = file
        self._aside = tempfile.TemporaryFile()  # noqa: SIM115  # closed by `__exit__`
        self._of_line: dict[int, list[int]] = {}
        """Where the failures of what was made of each line of the input lie."""
        self._gathered: list[int] = []

    def seen(self, row: Row | BadRow | None, record: Result | Failure | None, stage: StageRows) -> None:
        """Take note of what has become of a row."""
        if stage.origin is not None:
            if isinstance(record, Failure):
                self._keep(record)
            return
        before = [] if row is None else self._of_line.pop(row.line, [])
        if isinstance(record, Failure):
            self._write(record.row, [record.fields, *self._read(before)])
        elif before and isinstance(row, Row):
            self._write(row.values, self._read(before))

    def _keep(self, record: Failure) -> None:
        place = self._aside.seek(0, 2)
        if record.line is None:
            fields = {**record.fields, "text": json_bytes(record.row).decode()[:_SHOWN]}
            self._gathered.append(place)
        else:
            fields = record.fields
            self._of_line.setdefault(record.line, []).append(place)
        self._aside.write(json_line(fields))

    def _read(self, places: list[int]) -> list[dict[str, Any]]:
        found = []
        for place in places[:_MOST_TOLD]:
            self._aside.seek(place)
            found.append(json.loads(self._aside.readline()))
        return sorted(found, key=lambda failure: failure.get("items") or [])

    def _write(self, row: dict[str, Any] | None, failures: list[dict[str, Any]]) -> None:
        first, *others = failures
        if others:
            first = {**first, "others": others}
        self._file.write(json_line(failed_line(row, first)))

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: object, *_: object) -> None:
        try:
            if kind is None:
                left = [place for places in self._of_line.values() for place in places]
                for place in (*left, *self._gathered):
                    self._write(None, self._read([place]))
        finally:
            self._aside.close()
