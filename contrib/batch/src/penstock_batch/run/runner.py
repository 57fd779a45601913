"""The shell of a run, which reads rows, gives their cells to the scheduler, and stops on a signal.

    read rows → RowWindow has room → one task per cell → Cells does it → journal → the row leaves the window

A task's group is its step (weighted by its model's `max_parallel_requests`), and names its model: so the task gate lets
cells wait whose provider is cooling down or full (`scheduler.request_pressure`), and they never hold the places that
another's cells could use. Whether a call goes out is the request gate's affair.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from functools import partial
from itertools import chain, islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

import attrs
import trio

import penstock
from penstock import ConfigError, PenstockError, Problem, open_scheduler
from penstock_batch.calls.cells import CellFailed, Cells, CellStopped, JournalLost, ModelUse
from penstock_batch.calls.giving_up import GiveUpRules, ModelHealth
from penstock_batch.calls.tallies import Tallies
from penstock_batch.pipeline.loading import Pipeline
from penstock_batch.pipeline.steps import Step
from penstock_batch.providers.endpoints import Endpoints, api_key, open_endpoints
from penstock_batch.rows.reader import BadRow, InputProblem, Row, read_rows
from penstock_batch.run.active_row import ActiveRow
from penstock_batch.run.progress import ProgressKind, show_progress
from penstock_batch.run.signals import stopping_signals
from penstock_batch.run.standing import RunStanding, allowed_rates
from penstock_batch.run.summary import AllowedRate
from penstock_batch.run.window import RowWindow
from penstock_batch.store.journal import Journal, keep_on_disk
from penstock_batch.words.failures import said_of
from penstock_batch.words.terminal import say

if TYPE_CHECKING:
    from penstock import Scheduler, TaskHandle

__all__ = ["Ran", "run_rows"]

FOR_EVER = 1e9
"""Seconds: longer than any run."""

WATCHDOG = 0.25
"""Seconds for which a task may keep the loop from everything else before it is reported."""


@attrs.frozen
class Ran:
    """The result of a run, beside what lies in the journal."""

    tallies: Tallies
    allowed: Mapping[str, AllowedRate]
    seconds: float
    interrupted: bool
    limited_by: Mapping[str, float]
    shadows: tuple[penstock.ShadowTally, ...] = ()
    """The tallies of plugins in shadow."""
    broken: Exception | None = None
    """The error that ended the run, if one did that was no row's fault."""


class RunningView:
    """A sink of both event streams, which knows at the end where the time went."""

    def __init__(self) -> None:
        self.view = penstock.CorrelatedRuntimeView(keep=0)

    @penstock.hookimpl
    def penstock_scheduler_event(self, event: penstock.RuntimeEvent) -> None:
        self.view.receive(event)

    @penstock.hookimpl
    def penstock_request_event(self, event: penstock.RuntimeEvent) -> None:
        self.view.receive(event)


async def run_rows(
    pipeline: Pipeline, journal: Journal, *, limit: int | None, plugins: Sequence[Path], progress: ProgressKind
) -> Ran:
    """The result of a run, which does every cell that the journal does not have yet. Raises `ConfigError` or
    `PluginError` if it cannot begin."""
    run = BatchRun(pipeline, journal, limit)
    if not run.anything_to_do:
        # Nothing is started then, neither a provider nor a sink: the records of the run that did the work stay as
        # they are.
        return Ran(run.tallies, {}, 0.0, False, {})
    listening = RunningView()
    started = trio.current_time()
    async with open_endpoints(pipeline.config.providers, pipeline.models) as endpoints:
        async with open_scheduler(watched(pipeline.config), plugins=[*plugins, listening]) as scheduler:
            await run.carry_out(scheduler, endpoints, progress)
        allowed = allowed_rates(run.models, endpoints, scheduler)
    seconds = trio.current_time() - started
    shadows = scheduler.plugins.shadows.tallies()
    return Ran(run.tallies, allowed, seconds, run.interrupted, listening.view.what_limited(), shadows, run.broken)


