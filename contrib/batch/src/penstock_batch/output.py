"""The answers in the input's order, and the failed rows with their reasons: assembled from input and journal.

Both files are written beside their place and put there in one step, so what lies under the output's name is always
whole. One row is in memory at a time.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO, Any

import attrs

from penstock import ConfigError, Problem
from penstock_batch.journal import Journal
from penstock_batch.lines import json_line
from penstock_batch.pipeline import Pipeline
from penstock_batch.reader import BadRow, Row, read_rows

__all__ = ["Assembled", "assemble", "refuse_to_replace", "remove_results"]


@attrs.frozen
class Assembled:
    """The counts of the rows among the first `limit`: `done` are in the output, `failed` in the failed file with
    `reasons` (reason to count), the others are `open`.
    """

    done: int
    failed: int
    open: int
    reasons: dict[str, int]


def assemble(pipeline: Pipeline, journal: Journal, limit: int | None) -> Assembled:
    """The counts of a run, after the output and the failed file are written. The counts are of the first `limit` rows,
    the files of all rows that are known.

    Raises `ConfigError` if they cannot be written.
    """
    done = failed = still_open = 0
    reasons: dict[str, int] = {}
    with _written(pipeline.output) as output, _written(pipeline.failed, keep_empty=False) as failures:
        for row in read_rows(pipeline.input, pipeline.form):
            within = limit is None or row.index < limit
            record = _record(row, journal, pipeline) if within or isinstance(row, Row) else None
            if record is None:
                still_open += within
            elif isinstance(record, _Failure):
                failures.write(json_line(attrs.asdict(record)))
                if within:
                    failed += 1
                    reason = f"{record.step}: {record.error}" if record.step else "unreadable row"
                    reasons[reason] = reasons.get(reason, 0) + 1
            else:
                output.write(json_line(record))
                done += within
    return Assembled(done, failed, still_open, reasons)


@attrs.frozen
class _Failure:
    """A line of the failed file. `line` is the input's, from 1; `row` its columns, or `None` and the beginning of its
    `text`.
    """

    line: int
    step: str | None
    error: str
    row: dict[str, Any] | None
    text: str | None = None


def _record(row: Row | BadRow, journal: Journal, pipeline: Pipeline) -> dict[str, Any] | _Failure | None:
    if isinstance(row, BadRow):
        return _Failure(row.line, None, f"line {row.line}: {row.problem}", None, row.text)
    if journal.done(row.index):
        return {**row.values, **{step.name: journal.value(row.index, step.name) for step in pipeline.steps}}
    error = journal.error(row.index)
    return None if error is None else _Failure(row.line, error[0], error[1], row.values)


@contextmanager
def _written(path: Path, *, keep_empty: bool = True) -> Iterator[IO[bytes]]:
    beside = path.with_name(f"{path.name}.part")
    try:
        with beside.open("wb") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
            empty = file.tell() == 0
        if empty and not keep_empty:
            beside.unlink()
            path.unlink(missing_ok=True)
        else:
            beside.replace(path)
    except BaseException as error:
        with suppress(OSError):
            beside.unlink(missing_ok=True)
        if not isinstance(error, OSError):
            raise
        raise ConfigError(Problem((), f"cannot be written: {error.strerror or error}", str(path))) from None


def refuse_to_replace(pipeline: Pipeline) -> None:
    """Check that no file lies at the output's place that has no journal beside it. Raises `ConfigError`."""
    if pipeline.output.exists() and not pipeline.journal.exists():
        what = "exists, but not the journal of the run that made it; --overwrite replaces it"
        raise ConfigError(Problem((), what, str(pipeline.output)))


def remove_results(pipeline: Pipeline) -> None:
    """Remove the files that an earlier run left beside its journal, for `--overwrite`. Raises `ConfigError`."""
    for path in (pipeline.output, pipeline.failed):
        try:
            path.unlink(missing_ok=True)
        except OSError as error:
            raise ConfigError(Problem((), f"cannot be removed: {error.strerror or error}", str(path))) from None
