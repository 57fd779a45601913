"""A run in a thread of its own, with a trio loop of its own: so it is the same whatever runs, or does not, outside."""

from __future__ import annotations

import atexit
import threading
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Final
from weakref import WeakSet

import trio

from penstock_batch.api.handover import Handover
from penstock_batch.api.results import BatchResult, BatchSummary, RowFailure
from penstock_batch.pipeline.loading import Pipeline
from penstock_batch.pipeline.selection import selected
from penstock_batch.rows.reader import BadRow, Row
from penstock_batch.running.assembly import Assembled, assemble, claim_output
from penstock_batch.running.deriving import StageRows
from penstock_batch.running.lineage import Origin
from penstock_batch.running.progress import ProgressKind
from penstock_batch.running.results import Result
from penstock_batch.running.rows_over import Failure, input_rows, record_of
from penstock_batch.running.runner import BatchRun
from penstock_batch.running.staged import StagedRows
from penstock_batch.running.summary import summary_lines
from penstock_batch.running.taking_over import take_over
from penstock_batch.running.whole_run import Ran, run_rows
from penstock_batch.running.workplaces import clear_before_anew, workplace_of
from penstock_batch.store.aside import forget_aside, note_aside, put_aside
from penstock_batch.store.store import Store

__all__ = ["BatchWorker"]

_EXIT_GRACE: Final = 5.0
"""Seconds that the end of the process waits for runs that were left open."""

_workers: Final[WeakSet[BatchWorker]] = WeakSet()


