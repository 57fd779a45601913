"""The answers in the input's order, and the failed rows with their reasons: assembled from the input and the rows that
are over, of all stages that the run has come to.

Both files are written beside their place and put there in one step, so what lies under the output's name is always
whole. One row is in memory at a time.

The input is read for that, since rows that failed are written as they stand there; where all are done, and the file is
what it was, it is not. A row that is not the one that was read when the run began is not put beside the answers of that
one: it fails, and the answers stand with it in the failed file.

The output has the rows of the last stage. Where the run has not come to it, nobody knows a row of it, and what an
earlier run has written stays. The failed file has rows of the input, each once, so that it is an input as
it stands: where what failed was made of one by splits, it stands there with which of its items failed.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress

import attrs

from penstock import ConfigError, Problem
from penstock_batch.pipeline.loading import Pipeline
from penstock_batch.pipeline.selection import selected
from penstock_batch.pipeline.steps import RESPONSE
from penstock_batch.rows.lines import json_line
from penstock_batch.rows.openai_lines import answered_line, unanswered_line
from penstock_batch.rows.own_files import OutputLost, looks_like_failed_rows, written
from penstock_batch.rows.reader import InputProblem
from penstock_batch.rows.target import STANDARD, store_beside
from penstock_batch.running.deriving import StageRows
from penstock_batch.running.failures import FailedRows
from penstock_batch.running.results import NoRoom
from penstock_batch.running.rows_over import Failure, input_rows, record_of
from penstock_batch.running.staged import StagedRows
from penstock_batch.store.store import Store

__all__ = [
    "Assembled",
    "assemble",
    "claim_output",
    "refuse_to_replace",
    "remove_results",
]


@attrs.define
class Assembled:
    """The counts of the rows among the first `limit`: `done` are in the output, `failed` in the failed file with
    `reasons` (reason to count), the others are `open`.
    """

    done: int
    failed: int
    open: int
    reasons: dict[str, int]


def assemble(pipeline: Pipeline, staged: StagedRows) -> Assembled:
    """The counts of a run, after the output and the failed file are written. The counts are of the rows within the
    run's limit, the files of all rows that are known. Where the run has not come to its last stage, rows that are done
    before are open, and the output is left as it is.

    Raises `OutputLost` if they cannot be written, or if the input cannot be read any more.
    """
    counts = Assembled(0, 0, 0, {})
    try:
        with (
            _output(pipeline, staged) as put,
            written(pipeline.failed, pipeline.store, mark=staged.mark, keep_empty=False) as failures,
            FailedRows(failures) as failed,
        ):
            if _as_they_lie(pipeline, staged):
                for line in staged.last.results.lines():
                    put(line)
                counts.done = staged.last.rows
                return counts
            for stage in reversed(staged.reached):  # of what was made of a row it is known then what has failed
                _stage(pipeline, staged, stage, put, failed, counts)
    except InputProblem as problem:
        reason = f"the input cannot be read any more, and has to be put back: {problem}"
        raise OutputLost(pipeline.target.path, reason, pipeline.store) from None
    except NoRoom as error:
        raise OutputLost(pipeline.target.path, str(error), pipeline.store) from None
    return counts


def _nowhere(line: bytes) -> None:
    """The place of rows that are not written."""


@contextmanager
def _output(pipeline: Pipeline, staged: StagedRows) -> Iterator[Callable[[bytes], object]]:
    """What takes the rows of the output; nothing is written where the run has not come to its rows."""
    if not staged.complete:
        yield _nowhere
        return
    columns = pipeline.columns
    with pipeline.target.rows(pipeline.output_names, pipeline.store, pipeline.source, columns, mark=staged.mark) as put:
        yield put


def _as_they_lie(pipeline: Pipeline, staged: StagedRows) -> bool:
    """Whether the lines of the rows that are over are the output, and nobody needs to look at the input once more."""
    if len(pipeline.stages) > 1 or pipeline.target.form == "openai-batch":
        return False
    return staged.last.results.all_done(pipeline.facts.rows) and pipeline.input_is_still()


def _stage(
    pipeline: Pipeline,
    staged: StagedRows,
    stage: StageRows,
    put: Callable[[bytes], object],
    failed: FailedRows,
    counts: Assembled,
) -> None:
    """Write the rows of one stage, and count them."""
    as_openai = pipeline.target.form == "openai-batch"
    for index, row in input_rows(stage):
        record = record_of(index, row, stage)
        within = stage.limit is None or index < stage.limit
        failed.seen(row, record, stage)
        if record is None:
            counts.open += within
        elif isinstance(record, Failure):
            if as_openai:
                put(unanswered_line(record.row, record.error, called=record.step is not None))
            if within:
                counts.failed += 1
                counts.reasons[record.cause] = counts.reasons.get(record.cause, 0) + 1
        elif stage is not staged.last:
            continue  # what has become of it is told by the next stage
        elif not staged.complete:
            counts.open += within
        else:
            counts.done += within
            if as_openai:
                put(answered_line(record.record, RESPONSE))
            else:
                put(record.line if pipeline.columns is None else json_line(selected(record.record, pipeline.columns)))


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
