"""The dispatch loop and its workers: it asks, spawns and waits, and decides nothing.

    tracker.ready_frontier -> gate.offer -> gate.next -> worker
         ^                                               |
         +------ tracker.mark_complete <- gate.finish <--+

A round is synchronous: it admits and spawns until nothing more may start. Then the loop sleeps, until it is woken by
new work, a release or a signal, or the earliest moment that a refusal or a back-off named. Nothing polls.

What plugins raise is caught, `BaseException` too. So that this never catches a real Ctrl+C, rounds and the ends of
workers run under trio's protection against it, and trio raises it in the main task, when that waits next.
"""

from __future__ import annotations

import math
from collections.abc import Awaitable, Callable
from functools import partial
from typing import Any, Final

import trio

from penstock.events.correlation import set_correlation
from penstock.scheduler.book import TaskBook
from penstock.scheduler.events import SchedulerEvents
from penstock.scheduler.gate_plugins import GatePlugins
from penstock.scheduler.handles import CANCELLED, RUNNING, SHUTDOWN
from penstock.scheduler.jobs import Job
from penstock.scheduler.runner import NurseryTaskRunner, TaskRunner, begin, cancellation_of
from penstock.scheduler.waits import TaskWaits
from penstock.scheduler.wakeup import WakeUp
from penstock.tasks.gate import TaskGate
from penstock.tasks.lease import TaskAdmissionLease
from penstock.tasks.records import SchedulableTask
from penstock.tasks.standing import Explanation, explain
from penstock.words.errors import StallError
from penstock.words.leases import ReleaseResult
from penstock.words.plugin_failures import BrokenQueue, ends_in_time, waited_in_vain
from penstock.words.verdicts import Denied, Signal

__all__ = ["DispatchLoop"]

BATCH: Final = 512
"""How many tasks a round starts before it lets them run: one checkpoint for so many decisions."""


