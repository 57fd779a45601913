"""The shell of a run: its stages one after another, under one scheduler, until the last is over or a signal stops it.

    a stage → its rows are done, failed or gone → the rows of the next one are made of them → that stage → …

Where every cell of a stage is kept, nothing is done in it but to make the rows of the next.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import nullcontext, suppress
from functools import partial
from typing import TYPE_CHECKING

import trio

from penstock_batch.calls.calling import Calls
from penstock_batch.calls.model_use import ModelUse, model_uses
from penstock_batch.calls.spending import Spending, spending_of
from penstock_batch.calls.tallies import Tallies
from penstock_batch.pipeline.loading import Pipeline
from penstock_batch.providers.endpoints import Endpoints
from penstock_batch.rows.reader import InputProblem
from penstock_batch.running.capacity import declare_capacity
from penstock_batch.running.progress import ProgressKind, show_progress
from penstock_batch.running.results import NoRoom
from penstock_batch.running.sampling import Sampling
from penstock_batch.running.signals import stopping_signals
from penstock_batch.running.stage_run import Means, StageRun
from penstock_batch.running.staged import StagedRows
from penstock_batch.running.standing import RunStanding
from penstock_batch.running.watch import RunWatch
from penstock_batch.store.store import Store, StoreLost, keep_committing
from penstock_batch.words.terminal import say

if TYPE_CHECKING:
    from penstock import Scheduler

__all__ = ["BatchRun"]


class BatchRun:
    """One run over the rows that `staged` holds, stage by stage."""

    def __init__(self, pipeline: Pipeline, store: Store, staged: StagedRows) -> None:
        self.pipeline = pipeline
        self.tallies = Tallies.for_steps(pipeline.steps, len(pipeline.stages))
        self.models: dict[str, ModelUse] = {}
        self.spending: Spending | None = None
        self.limited_by: Sequence[tuple[str, float]] = ()
        self.interrupted = False
        self.broken: Exception | None = None
        self._store = store
        self._staged = staged
        self._stopping = False
        self._deriving = trio.CancelScope()
        self._begun: Scheduler | None = None
        self._dirty, self._to_commit = trio.open_memory_channel[None](1)
        self._stage = self._run_of_last()

    async def anything_to_do(self) -> bool:
        """Whether there is anything to do in a stage, from the present one on: that is the present one then."""
        while not self._stage.anything_to_do:
            self._stage.look_at_the_rest()
            if self._stopped or not await self._advance():
                return False
        return not self._stopped

    async def carry_out(
        self, scheduler: Scheduler, endpoints: Endpoints, progress: ProgressKind, signals: bool
    ) -> None:
        """Carry out stage after stage, until the last is over, or until a signal stops the run, if it is to hear
        `signals`.
        """
        self._begun = scheduler
        self.models = model_uses(self.pipeline, endpoints, self.tallies, scheduler.requests)
        sampling = Sampling(self._store, self.pipeline, self._on_added)
        self.spending = spending_of(self.pipeline.batch.budget, sampling.spent)
        standing = RunStanding(self.pipeline, self.models, self.tallies, scheduler, self.spending)
        calls = Calls(
            self.models,
            self.tallies,
            self.pipeline.secrets,
            on_limited=self._wake,
            on_lost=sampling.lost,
            spending=self.spending,
        )
        means = Means(scheduler, self.models, calls, self.spending, standing, self._on_added)
        declare_capacity(scheduler, self.pipeline)
        keep = partial(sampling.keep, failures=self.tallies.reasons, plan=scheduler.capacity_plan)
        watch = RunWatch(standing, keep)
        async with trio.open_nursery() as nursery:
            pause = self.pipeline.batch.fsync_pause
            nursery.start_soon(keep_committing, self._store, self._to_commit, pause, self._break_off)
            nursery.start_soon(show_progress, progress, standing.now)
            nursery.start_soon(watch.run)
            with stopping_signals(self._on_signal) if signals else nullcontext():
                while await self.anything_to_do():
                    await self._stage.carry_out(means)
            nursery.cancel_scope.cancel()
        if self._store.lost is None:
            watch.look(at_the_end=True)
            sampling.end()
            self.limited_by = watch.limits.shares()
            try:
                self._store.commit()
            except StoreLost as lost:
                self._break_off(lost)

    async def look_at_the_rest(self) -> None:
        """Look at what a run that was stopped has not come to: nothing is called for it. Of what is done, rows are
        split and filtered on, unless it was just that which was stopped; a gather waits until all is there.
        """
        self._stage.look_at_the_rest()
        if self._deriving.cancelled_caught:
            return
        while self.broken is None and (change := self._staged.change) is not None and change.kind != "gather":
            self._deriving = trio.CancelScope()
            if not await self._advance():
                return
            self._stage.look_at_the_rest()

    async def _advance(self) -> bool:
        """Go on to the next stage, if there is one and nothing stops the run meanwhile."""
        stage = None
        try:
            with self._deriving:
                stage = await self._staged.advance()
        except (InputProblem, NoRoom) as error:
            self._break_off(error)
        if stage is None:
            return False
        self._deriving = trio.CancelScope()
        for (step, reason), rows in self._staged.failures.items():
            self.tallies.row_failed(step, reason, rows)
        self._stage = self._run_of_last()
        return True

    def _run_of_last(self) -> StageRun:
        staged = self._staged
        number = len(staged.reached) - 1
        return StageRun(
            staged.last,
            number,
            self._store,
            self.tallies,
            self._break_off,
            failed_before=staged.failed,
            stopping=self._stopping,
        )

    @property
    def _stopped(self) -> bool:
        return self._stopping or self._stage.stopping or self.broken is not None

    def _break_off(self, error: Exception) -> None:
        """End the run for an error that is no row's fault. The first such error is told at the end."""
        if self.broken is None:
            self.broken = error
            self.stop(at_once=True)

    def _wake(self) -> None:
        self._stage.wake()

    def _on_added(self) -> None:
        with suppress(trio.WouldBlock):  # then a commit is due already, and takes this answer too
            self._dirty.send_nowait(None)

    # -- stopping --

    def stop(self, *, at_once: bool) -> None:
        """Let nothing more go out. What is in flight may come back, or is cancelled `at_once`."""
        self._stopping = True
        self._deriving.cancel()
        if self._begun is None:
            return
        self._stage.stop()
        if at_once:
            self._begun.cancel()
        else:
            self._begun.shutdown()
            for use in self.models.values():
                use.stop()

    def _on_signal(self, count: int) -> None:
        if count == 1:
            say("stopping: calls in flight may come back; again to leave at once", err=True)
            self.interrupted = True
            self.stop(at_once=False)
        else:
            say("leaving at once", err=True)
            self.stop(at_once=True)