class BatchWorker:
    """One run. It begins with `start`, and hands each row over when its turn in the input's order has come."""

    def __init__(
        self,
        pipeline: Pipeline,
        *,
        limit: int | None,
        plugins: Sequence[Path],
        progress: ProgressKind,
        overwrite: bool,
        writes: bool,
        needs: object = None,
    ) -> None:
        self.handover = Handover()
        self.error: BaseException | None = None
        self.summary: BatchSummary | None = None
        self._pipeline = pipeline
        self._limit = limit
        self._plugins = plugins
        self._progress = progress
        self._overwrite = overwrite
        self._writes = writes
        self._needs = needs  # what must be there as long as this is: files, say, that go with an object
        self._changed = trio.Event()
        self._ended = False
        self._done = self._failed = 0
        self._reasons: dict[str, int] = {}
        self._lock = threading.Lock()
        self._stop_at_once: bool | None = None
        self._run: BatchRun | None = None
        self._token: trio.lowlevel.TrioToken | None = None
        self._started = False
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._carry_out, name="penstock batch", daemon=True)

    # -- for any thread --

    def start(self) -> None:
        """Begin."""
        _workers.add(self)
        self._started = True  # before the thread is: an interrupt may come while it begins
        self._thread.start()

    def stop(self, *, at_once: bool) -> None:
        """Have the run end: calls in flight may come back, or are cancelled `at_once`. Returns without waiting."""
        self.handover.leave()
        with self._lock:
            self._stop_at_once = at_once or bool(self._stop_at_once)
            token = self._token
        if token is not None:
            with suppress(trio.RunFinishedError):
                token.run_sync_soon(self._heed_stop)

    def join(self, seconds: float | None = None) -> None:
        """Wait for the end of the thread."""
        if self._started and self._over.wait(seconds):
            self._thread.join(seconds)

    # -- the thread --

    def _carry_out(self) -> None:
        pipeline = self._pipeline
        try:
            if self._overwrite:
                clear_before_anew(pipeline)
            aside = self._overwrite and put_aside(pipeline.store)
            with (
                Store(pipeline.store) as store,
                StagedRows(pipeline, self._limit, workplace_of(pipeline, store), self._wake) as staged,
            ):
                if aside:
                    note_aside(store)
                if self._writes:
                    claim_output(pipeline, store, overwrite=self._overwrite)
                take_over(pipeline, store)
                ran = trio.run(self._main, store, staged)
                self._finish(ran, staged)
                if self.error is None and self.summary is not None and staged.complete and not self.summary.open:
                    forget_aside(store)
        except BaseException as error:
            self.error = self.error or error
        finally:
            self._run = self._needs = None
            self.handover.end()
            self._over.set()

    async def _main(self, store: Store, staged: StagedRows) -> Ran | None:
        with self._lock:
            self._token = trio.lowlevel.current_trio_token()
            if self._stop_at_once is not None:
                return None
        ran: Ran | None = None
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self._hand_over, staged)
            try:
                ran = await run_rows(
                    self._pipeline,
                    store,
                    staged,
                    plugins=self._plugins,
                    progress=self._progress,
                    on_begun=self._began,
                )
                self.error = ran.broken
            except Exception as error:
                self.error = error
            self._ended = True
            self._changed.set()
        return ran

    def _began(self, run: BatchRun) -> None:
        self._run = run
        self._heed_stop()

    def _heed_stop(self) -> None:
        if self._run is not None and self._stop_at_once is not None and not self._ended:
            self._run.interrupted = True
            self._run.stop(at_once=self._stop_at_once)

    async def _hand_over(self, staged: StagedRows) -> None:
        """Hand over each row in its turn: those of the last stage as they are done, and what has failed in each."""
        try:
            for number in range(len(self._pipeline.stages)):
                last = number == len(self._pipeline.stages) - 1
                while len(staged.reached) <= number + (not last) and not self._ended:
                    await self._wait()  # of a stage before the last all is known when the next one is there
                if number < len(staged.reached) and not await self._hand_over_stage(staged.reached[number], last):
                    return
        except Exception as error:
            self.error = self.error or error
            if self._run is not None:
                self._run.stop(at_once=False)

    async def _hand_over_stage(self, stage: StageRows, last: bool) -> bool:
        """Hand over the rows of one stage, or only what has failed of it. False: nobody wants them any more."""
        for index, row in input_rows(stage):
            if index >= stage.rows:
                break
            while (record := record_of(index, row, stage)) is None and not self._ended:
                await self._wait()
            if record is None or not (last or isinstance(record, Failure)):
                continue
            self._count(record)
            if not await self.handover.put(self._result(index, row, record, stage)):
                return False
        return True

    def _wake(self) -> None:
        self._changed.set()

    async def _wait(self) -> None:
        self._changed = trio.Event()
        await self._changed.wait()

    def _count(self, record: Result | Failure) -> None:
        if isinstance(record, Failure):
            self._failed += 1
            self._reasons[record.cause] = self._reasons.get(record.cause, 0) + 1
        else:
            self._done += 1

    def _finish(self, ran: Ran | None, staged: StagedRows) -> None:
        if self._writes:
            result = assemble(self._pipeline, staged)
        else:
            result = Assembled(self._done, self._failed, self._open(staged), self._reasons)
        lines: list[str] = []
        if ran is not None:
            interrupted = ran.interrupted and (result.open > 0 or not staged.complete)
            lines = summary_lines(
                result, ran.tallies, ran.allowed, seconds=ran.seconds, interrupted=interrupted, stages=staged.told
            )
            lines += [] if staged.refused is None else [staged.refused]
        self.summary = BatchSummary(
            result.done,
            result.failed,
            result.open,
            result.reasons,
            0.0 if ran is None else ran.seconds,
            tuple(map(self._pipeline.secrets.text, lines)),
        )

    def _open(self, staged: StagedRows) -> int:
        """How many rows were not handed over, since they are open; of stages before the last those that are over are
        none.
        """
        if len(self._pipeline.stages) == 1:
            return staged.last.rows - self._done - self._failed
        return sum(
            self._is_open(index, row, stage, staged) for stage in staged.reached for index, row in input_rows(stage)
        )

    def _is_open(self, index: int, row: Row | BadRow | None, stage: StageRows, staged: StagedRows) -> bool:
        if index >= stage.rows:
            return False
        record = record_of(index, row, stage)
        waits = stage is staged.last and not staged.complete  # for a stage that the run has not come to
        return record is None or (waits and isinstance(record, Result))

    def _result(self, index: int, row: Row | BadRow | None, record: Result | Failure, stage: StageRows) -> BatchResult:
        line = None if row is None else row.line
        origin = Origin(line) if stage.origin is None else stage.origin(index)
        if isinstance(record, Failure):
            failure = RowFailure(record.error, record.step, record.cause, record.words)
            return BatchResult(index, origin.line, record.row or {}, failure, origin.items)
        columns = self._pipeline.columns
        values = record.record if columns is None else selected(record.record, columns)
        return BatchResult(index, origin.line, values, items=origin.items)


def _stop_all() -> None:
    left = list(_workers)
    for worker in left:
        worker.stop(at_once=True)
    for worker in left:
        worker.join(_EXIT_GRACE)


atexit.register(_stop_all)