class DispatchLoop:
    """Starts what the task gate lets start, until it is told to close and nothing is left."""

    def __init__(
        self,
        *,
        gate: TaskGate,
        book: TaskBook,
        events: SchedulerEvents,
        stall_timeout: float,
        runner: TaskRunner | None = None,
        plugins: GatePlugins | None = None,
    ) -> None:
        self._gate = gate
        self._book = book
        self._jobs = book.jobs
        self._tracker = book.tracker
        self._events = events
        self.stall_timeout = stall_timeout
        self._plugins = GatePlugins.of(gate.queue, runner) if plugins is None else plugins
        self._runner = NurseryTaskRunner() if runner is None else runner
        self._runs_here = type(self._runner) is NurseryTaskRunner
        """Whether tasks run where they stand: then what they do is awaited with nothing between."""
        self._pause: Callable[[], Awaitable[None] | None] | None = None
        self._workers: trio.Nursery | None = None
        self._closing = False
        self._grace_ends: float | None = None
        self._stalled_at: float | None = None
        self._failing = False  # whether any task has met a plugin that could not answer
        self.wakeup = WakeUp()
        self.in_flight: dict[str, Job] = {}
        self.waits = TaskWaits(self.wakeup.ring)
        self.sources = 0
        """How many sources of tasks are at work: while one is, more may come."""
        self.fatal: BaseException | None = None
        """What ended the run before its work was done, if something did."""
        self.on_fatal: Callable[[], None] | None = None
        """Called when `fatal` is set, so that the caller's block does not go on."""
        gate.on_stale, gate.on_denied = self._stale_selection, self._denied
        gate.on_refused = self._ends_in_time

    @property
    def accepts(self) -> bool:
        """Whether new tasks are taken."""
        return not self._closing and self._grace_ends is None

    def close(self) -> None:
        """No more tasks will come: the loop ends when those that are there have."""
        self._closing = True
        self.wakeup.ring()

    @trio.lowlevel.enable_ki_protection
    def stop(self, grace_ends: float) -> None:
        """Admit nothing more; what runs is cancelled at `grace_ends`, at once if that is `-inf`."""
        self._grace_ends = grace_ends
        self._gate.close()
        self._book.stop_all(SHUTDOWN, "the scheduler shut down", trio.current_time(), besides=self.in_flight)
        if grace_ends == -math.inf and self._workers is not None:
            self._workers.cancel_scope.cancel()
        self.wakeup.ring()

    def pause_with(self, pause: Callable[[], Awaitable[None] | None]) -> None:
        """Between rounds, await what `pause` gives, if it gives something: a sink that must not lose events is full."""
        self._pause = pause

    @property
    def stopping(self) -> bool:
        """Whether the run was told to end before its work is done."""
        return self._grace_ends is not None

    def signalled(self) -> None:
        """A signal came: whatever stalled may go on."""
        self._stalled_at = None
        self.wakeup.ring()

    def task_of(self, task: trio.lowlevel.Task) -> str | None:
        """The id of the task that this trio task carries out: the outermost one, in which its function began."""
        return task.name if task.parent_nursery is self._workers and task.name in self.in_flight else None

    def spawn_source(self, fn: Callable[..., Awaitable[None]], *args: Any) -> None:
        """Run a source of tasks beside the workers; while it runs, more work may come."""

        async def source() -> None:
            self.sources += 1
            try:
                await fn(*args)
            finally:
                self.sources -= 1
                self.wakeup.ring()

        assert self._workers is not None
        self._workers.start_soon(source)

    async def run(self, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        """Run until closed with nothing left, or stopped. Never raises for a task's failure."""
        self._events.job_started(trio.current_time())
        try:
            async with trio.open_nursery() as self._workers:
                task_status.started()
                await self._dispatch(self._workers)
        finally:
            now = trio.current_time()
            self._book.stop_all(CANCELLED, "the run ended before it was done", now)
            self._events.job_completed(now, self._book.counts)

    @trio.lowlevel.enable_ki_protection
    async def _dispatch(self, workers: trio.Nursery) -> None:
        try:
            while True:
                now = trio.current_time()
                started = self._round(workers, now)
                self._events.stream.deliver()
                if self._pause is not None and (pause := self._pause()) is not None:
                    await pause
                if started == BATCH:
                    await trio.lowlevel.checkpoint()
                elif self._closing and not self._jobs and not self.sources:
                    return
                else:
                    if self._grace_ends is None:
                        self.waits.end_deadlocks()
                    await self.wakeup.sleep_until(self._before_sleep(workers, now))
        except trio.Cancelled:
            raise
        except BaseException as error:
            self._fail(error)

    def _fail(self, error: BaseException) -> None:
        """End the run. A ready queue that failed is asked nothing more; an empty one stands in its place."""
        self.fatal = told = self._plugins.told(error, self._gate.queue)
        if isinstance(told, BrokenQueue):
            self._gate.abandon_queue()
        self.stop(-math.inf)
        if self.on_fatal is not None:
            self.on_fatal()

    def _round(self, workers: trio.Nursery, now: float) -> int:
        """Start what may start, up to a batch; returns how many."""
        if self._gate.broken is not None:
            raise self._gate.broken
        if self._grace_ends is not None:
            return 0
        for task_id in self._tracker.advance(now):
            self._events.salvaged(self._jobs[task_id], now)
        if self._tracker.has_ready:
            self._enqueue_frontier(now)

        self._book.expire(now, self.in_flight, strictly=True)
        telling = self._events.stream.active
        started = 0
        while started < BATCH:
            admitted = self._gate.next(now)
            if self._gate.given_up:
                self._drop_refused(now)
            if admitted is None:
                break
            job = self._jobs[admitted.task.task_id]
            if telling:
                self._events.selected(job, now)
                self._events.acquired(job, admitted.lease, now)
            self._spawn(workers, job, admitted.lease, now)
            if telling:
                self._events.spawned(job, admitted.lease, now)
            started += 1
        if self._book.expire(now, self.in_flight):
            self.wakeup.ring()
        return started

    def _enqueue_frontier(self, now: float) -> None:
        self.waits.tasks_came()
        frontier = self._tracker.ready_frontier()
        accepted = self._gate.offer(frontier, now)
        self._tracker.mark_enqueued(accepted)
        if self._events.stream.active:
            for task_id in accepted:
                self._events.enqueued(self._jobs[task_id], now)

    def _ends_in_time(self, task: SchedulableTask, denied: Denied, now: float) -> Denied:
        """The refusal to park a task under: one for want of a plugin's answer ends in time."""
        if not self._failing and denied.failed_at is None:
            return denied
        job, self._failing = self._jobs.get(task.task_id), True
        if job is None:
            return denied
        if denied.failed_at is None or job.failing_since is None:
            job.failing_since = denied.failed_at
        return ends_in_time(denied, job.failing_since, self.stall_timeout, now)

    def _drop_refused(self, now: float) -> None:
        for task, denied in self._gate.take_given_up():
            job = self._jobs.get(task.task_id)
            if job is not None:  # otherwise it was stopped with one that it came after
                self._events.denied(job, denied, now)
                since = now if job.failing_since is None else job.failing_since
                error = waited_in_vain(denied, "task", now - since)
                self._book.give_up(job, f"{denied.reason} by {denied.by}: {denied.detail}", now, error)

    def _denied(self, task: SchedulableTask, denied: Denied, now: float) -> None:
        job = self._jobs[task.task_id]
        if self._events.stream.active:
            self._events.selected(job, now)
        self._events.denied(job, denied, now)

    def _stale_selection(self, lease: TaskAdmissionLease, result: ReleaseResult, now: float) -> None:
        job = self._jobs[lease.item.task_id]
        if self._events.stream.active:
            self._events.selected(job, now)
            self._events.acquired(job, lease, now)
            self._events.released(job, lease, result, "not_started", now)
        self._events.stale(job, now)

    def _spawn(self, workers: trio.Nursery, job: Job, lease: TaskAdmissionLease, now: float) -> None:
        task_id = job.task.task_id
        job.handle.status = RUNNING
        job.handle.attempts += 1
        self.in_flight[task_id] = job
        self._stalled_at = None
        if job.cancellable:
            job.scope = trio.CancelScope()
        try:
            workers.start_soon(self._work, job, lease, name=task_id)
        except BaseException:
            del self.in_flight[task_id]
            self._release(job, lease, now)
            self._events.spawn_failed(job, lease, now)
            self._book.stop(job, CANCELLED, "its worker could not be spawned", now)
            raise

    def _before_sleep(self, workers: trio.Nursery, now: float) -> float:
        """Until when the loop may sleep. Raises `StallError` if nothing could ever wake it."""
        if self._grace_ends is not None:
            if self._grace_ends <= now:
                workers.cancel_scope.cancel()
                return math.inf
            return self._grace_ends
        self._events.idle(self._gate, now)
        moments = (self._gate.next_change(now), self._tracker.next_change(now), self._book.next_deadline())
        deadline = min((moment for moment in moments if moment is not None), default=math.inf)
        idle = deadline == math.inf and not self.in_flight and not self.sources
        # A ring tells of a change since the round: something ended, say, while a full sink held the loop up.
        stuck = idle and bool(self._jobs) and not self.wakeup.rung
        if not stuck or not (self._closing or self.waits.count):
            self._stalled_at = None
            return deadline
        if self._stalled_at is None:
            self._stalled_at = now
            self._events.stalled(str(self.explanation(now)), now)
        ends = self._stalled_at + self.stall_timeout
        signals = any(isinstance(c, Signal) for blocked in self._gate.blocked() for c in blocked.denied.until)
        if not signals or now >= ends:
            raise StallError(str(self.explanation(now)))
        return ends

    # -- the worker, and what becomes of its task

    async def _work(self, job: Job, lease: TaskAdmissionLease) -> None:
        # In the worker's own context, which ends with it; made when somebody asks for it.
        set_correlation(partial(self._events.correlation, job, lease))
        value, error, cancelled, run = None, None, False, self._plugins.run
        try:
            if job.scope is None:
                value = await (begin(job.task) if self._runs_here else run(self._runner, job.task, lease))
            else:
                with job.scope as scope:
                    value = await (begin(job.task) if self._runs_here else run(self._runner, job.task, lease))
                cancelled = scope.cancelled_caught
        except Exception as caught:
            error = caught
        except BaseException as caught:
            left, error = cancellation_of(caught)
            self._finish(job, lease, None, error, True)
            if left is caught:
                raise
            raise left from None
        self._finish(job, lease, value, error, cancelled)

    @trio.lowlevel.enable_ki_protection
    def _finish(
        self, job: Job, lease: TaskAdmissionLease, value: Any, error: Exception | None, cancelled: bool
    ) -> None:
        """The worker is done: give the lease back, wake who waited for it, and settle the task."""
        now = trio.current_time()
        task_id = job.task.task_id
        del self.in_flight[task_id]
        self._release(job, lease, now, "cancelled" if cancelled else "completed" if error is None else "failed")
        try:
            if cancelled and error is None:
                self._book.stop(job, CANCELLED, "it was cancelled while it ran", now)
            elif error is None:
                self._book.complete(job, value, now)
            else:
                last = self._grace_ends is not None or cancelled or job.cancel_called
                self._book.failed(job, error, now, stopping=last)
        finally:
            self._events.stream.deliver()
            self.wakeup.ring()

    def _release(self, job: Job, lease: TaskAdmissionLease, now: float, outcome: str = "not_started") -> None:
        result = self._gate.finish(lease, now)
        if self._events.stream.active:
            self._events.released(job, lease, result, outcome, now)

    @trio.lowlevel.enable_ki_protection
    def explanation(self, now: float, group: str | None = None) -> Explanation:
        """What every group of tasks, or one, waits for at this moment."""
        tracker = self._tracker
        unready, again = tracker.unfinished(), tracker.deferred()
        return explain(self._gate, now, group, unfinished=len(tracker), not_ready=unready, backing_off=again)

    def check_invariants(self) -> None:
        """Every task is in one state, and the ledger agrees. Raises `AssertionError`."""
        self._book.check_invariants()
        self._gate.check_invariants()
        assert self._gate.controller.in_flight == len(self.in_flight)
        assert set(self.in_flight) <= set(self._jobs)