class BatchRun:
    """One run: the active rows and what is known of them."""

    def __init__(self, pipeline: Pipeline, journal: Journal, limit: int | None) -> None:
        rows = pipeline.facts.rows
        self.pipeline = pipeline
        self.tallies = Tallies.for_steps(pipeline.steps, rows if limit is None else min(limit, rows))
        self.models: dict[str, ModelUse] = {}
        self.interrupted = False
        self._journal = journal
        self._limit = limit
        self._steps = {step.name: step for step in pipeline.steps}
        self._rows: Iterator[Row] = self._rows_to_do()
        self._window = RowWindow(pipeline.batch.rows_in_flight, pipeline.batch.rows_waiting)
        self._open_of_group: dict[int, int] = {}
        self._changed = trio.Event()
        self._dirty, self._to_sync = trio.open_memory_channel[None](1)
        self._stopping = False
        self.broken: Exception | None = None
        first = next(self._rows, None)
        self.anything_to_do = first is not None
        if first is not None:
            self._rows = chain((first,), self._rows)

    async def carry_out(self, scheduler: Scheduler, endpoints: Endpoints, progress: ProgressKind) -> None:
        """Feed the scheduler until every row is over, or until a signal stops the run."""
        self._scheduler = scheduler
        self.models = self._models(endpoints)
        self._cells = Cells(
            self._journal,
            self.models,
            self.tallies,
            self.pipeline.secrets,
            on_written=self._on_written,
            on_limited=self._wake,
        )
        self._standing = RunStanding(self.pipeline.steps, self.models, self.tallies, self._window, scheduler)
        self._groups = {step.name: self._group_of(step) for step in self.pipeline.steps}
        async with trio.open_nursery() as nursery:
            pause = self.pipeline.batch.fsync_pause
            nursery.start_soon(keep_on_disk, self._journal, self._to_sync, pause, self._on_lost)
            nursery.start_soon(show_progress, progress, self._standing.now)
            with stopping_signals(self._on_signal):
                await self._feed()
            nursery.cancel_scope.cancel()
        try:
            await trio.to_thread.run_sync(self._journal.sync)
        except OSError as error:
            self._on_lost(error)

    # -- rows in --

    async def _feed(self) -> None:
        size = min(self.pipeline.batch.row_group_size, self.pipeline.batch.rows_in_flight)
        group = 0
        while not self._stopping:
            if self._window.room(self._standing.cooling(trio.current_time())) < size:
                await self._wait_for_change()
                continue
            try:
                taken = list(islice(self._rows, size))
            except InputProblem as problem:
                self._break_off(ConfigError(Problem((), str(problem))))
                break
            if not taken:
                break
            begun = [row for row in taken if not self._needs_a_dead_model(row)]
            if begun:
                self._activate_rows(group, begun)
            group += 1
            await trio.lowlevel.checkpoint()
        while len(self._window):
            await self._wait_for_change()

    def _rows_to_do(self) -> Iterator[Row]:
        for row in read_rows(self.pipeline.input, self.pipeline.form):
            if (self._limit is not None and row.index >= self._limit) or row.index >= self.pipeline.facts.rows:
                return
            if isinstance(row, BadRow) or not self.pipeline.facts.unchanged(row):
                self.tallies.rows_failed += 1  # the output says why; for a row that is another now nothing is paid
                continue
            for name, tally in self.tallies.steps.items():
                tally.before += self._journal.has(row.index, name)
            if self._journal.done(row.index):
                self.tallies.rows_done += 1
            else:
                yield row

    def _needs_a_dead_model(self, row: Row) -> bool:
        """Whether a step that the row still needs has a model that was given up: then nothing more is paid for the
        row.
        """
        for name, step in self._steps.items():
            if step.model is None or self._journal.has(row.index, name):
                continue
            reason = self.models[step.model.name].given_up
            if reason is not None:
                self._note_failure(row.index, name, reason)
                self.tallies.steps[name].failed += 1
                self.tallies.rows_failed += 1
                return True
        return False

    def _activate_rows(self, group: int, rows: Sequence[Row]) -> None:
        active = [self._active_row(row, group) for row in rows]
        specs = [self._spec(row, name) for row in active for name in row.to_do]
        self._open_of_group[group] = len(active)
        for row in active:
            self._window.enter(row.index, row.could_do)
        self._emit_group_event("row_group_admitted", group)
        handles = self._scheduler.add(specs)
        self._scheduler.seal(str(group))
        for row in active:
            for name in row.to_do:
                handles[_task_id(row, name)].add_done_callback(partial(self._on_cell_end, row, name))

    def _active_row(self, row: Row, group: int) -> ActiveRow:
        finished = {
            name: self._journal.value(row.index, name) for name in self._steps if self._journal.has(row.index, name)
        }
        return ActiveRow(row, group, self.pipeline.needs, finished)

    def _spec(self, row: ActiveRow, name: str) -> penstock.TaskSpec:
        step = self._steps[name]
        return penstock.TaskSpec(
            task_id=_task_id(row, name),
            fn=self._cell,
            args=(row, step),
            after=tuple(_task_id(row, need) for need in row.waits_for(name)),
            group=self._groups[name],
            row_group=str(row.group),
            column=name,
            max_attempts=1,  # a call is tried again by the request gate; trying its cell again on top would multiply
        )

    # -- cells --

    async def _cell(self, row: ActiveRow, step: Step) -> Any:
        try:
            return await self._cells.do(step, row.index, row.columns, row.values)
        except CellFailed:
            row.failed = True
            raise
        except CellStopped:
            self._stopping = True
            raise
        except JournalLost as error:
            self._break_off(error)
            raise

    def _on_cell_end(self, row: ActiveRow, name: str, handle: TaskHandle[Any]) -> None:
        """Note the end of a cell: its lease is back, and what needed it may start or has been dropped."""
        if handle.status == "completed":
            row.done(name, handle.result())
            self.tallies.steps[name].done += 1
        else:
            row.ended(name)
            if handle.status in ("failed", "dropped") and not self._stopping and not row.failed:
                # Refused for good before it began, by a rule or for want of a resource: that too is recorded.
                error = handle.error
                self._note_failure(row.index, name, _in_words(error))
                row.failed = True
            self.tallies.steps[name].failed += handle.status == "failed" and not isinstance(handle.error, CellStopped)
        if row.over:
            self._leave(row)
        else:
            self._window.change(row.index, row.could_do)
        self._wake()  # the row has left, or it may be one now that can only wait

    def _note_failure(self, row: int, step: str, reason: str) -> None:
        try:
            self._journal.fail(row, step, reason)
        except OSError as error:
            self._on_lost(error)

    def _break_off(self, error: Exception) -> None:
        """End the run for an error that is no row's fault: a journal that cannot be written, an input that cannot be
        read any more. The first such error is told at the end.
        """
        if self.broken is None:
            self.broken = error
            self._stop(at_once=True)

    def _on_lost(self, error: OSError) -> None:
        self._break_off(JournalLost(self._journal.path, error))

    def _leave(self, row: ActiveRow) -> None:
        self._window.leave(row.index)
        self.tallies.rows_done += not row.to_do
        self.tallies.rows_failed += row.failed
        self._open_of_group[row.group] -= 1
        if not self._open_of_group[row.group]:
            del self._open_of_group[row.group]
            self._emit_group_event("row_group_checkpointed", row.group)

    # -- waiting and stopping --

    def _wake(self) -> None:
        self._changed.set()

    async def _wait_for_change(self) -> None:
        with self._scheduler.expect_progress():
            await self._changed.wait()
        self._changed = trio.Event()

    def _on_written(self) -> None:
        with suppress(trio.WouldBlock):  # then a sync is due already, and takes this line too
            self._dirty.send_nowait(None)

    def _stop(self, *, at_once: bool) -> None:
        self._stopping = True
        self._wake()
        if at_once:
            self._scheduler.cancel()
        else:
            self._scheduler.shutdown()
            for use in self.models.values():
                use.stop()

    def _on_signal(self, count: int) -> None:
        if count == 1:
            say("stopping: calls in flight may come back; again to leave at once", err=True)
            self.interrupted = True
            self._stop(at_once=False)
        else:
            say("leaving at once", err=True)
            self._stop(at_once=True)

    # -- set-up --

    def _models(self, endpoints: Endpoints) -> dict[str, ModelUse]:
        batch = self.pipeline.batch
        rules = GiveUpRules(
            failures=batch.give_up_failures,
            start=batch.give_up_start,
            after=batch.give_up_after,
            rate_limited=batch.give_up_rate_limited,
        )
        models = {model.name: model for model in self.pipeline.models}
        return {
            name: ModelUse(
                model,
                endpoints.clients[name],
                api_key(self.pipeline.config.providers[model.provider]),
                ModelHealth(rules),
                self.tallies.models[name],
            )
            for name, model in models.items()
        }

    def _group_of(self, step: Step) -> penstock.TaskGroupSpec:
        resolver = penstock.TaskSchedulingResolver(self.pipeline.config.scheduler.admitted_limits)
        model = step.model
        if model is None:
            return resolver.resolve(penstock.SchedulingMetadata.local(step.name)).group
        weight = float(model.max_parallel_requests)
        metadata = penstock.SchedulingMetadata.model(model.provider, model.model_id, step.kind, weight)
        return resolver.resolve(metadata, flow=(step.name,)).group

    def _emit_group_event(self, kind: penstock.SchedulerEventKind, group: int) -> None:
        correlation = penstock.RuntimeCorrelation(self._scheduler.run_id, row_group=str(group))
        self._scheduler.emit(kind, correlation=correlation)


def _in_words(error: BaseException | None) -> str:
    return str(error) if error is None or isinstance(error, PenstockError) else said_of(error)


def watched(config: penstock.PenstockConfig) -> penstock.PenstockConfig:
    """The configuration with a watchdog and a socket for `penstock explain`, where it says nothing of them.

    Calls to which nobody listens are tried as long as their model is not given up (`giving_up.py`).
    """
    options = config.scheduler
    watchdog = WATCHDOG if options.watchdog is None else options.watchdog
    answers = options.explain_socket is None or options.explain_socket
    requests = attrs.evolve(config.requests, unpaid_timeout=FOR_EVER)
    scheduler = attrs.evolve(options, watchdog=watchdog, explain_socket=answers)
    return attrs.evolve(config, scheduler=scheduler, requests=requests)


def _task_id(row: ActiveRow, step: str) -> str:
    return f"r{row.index}/{step}"
