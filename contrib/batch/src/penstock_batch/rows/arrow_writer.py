"""Rows as Parquet or Arrow: first put aside, while the types of their columns are found, then written.

A file of either kind begins with its types, and those are known when the last row has come. Columns of an input that
has types keep them, as long as every value still is one of the type: a timestamp that came in as one goes out as one.
"""

from __future__ import annotations

import json
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import IO, Any, Final

import pyarrow as pa
import pyarrow.parquet as pq

from penstock_batch.rows.arrow_types import ColumnType
from penstock_batch.rows.arrow_values import restored, returning
from penstock_batch.rows.formats import Format

__all__ = ["arrow_rows_to"]

_ROWS: Final = 10_000
_BYTES: Final = 32 << 20
"""The most of rows, and of their text, that one row group takes."""
_AT_ONCE: Final = 256


@contextmanager
def arrow_rows_to(
    file: IO[bytes],
    form: Format,
    names: Sequence[str],
    came_as: pa.Schema | None = None,
    came_from: Mapping[str, str] | None = None,
) -> Iterator[Callable[[bytes], object]]:
    """A function that takes one row after another, each a line of JSON; they are in `file` when the block ends.
    `came_as` are the types of the input, if it has any, and `came_from` the columns there that have other names.
    """
    columns = [_Column(name, _type_of((came_from or {}).get(name, name), came_as)) for name in names]
    with tempfile.TemporaryFile() as aside:

        def put(line: bytes) -> None:
            row = json.loads(line)
            for column in columns:
                column.see(row.get(column.name))
            aside.write(line)

        yield put
        aside.seek(0)
        schema = pa.schema([(column.name, column.type()) for column in columns])
        with _opened(file, form, schema) as write:
            for rows in _groups(aside):
                arrays = [column.array([row.get(column.name) for row in rows]) for column in columns]
                write(pa.record_batch(arrays, schema=schema))


def _type_of(name: str, came_as: pa.Schema | None) -> pa.DataType | None:
    return None if came_as is None or name not in came_as.names else returning(came_as.field(name).type)


class _Column:
    """One column: the type that it came with, while every value still has it, and the type that all values have."""

    def __init__(self, name: str, came_as: pa.DataType | None) -> None:
        self.name = name
        self._came_as = came_as
        self._found = ColumnType()
        self._not_looked_at: list[Any] = []

    def see(self, value: Any) -> None:
        self._found.see(value)
        if self._came_as is not None and value is not None:
            self._not_looked_at.append(value)
            if len(self._not_looked_at) >= _AT_ONCE:
                self._look()

    def _look(self) -> None:
        values, self._not_looked_at = self._not_looked_at, []
        if self._came_as is not None and not _holds(self._came_as, values):
            self._came_as = None

    def type(self) -> pa.DataType:
        self._look()
        return self._found.type() if self._came_as is None else self._came_as

    def array(self, values: list[Any]) -> pa.Array:
        return pa.array(values, self.type()) if self._is_plain() else _array(values, self.type())

    def _is_plain(self) -> bool:
        return self._came_as is None and self.type() != pa.json_()


def _holds(kind: pa.DataType, values: list[Any]) -> bool:
    try:
        _array(values, kind)
    except (ValueError, TypeError, AttributeError, OverflowError, pa.ArrowException):
        return False
    return True


def _array(values: list[Any], kind: pa.DataType) -> pa.Array:
    made = [restored(value, kind) for value in values]
    if isinstance(kind, pa.BaseExtensionType):
        return pa.ExtensionArray.from_storage(kind, pa.array(made, kind.storage_type))
    return pa.array(made, kind)


def _groups(aside: IO[bytes]) -> Iterator[list[dict[str, Any]]]:
    rows: list[dict[str, Any]] = []
    size = 0
    for line in aside:
        rows.append(json.loads(line))
        size += len(line)
        if len(rows) >= _ROWS or size >= _BYTES:
            yield rows
            rows, size = [], 0
    if rows:
        yield rows


@contextmanager
def _opened(file: IO[bytes], form: Format, schema: pa.Schema) -> Iterator[Callable[[pa.RecordBatch], object]]:
    if form == "parquet":
        with pq.ParquetWriter(file, schema) as parquet:
            yield parquet.write_batch
    else:
        opened = pa.ipc.new_file if form == "arrow" else pa.ipc.new_stream
        with opened(file, schema) as ipc:
            yield ipc.write_batch
