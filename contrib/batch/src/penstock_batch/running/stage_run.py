"""The run of one stage: it reads rows, gives their cells to the scheduler, and notes what has become of each row.

    rows → what is kept of them → RowWindow has room → one task per cell → Cells does it → the row leaves the window

What a row has become, done or failed, goes to `Results`; one of which every cell is kept goes there at once.

A task's group is its step (weighted by its model's `max_parallel_requests`), and names its model: so the task gate lets
cells wait whose provider is cooling down or full (`scheduler.request_pressure`), and they never hold the places that
another's cells could use. Whether a call goes out is the request gate's affair.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from itertools import chain, islice
from typing import TYPE_CHECKING, Any

import attrs
import trio

import penstock
from penstock import ConfigError, PenstockError, Problem
from penstock_batch.calls.calling import Calls
from penstock_batch.calls.cells import Cells
from penstock_batch.calls.claims import Claim, Claims
from penstock_batch.calls.model_use import CellFailed, CellStopped, ModelUse
from penstock_batch.calls.row_in_work import RowInWork
from penstock_batch.calls.spending import Spending
from penstock_batch.calls.tallies import Tallies
from penstock_batch.pipeline.steps import Step
from penstock_batch.rows.reader import BadRow, InputProblem, Row
from penstock_batch.running.deriving import StageRows
from penstock_batch.running.kept_rows import LOOKED_AT, KeptRow, KeptRows
from penstock_batch.running.results import NoRoom
from penstock_batch.running.rows_over import CHANGED, UNREADABLE
from penstock_batch.running.standing import RunStanding
from penstock_batch.running.task_groups import task_group_of
from penstock_batch.running.text_room import needs_of, row_group_size, rows_in_flight
from penstock_batch.running.window import RowWindow
from penstock_batch.store.store import Store, StoreLost
from penstock_batch.words.failures import said_of

if TYPE_CHECKING:
    from penstock import Scheduler, TaskHandle

__all__ = ["Means", "StageRun"]


@attrs.frozen
class Means:
    """What a run has that has begun, and that its stages use one after another."""

    scheduler: Scheduler
    models: Mapping[str, ModelUse]
    calls: Calls
    spending: Spending | None
    standing: RunStanding
    on_added: Callable[[], None]


class StageRun:
    """The run of one stage: the rows in work and what is known of them. `on_broken` is told of an error that is no
    row's fault, after which nothing more is looked at: a store that cannot be written, an input that cannot be read any
    more.
    """

    def __init__(
        self,
        stage: StageRows,
        number: int,
        store: Store,
        tallies: Tallies,
        on_broken: Callable[[Exception], None],
        *,
        failed_before: int = 0,
        stopping: bool = False,
    ) -> None:
        pipeline = stage.pipeline
        self.pipeline = pipeline
        self.tallies = tallies
        tallies.begin(number + 1, pipeline.steps, stage.rows, failed_before)
        self.stopping = stopping
        """Whether the run ends with this stage."""
        self._number = number
        self._store = store
        self._results = stage.results
        self._limit = stage.limit
        self._on_broken = on_broken
        self._broken = False
        self._steps = {step.name: step for step in pipeline.steps}
        self._claims = Claims(store, pipeline.facts.digests)
        self._kept = KeptRows(pipeline.steps, pipeline.needs, self._claims)
        self._read = 0
        self._input = pipeline.rows()
        self._rows: Iterator[KeptRow] = self._rows_to_do()
        batch = pipeline.batch
        self._window = RowWindow(rows_in_flight(batch, pipeline.steps), batch.rows_waiting)
        self._open_of_group: dict[int, int] = {}
        self._changed = trio.Event()
        self._group_size = row_group_size(batch, pipeline.steps)
        first = list(islice(self._rows, 1))
        self.anything_to_do = bool(first)
        self._rows = chain(first, self._rows)

    async def carry_out(self, means: Means) -> None:
        """Feed the scheduler until every row is over, or the run is stopped."""
        self._scheduler = means.scheduler
        self._models = means.models
        self._spending = means.spending
        self._standing = means.standing
        self._standing.begin(self._window)
        self._cells = Cells(
            self._store,
            self._claims,
            means.calls,
            self.pipeline.secrets,
            tallies=self.tallies,
            failures=self.pipeline.batch.give_up_failures,
            on_added=means.on_added,
        )
        self._groups = {step.name: task_group_of(step, self.pipeline.config) for step in self.pipeline.steps}
        await self._feed()
        self.anything_to_do = False

    def stop(self) -> None:
        """Take no more rows; what is in the scheduler is the caller's."""
        self.stopping = True
        self.wake()

    def wake(self) -> None:
        """Look whether there is room for rows."""
        self._changed.set()

    # -- rows in --

    async def _feed(self) -> None:
        size = self._group_size
        group = 0
        while not self.stopping:
            if self._window.room(self._standing.cooling(trio.current_time())) < size:
                await self._wait_for_change()
                continue
            taken = list(islice(self._rows, size))
            if not taken:
                break
            self._standing.more_rows = len(taken) == size
            begun = [row for row in taken if not self._needs_a_dead_model(row)]
            if begun:
                self._begin(group, begun)
            group += 1
            await trio.lowlevel.checkpoint()
        while len(self._window):
            await self._wait_for_change()

    def _rows_to_do(self) -> Iterator[KeptRow]:
        """The rows of which not every cell is kept; the others are over."""
        tallies, steps = self.tallies, len(self._steps)
        for row in self._looked_at(self._limit, to_do=True):
            for name in row.finished:
                if name in row.kept:
                    tallies.steps[name].before += 1
                else:
                    tallies.steps[name].empty += 1
            if len(row.finished) == steps:
                tallies.rows_done += 1
                self._done(row.row.index, self.pipeline.record(row.row.values, row.values))
            else:
                yield row

    def look_at_the_rest(self) -> None:
        """Look at the rows that the run has not come to, whose cells may all be kept: nothing is called for them."""
        for row in self._rows:  # those that were looked at already, and had not begun
            self._release(row.claims)
        for row in self._looked_at(None, to_do=False):
            if len(row.finished) == len(self._steps):
                self._done(row.row.index, self.pipeline.record(row.row.values, row.values))
            self._release(row.claims)

    def _release(self, claims: Mapping[str, Claim]) -> None:
        for claim in claims.values():
            self._claims.release(claim)

    def _looked_at(self, limit: int | None, *, to_do: bool) -> Iterator[KeptRow]:
        """The next rows, with what is kept of them; none after an error that is no row's fault, and none to be done
        when the run is stopped.
        """
        try:
            while not (self._broken or (self.stopping and to_do)) and (rows := self._next_rows(limit)):
                yield from self._kept.of(rows, leave_slow=to_do)
        except InputProblem as problem:
            self._break_off(ConfigError(Problem((), str(problem))))
        except StoreLost as lost:
            self._break_off(lost)

    def _next_rows(self, limit: int | None) -> list[Row]:
        """The next rows of the input that can be looked at; none at its end, or at the limit."""
        rows: list[Row] = []
        facts = self.pipeline.facts
        end = facts.rows if limit is None else min(limit, facts.rows)
        while not rows and (taken := list(islice(self._input, max(0, min(LOOKED_AT, end - self._read))))):
            self._read += len(taken)
            for row in taken:
                if isinstance(row, BadRow) or not facts.unchanged(row):
                    # The output says why; for a row that is another now nothing is paid.
                    if self._limit is None or row.index < self._limit:
                        self.tallies.rows_failed += 1
                        self.tallies.row_failed(None, UNREADABLE if isinstance(row, BadRow) else CHANGED)
                else:
                    rows.append(row)
        return rows

    def _needs_a_dead_model(self, row: KeptRow) -> bool:
        """Whether a step that the row still needs has only models that were given up: then nothing is paid for the
        row.
        """
        closed = None if self._spending is None else self._spending.closed
        for name, step in self._steps.items():
            if step.model is None or name in row.finished or step.when is not None:
                continue
            if step.files is not None or (name in row.claims and row.claims[name].answers):
                continue  # there are answers that are judged first, or it is seen later whether there are
            given_up = [self._models[model.name].given_up for model in step.models]
            reason = closed if None in given_up else "; ".join(filter(None, given_up))
            if reason is not None:
                self.tallies.steps[name].failed += 1
                self.tallies.rows_failed += 1
                self._fail(row.row.index, name, reason)
                self._release(row.claims)
                return True
        return False

    def _begin(self, group: int, rows: Sequence[KeptRow]) -> None:
        needs = self.pipeline.needs
        begun = [RowInWork(row.row, row.identity, needs, row.finished, row.claims, row.values) for row in rows]
        for row in begun:
            row.group = group
        specs = [self._spec(row, name) for row in begun for name in row.to_do]
        self._open_of_group[group] = len(begun)
        for row in begun:
            self._window.enter(row.index, row.could_do)
        self._emit_group_event("row_group_admitted", group)
        handles = self._scheduler.add(specs)
        self._scheduler.seal(self._group_name(group))
        for row in begun:
            for name in row.to_do:
                handles[_task_id(row, name)].add_done_callback(partial(self._on_cell_end, row, name))

    def _spec(self, row: RowInWork, name: str) -> penstock.TaskSpec:
        step = self._steps[name]
        return penstock.TaskSpec(
            task_id=_task_id(row, name),
            fn=self._cell,
            args=(row, step),
            after=tuple(_task_id(row, need) for need in row.waits_for(name)),
            group=self._groups[name],
            needs=needs_of(step),
            row_group=self._group_name(row.group),
            column=name,
            max_attempts=1,  # a call is tried again by the request gate; trying its cell again on top would multiply
        )

    # -- cells --

    async def _cell(self, row: RowInWork, step: Step) -> Any:
        try:
            return await self._cells.do(step, row)
        except CellFailed as error:
            row.failed = row.failed or (step.name, str(error), error.words)
            raise
        except CellStopped:
            self.stopping = True
            raise
        except StoreLost as error:
            self._break_off(error)
            raise

    def _on_cell_end(self, row: RowInWork, name: str, handle: TaskHandle[Any]) -> None:
        """Note the end of a cell: its lease is back, and what needed it may start or has been dropped."""
        if handle.status == "completed":
            value = handle.result()
            row.done(name, value, self._steps[name].members(value) if self._steps[name].criteria.columns else None)
            if name in row.empty:
                self.tallies.steps[name].empty += 1
            else:
                self.tallies.steps[name].done += 1
        else:
            row.ended(name)
            if handle.status in ("failed", "dropped") and not self.stopping and row.failed is None:
                # Refused for good before it began, by a rule or for want of a resource: that too is recorded.
                row.failed = name, _in_words(handle.error), None
            self.tallies.steps[name].dropped += handle.status == "dropped"
            self.tallies.steps[name].failed += handle.status == "failed" and not isinstance(handle.error, CellStopped)
        if row.over:
            self._leave(row)
        else:
            self._window.change(row.index, row.could_do)
        self.wake()  # the row has left, or it may be one now that can only wait

    def _done(self, index: int, values: Mapping[str, Any]) -> None:
        try:
            self._results.done(index, values)
        except NoRoom as error:
            self._break_off(error)

    def _fail(self, index: int, step: str, reason: str, words: Any = None) -> None:
        self.tallies.row_failed(step, reason)
        try:
            self._results.failed(index, step, reason, words)
        except NoRoom as error:
            self._break_off(error)

    def _break_off(self, error: Exception) -> None:
        self._broken = True
        self._on_broken(error)

    def _leave(self, row: RowInWork) -> None:
        self._window.leave(row.index)
        self._release(row.claims)
        if row.failed is not None:
            self.tallies.rows_failed += 1
            self._fail(row.index, *row.failed)
        elif not row.to_do:
            self.tallies.rows_done += 1
            self._done(row.index, self.pipeline.record(row.columns, row.values))
        self._open_of_group[row.group] -= 1
        if not self._open_of_group[row.group]:
            del self._open_of_group[row.group]
            self._emit_group_event("row_group_checkpointed", row.group)

    async def _wait_for_change(self) -> None:
        with self._scheduler.expect_progress():
            await self._changed.wait()
        self._changed = trio.Event()

    # -- set-up --

    def _group_name(self, group: int) -> str:
        """The name of a row group, which is another in each stage."""
        return f"{self._number}.{group}" if self._number else str(group)

    def _emit_group_event(self, kind: penstock.SchedulerEventKind, group: int) -> None:
        correlation = penstock.RuntimeCorrelation(self._scheduler.run_id, row_group=self._group_name(group))
        self._scheduler.emit(kind, correlation=correlation)


def _in_words(error: BaseException | None) -> str:
    return str(error) if error is None or isinstance(error, PenstockError) else said_of(error)


def _task_id(row: RowInWork, step: str) -> str:
    """The id of a cell's task: with its number last, so that those of a million rows fold into a range."""
    return f"{step}/{row.index}"
