"""The answers in the input's order, and the failed rows with their reasons: assembled from the input and the rows that
are over.

Both files are written beside their place and put there in one step, so what lies under the output's name is always
whole. One row is in memory at a time.

A row that is not the one that was read when the run began is not put beside the answers of that one: it fails, and the
answers stand with it in the failed file.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import suppress
from typing import Any, Final

import attrs

from penstock import ConfigError, Problem
from penstock_batch.pipeline.loading import Pipeline
from penstock_batch.pipeline.steps import RESPONSE
from penstock_batch.rows.failed_rows import failed_line
from penstock_batch.rows.lines import json_line
from penstock_batch.rows.openai_lines import answered_line, unanswered_line
from penstock_batch.rows.own_files import OutputLost, looks_like_failed_rows, written
from penstock_batch.rows.reader import BadRow, InputProblem, Row
from penstock_batch.rows.target import STANDARD, store_beside
from penstock_batch.running.results import NoRoom, Result, Results
from penstock_batch.store.store import Store

__all__ = [
    "CHANGED",
    "Assembled",
    "Failure",
    "assemble",
    "claim_output",
    "input_rows",
    "record_of",
    "refuse_to_replace",
    "remove_results",
]

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
            pipeline.target.rows(pipeline.output_names, pipeline.store, pipeline.source) as put,
            written(pipeline.failed, pipeline.store, keep_empty=False) as failures,
        ):
            as_openai = pipeline.target.form == "openai-batch"
            for index, row in input_rows(pipeline, limit):
                record = record_of(index, row, pipeline, results)
                within = limit is None or index < limit
                if record is None:
                    still_open += within
                elif isinstance(record, Failure):
                    failures.write(json_line(record.as_line()))
                    if as_openai:
                        put(unanswered_line(record.row, record.error, called=record.step is not None))
                    if within:
                        failed += 1
                        reasons[record.cause] = reasons.get(record.cause, 0) + 1
                else:
                    put(answered_line(record.record, RESPONSE) if as_openai else record.line)
                    done += within
    except InputProblem as problem:
        reason = f"the input cannot be read any more, and has to be put back: {problem}"
        raise OutputLost(pipeline.target.path, reason, pipeline.store) from None
    except NoRoom as error:
        raise OutputLost(pipeline.target.path, str(error), pipeline.store) from None
    return Assembled(done, failed, still_open, reasons)


@attrs.frozen
class Failure:
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

    @property
    def cause(self) -> str:
        """By which failures are counted."""
        return f"{self.step}: {self.error}" if self.step else self.reason

    def as_line(self) -> dict[str, Any]:
        failure = {"line": self.line, "step": self.step, "error": self.error, "answer": self.words}
        more = {"text": self.text, "answers": self.answers}
        return failed_line(self.row, failure | {name: value for name, value in more.items() if value is not None})


def input_rows(pipeline: Pipeline, limit: int | None) -> Iterator[tuple[int, Row | BadRow | None]]:
    """The rows of the input by their index, and `None` for each that it has no more. Raises `InputProblem`.

    Of those beyond `limit` only what may be in the output: rows that can be read, and are what they were.
    """
    facts = pipeline.facts
    index = -1
    for row in pipeline.rows():
        index = row.index
        if index >= facts.rows:  # it came after the run had begun, and belongs to the next
            return
        if limit is None or index < limit or (isinstance(row, Row) and facts.unchanged(row)):
            yield index, row
    for gone in range(index + 1, facts.rows if limit is None else min(limit, facts.rows)):
        yield gone, None


def record_of(index: int, row: Row | BadRow | None, pipeline: Pipeline, results: Results) -> Result | Failure | None:
    """What has become of a row of the input: `None` while it is open."""
    if row is None:
        return _changed(index, None, None, None, results, pipeline)
    if not pipeline.facts.unchanged(row):
        values = row.values if isinstance(row, Row) else None
        text = None if isinstance(row, Row) else row.text
        return _changed(index, row.line, values, text, results, pipeline)
    return _record(row, results)


def _changed(
    index: int, line: int | None, values: dict[str, Any] | None, text: str | None, results: Results, pipeline: Pipeline
) -> Failure:
    result = results.of(index)
    known = {} if result is None or result.kind == "failed" else result.record
    answers = {name: known[name] for step in pipeline.steps for name in step.output_names if name in known}
    return Failure(line, None, CHANGED, values, text, answers, CHANGED)


def _record(row: Row | BadRow, results: Results) -> Result | Failure | None:
    if isinstance(row, BadRow):
        return Failure(row.line, None, f"line {row.line}: {row.problem}", None, row.text)
    result = results.of(row.index)
    if result is None or result.kind == "done":
        return result
    why = result.record
    return Failure(row.line, why["step"], why["error"], row.values, words=why["words"])


def refuse_to_replace(pipeline: Pipeline, *, overwrite: bool) -> None:
    """Check that no file is replaced that no run made: an output without a store beside it, unless `overwrite`, and
    failed rows that are none. Raises `ConfigError`.
    """
    made_by_a_run = pipeline.store.exists() or pipeline.journal.exists()
    what = pipeline.target.occupied(ours=overwrite or made_by_a_run)
    if what is not None:
        raise ConfigError(Problem((), what, str(pipeline.target.path)))
    if not looks_like_failed_rows(pipeline.failed):
        what = "was not written by a run, which would put its failed rows there; move it away or name another output"
        raise ConfigError(Problem((), what, str(pipeline.failed)))


def claim_output(pipeline: Pipeline, store: Store, *, overwrite: bool) -> None:
    """Check that what lies at the output's place was put there by a run over this store, or may be replaced, where the
    store lies elsewhere or the output is one table of a file; from now on it is this store's. Raises `ConfigError`.
    """
    target = pipeline.target
    if target.path == STANDARD or (target.table is None and pipeline.store == store_beside(target.path)):
        return  # a store that lies beside its output says so itself
    place = os.path.relpath(target.path, pipeline.store.parent)
    name = f"output {place}" if target.table is None else f"output {place} {target.table}"
    known = store.fact(name) is not None
    what = target.occupied(ours=overwrite or known)
    if what is not None:
        raise ConfigError(Problem((), what, str(target.path)))
    if not known:
        store.note(name, "")
        store.commit()


def remove_results(pipeline: Pipeline) -> None:
    """Remove the files that an earlier run left beside its store, for `--overwrite`. Raises `ConfigError`."""
    for path, remove in ((pipeline.target.path, pipeline.target.remove), (pipeline.failed, pipeline.failed.unlink)):
        try:
            with suppress(FileNotFoundError):
                remove()
        except OSError as error:
            raise ConfigError(Problem((), f"cannot be removed: {error.strerror or error}", str(path))) from None
