"""Rows of Parquet and of Arrow's own files and streams, some at a time.

Of Parquet a batch of rows is read, by a small buffer for each column and not its whole row group. An Arrow file is
read by the batches that its writer cut. Neither is mapped into memory: a mapped file that somebody shortens ends the
process.

A value that has no place in JSON costs its row. A file that is cut short, or damaged inside, is the file's fault, since
what follows cannot be found.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any, Final

import pyarrow as pa
import pyarrow.parquet as pq

from penstock_batch.rows.arrow_values import plain
from penstock_batch.rows.lines import json_bytes
from penstock_batch.rows.row import BadRow, InputProblem, Row, digested

__all__ = ["ArrowReader", "ParquetReader", "arrow_schema"]

_ROWS: Final = 1000
_BUFFER: Final = 1 << 18
_FILE: Final = b"ARROW1"


class ParquetReader:
    """The reader of Parquet."""

    def rows(self, path: Path) -> Iterator[Row | BadRow]:
        """The rows of a file, in order."""
        with path.open("rb") as file, _damage(path, "Parquet"):
            opened = _parquet(file)
            yield from _rows(path, opened.schema_arrow, opened.iter_batches(_ROWS))

    def header(self, path: Path) -> list[str]:
        """The columns of the file's schema."""
        return _names(path, arrow_schema(path, parquet=True))


class ArrowReader:
    """The reader of Arrow's IPC files (also called Feather) and streams, told apart by how they begin."""

    def rows(self, path: Path) -> Iterator[Row | BadRow]:
        """The rows of a file, in order."""
        with path.open("rb") as file, _damage(path, "Arrow"):
            schema, batches = _ipc(file)
            yield from _rows(path, schema, (part for batch in batches for part in _cut(batch)))

    def header(self, path: Path) -> list[str]:
        """The columns of the file's schema."""
        return _names(path, arrow_schema(path, parquet=False))


def arrow_schema(path: Path, *, parquet: bool) -> pa.Schema:
    """The schema of a Parquet or an Arrow file. Raises `InputProblem`."""
    with path.open("rb") as file, _damage(path, "Parquet" if parquet else "Arrow"):
        return _parquet(file).schema_arrow if parquet else _ipc(file)[0]


@contextmanager
def _damage(path: Path, what: str) -> Iterator[None]:
    try:
        yield
    except (pa.ArrowException, OSError) as error:
        if isinstance(error, OSError) and error.errno is not None:
            raise
        said = " ".join(str(error).split())[:200]
        raise InputProblem(f"{path}: is no {what} file, or a damaged one: {said}") from None


def _parquet(file: IO[bytes]) -> Any:
    # The buffer is what makes it read on page by page; `pre_buffer` would fetch whole row groups.
    return pq.ParquetFile(file, buffer_size=_BUFFER, pre_buffer=False)


def _ipc(file: IO[bytes]) -> tuple[pa.Schema, Iterator[pa.RecordBatch]]:
    begins = file.read(len(_FILE))
    file.seek(0)
    if begins == _FILE:
        opened = pa.ipc.open_file(file)
        return opened.schema, (opened.get_batch(place) for place in range(opened.num_record_batches))
    stream = pa.ipc.open_stream(file)
    return stream.schema, iter(stream)


def _cut(batch: pa.RecordBatch) -> Iterator[pa.RecordBatch]:
    for start in range(0, batch.num_rows, _ROWS):
        yield batch.slice(start, _ROWS)


def _names(path: Path, schema: pa.Schema) -> list[str]:
    names = list(schema.names)
    twice = next((name for name in names if names.count(name) > 1), None)
    if twice is not None:
        raise InputProblem(f"{path}: the schema has the column {twice!r} twice")
    return names


def _rows(path: Path, schema: pa.Schema, batches: Iterator[pa.RecordBatch]) -> Iterator[Row | BadRow]:
    names = _names(path, schema)
    index = 0
    for batch in batches:
        for made in _batch(path, names, batch):
            yield digested(made(index))
            index += 1


def _batch(path: Path, names: list[str], batch: pa.RecordBatch) -> Iterator[Callable[[int], Row | BadRow]]:
    try:
        columns = [plain(batch.column(place)) for place in range(len(names))]
    except ValueError:  # a value of some row: each by itself, to find out of which
        yield from (_single(names, batch.slice(place, 1)) for place in range(batch.num_rows))
        return
    except TypeError:
        raise _no_place(path, names, batch) from None
    rows = zip(*columns, strict=True) if columns else iter([()] * batch.num_rows)
    for values in rows:
        yield _maker(dict(zip(names, values, strict=True)))


def _maker(values: dict[str, Any]) -> Callable[[int], Row | BadRow]:
    return lambda index: Row(index, index + 1, values)


def _single(names: list[str], row: pa.RecordBatch) -> Callable[[int], Row | BadRow]:
    values: dict[str, Any] = {}
    problem: str | None = None
    for place, name in enumerate(names):
        try:
            values[name] = plain(row.column(place))[0]
        except UnicodeDecodeError:
            problem = problem or f"{name!r} is not UTF-8"
        except ValueError as error:
            problem = problem or f"{name!r} cannot be read: {error}"
    if problem is None:
        return _maker(values)
    said = problem
    return lambda index: BadRow(index, index + 1, said, json_bytes(values).decode()[:500])


def _no_place(path: Path, names: list[str], batch: pa.RecordBatch) -> InputProblem:
    for place, name in enumerate(names):
        try:
            plain(batch.column(place))
        except TypeError as error:
            return InputProblem(f"{path}: the column {name!r}: {error}")
        except ValueError:
            continue
    raise AssertionError("no column has a type without a place")
