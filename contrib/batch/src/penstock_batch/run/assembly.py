"""The answers in the input's order, and the failed rows with their reasons: assembled from the input and the rows that
are over.

Both files are written beside their place and put there in one step, so what lies under the output's name is always
whole. One row is in memory at a time.

A row that is not the one that was read when the run began is not put beside the answers of that one: it fails, and the
answers stand with it in the failed file.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final

import attrs

from penstock import ConfigError, Problem
from penstock_batch.pipeline.loading import Pipeline
from penstock_batch.rows.failed_rows import failed_line
from penstock_batch.rows.formats import row_writer
from penstock_batch.rows.lines import json_line
from penstock_batch.rows.own_files import OutputLost, looks_like_failed_rows, written
from penstock_batch.rows.reader import BadRow, InputProblem, Row, read_rows
from penstock_batch.run.results import NoRoom, Result, Results

__all__ = ["CHANGED", "Assembled", "assemble", "refuse_to_replace", "remove_results"]

CHANGED: Final = "changed while it ran"
"""The reason of a row that the input has no more."""


@attrs.frozen
class Assembled:
    """The counts of the rows among the first `limit`: `done` are in the output, `failed` in the failed file with
    `reasons` (reason to count), the others are `open`.
    """

    done: int
    failed: int
    open: int
    reasons: dict[str, int]


def assemble(pipeline: Pipeline, results: Results, limit: int | None) -> Assembled:
    """The counts of a run, after the output and the failed file are written. The counts are of the first `limit` rows,
    the files of all rows that are known.

    Raises `OutputLost` if they cannot be written, or if the input cannot be read any more.
    """
    done = failed = still_open = 0
    reasons: dict[str, int] = {}
    try:
        with (
            written(pipeline.output, pipeline.store) as output,
            written(pipeline.failed, pipeline.store, keep_empty=False) as failures,
        ):
            as_it_is = pipeline.written_as == "jsonl"
            put = row_writer(pipeline.written_as, output, pipeline.output_names)
            for index, record in _records(pipeline, results, limit):
                within = limit is None or index < limit
                if record is None:
                    still_open += within
                elif isinstance(record, _Failure):
                    failures.write(json_line(record.as_line()))
                    if within:
                        failed += 1
                        reason = f"{record.step}: {record.error}" if record.step else record.reason
                        reasons[reason] = reasons.get(reason, 0) + 1
                else:
                    if as_it_is:
                        output.write(record.line)
                    else:
                        put(record.record)
                    done += within
    except InputProblem as problem:
        reason = f"the input cannot be read any more, and has to be put back: {problem}"
        raise OutputLost(pipeline.output, reason, pipeline.store) from None
    except NoRoom as error:
        raise OutputLost(pipeline.output, str(error), pipeline.store) from None
    return Assembled(done, failed, still_open, reasons)


@attrs.frozen
class _Failure:
    """A line of the failed file (`failed_rows.py`). `line` is the input's, from 1; `row` its columns, or `None` and the
    beginning of its `text`; `words` are the last of the model. `answers` are those of the row that stood there before.
    """

    line: int | None
    step: str | None
    error: str
    row: dict[str, Any] | None
    text: str | None = None
    answers: dict[str, Any] | None = None
    reason: str = "unreadable row"
    words: Any = None

    def as_line(self) -> dict[str, Any]:
        failure = {"line": self.line, "step": self.step, "error": self.error, "answer": self.words}
        more = {"text": self.text, "answers": self.answers}
        return failed_line(self.row, failure | {name: value for name, value in more.items() if value is not None})


def _records(pipeline: Pipeline, results: Results, limit: int | None) -> Iterator[tuple[int, Result | _Failure | None]]:
    """What there is of each row of the input, and of those that it has no more."""
    facts = pipeline.facts
    index = -1
    for row in read_rows(pipeline.input, pipeline.form):
        index = row.index
        if index >= facts.rows:  # it came after the run had begun, and belongs to the next
            return
        within = limit is None or index < limit
        if facts.unchanged(row):
            yield index, _record(row, results) if within or isinstance(row, Row) else None
        elif within:
            values = row.values if isinstance(row, Row) else None
            text = None if isinstance(row, Row) else row.text
            yield index, _changed(index, row.line, values, text, results, pipeline)
    for gone in range(index + 1, facts.rows if limit is None else min(limit, facts.rows)):
        yield gone, _changed(gone, None, None, None, results, pipeline)


def _changed(
    index: int, line: int | None, values: dict[str, Any] | None, text: str | None, results: Results, pipeline: Pipeline
) -> _Failure:
    result = results.of(index)
    known = {} if result is None or result.kind == "failed" else result.record
    answers = {name: known[name] for step in pipeline.steps for name in step.output_names if name in known}
    return _Failure(line, None, CHANGED, values, text, answers, CHANGED)


def _record(row: Row | BadRow, results: Results) -> Result | _Failure | None:
    if isinstance(row, BadRow):
        return _Failure(row.line, None, f"line {row.line}: {row.problem}", None, row.text)
    result = results.of(row.index)
    if result is None or result.kind == "done":
        return result
    why = result.record
    return _Failure(row.line, why["step"], why["error"], row.values, words=why["words"])


def refuse_to_replace(pipeline: Pipeline, *, overwrite: bool) -> None:
    """Check that no file is replaced that no run made: an output without a store beside it, unless `overwrite`, and
    failed rows that are none. Raises `ConfigError`.
    """
    made_by_a_run = pipeline.store.exists() or pipeline.journal.exists()
    if not overwrite and pipeline.output.exists() and not made_by_a_run:
        what = "exists, but not the store of the run that made it; --overwrite replaces it"
        raise ConfigError(Problem((), what, str(pipeline.output)))
    if not looks_like_failed_rows(pipeline.failed):
        what = "was not written by a run, which would put its failed rows there; move it away or name another output"
        raise ConfigError(Problem((), what, str(pipeline.failed)))


def remove_results(pipeline: Pipeline) -> None:
    """Remove the files that an earlier run left beside its store, for `--overwrite`. Raises `ConfigError`."""
    for path in (pipeline.output, pipeline.failed):
        try:
            path.unlink(missing_ok=True)
        except OSError as error:
            raise ConfigError(Problem((), f"cannot be removed: {error.strerror or error}", str(path))) from None
