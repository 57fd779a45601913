"""The dispatch loop: it offers, starts what the gate admits, and waits; it decides nothing.

    tracker.ready_frontier -> gate.offer -> gate.next -> worker
         ^                                               |
         +------ tracker.mark_complete <- gate.finish <--+

A round is synchronous: it admits and spawns until nothing more may start. Then the loop sleeps, until it is woken by
new work, a release or a signal, or the earliest moment that a refusal or a back-off named. Nothing polls. Rounds run
under trio's protection against Ctrl+C, as the ends of workers do (`worker.py`).
"""

from __future__ import annotations

import math
from collections.abc import Awaitable, Callable
from threading import get_ident
from typing import Final

import trio

from penstock.scheduler.admitting import BATCH, Admitting
from penstock.scheduler.endings import TaskEndings
from penstock.scheduler.events import SchedulerEvents
from penstock.scheduler.gate_plugins import GatePlugins
from penstock.scheduler.waits import TaskWaits
from penstock.scheduler.wakeup import WakeUp
from penstock.scheduler.worker import IN_A_ROW, Workers
from penstock.tasks.gate import TaskGate
from penstock.tasks.lease import TaskAdmissionLease
from penstock.tasks.records import SchedulableTask
from penstock.tasks.standing import Explanation, explain
from penstock.words.errors import StallError
from penstock.words.leases import ReleaseResult
from penstock.words.plugin_failures import BrokenQueue, ends_in_time
from penstock.words.verdicts import Denied, Signal

__all__ = ["DispatchLoop"]

FEW: Final = 64
"""How many it starts where tasks wait and soon end: no more workers than a processor's caches hold. While none ends,
each round starts twice as many as the last."""

QUICK: Final = BATCH // IN_A_ROW
"""How many workers a round starts where the last tasks have not waited: so many carry out as many as a batch has."""

GROUPS_FAILED: Final = 1024
"""Of how many groups it is remembered since when a plugin has not answered for them."""


class DispatchLoop:
    """The loop that starts what the task gate admits, until it is closed and nothing is left."""

    def __init__(
        self,
        gate: TaskGate,
        endings: TaskEndings,
        workers: Workers,
        admitting: Admitting,
        waits: TaskWaits,
        wakeup: WakeUp,
        events: SchedulerEvents,
        plugins: GatePlugins,
        stall_timeout: float,
    ) -> None:
        self._gate = gate
        self._book = endings.book
        self._jobs = self._book.jobs
        self._tracker = self._book.tracker
        self._endings = endings
        self._workers = workers
        self._admitting = admitting
        self._waits = waits
        self.wakeup = wakeup
        self._events = events
        self._plugins = plugins
        self.stall_timeout = stall_timeout
        self._thread = get_ident()
        self._drained: Callable[[], Awaitable[None]] = trio.lowlevel.checkpoint
        self._have_waited = 0  # as `Workers.have_waited` was in the last round
        self._waits_over = 0  # as `Workers.waits_over` was then
        self._batch = FEW  # how many the last round with tasks that waited was to start at most
        self._closing = False
        self._grace_ends: float | None = None
        self._stalled_at: float | None = None
        self.fatal: BaseException | None = None
        """What ended the run before its work was done, if something did."""
        self.on_fatal: Callable[[], None] | None = None
        """Called when `fatal` is set, so that the caller's block does not go on."""
        gate.on_stale, gate.on_denied = self._stale_selection, self._denied
        gate.on_refused = self._ends_in_time

    def check_thread(self) -> None:
        """Raises `RuntimeError` in another thread than the loop's, and after its run."""
        if get_ident() != self._thread or not trio.lowlevel.in_trio_run():
            raise RuntimeError(
                "this scheduler belongs to another thread, or is not open: "
                "from another thread use trio.from_thread.run_sync(..., trio_token=token)"
            )

    def check_open(self) -> None:
        """Raises `RuntimeError` where no new tasks are taken."""
        if self._closing or self._grace_ends is not None or get_ident() != self._thread:
            self.check_thread()
            raise RuntimeError("the scheduler is closing and takes no more tasks")

    def close(self) -> None:
        """No more tasks will come: the loop ends when those that are there have."""
        self._closing = True
        self.wakeup.ring()

    @trio.lowlevel.enable_ki_protection
    def stop(self, grace_ends: float) -> None:
        """Nothing more is admitted; what runs is cancelled at `grace_ends`, at once if that is `-inf`."""
        self._grace_ends = grace_ends
        self._gate.close()
        now = trio.current_time()
        self._endings.stop_all("shutdown", "the scheduler shut down", now, besides=self._workers.in_flight)
        if grace_ends == -math.inf:
            self._workers.cancel()
        self.wakeup.ring()

    def pause_while(self, is_full: Callable[[], bool], drained: Callable[[], Awaitable[None]]) -> None:
        """A pause, until what `drained` gives has ended, where `is_full`: a sink that must not lose events."""
        self._admitting.is_full, self._drained = is_full, drained

    @property
    def stopping(self) -> bool:
        """Whether the run is to end before its work is done."""
        return self._grace_ends is not None

    def plugins_changed(self) -> None:
        """Other plugins are there: who waits for one that failed waits anew."""
        self._admitting.failing = False
        self._admitting.failed_since.clear()
        for job in self._jobs.values():
            if job.course.failing_since is not None:
                job.course.failing_since = None

    def signalled(self) -> None:
        """A signal came: whatever stalled may go on."""
        self._stalled_at = None
        self.wakeup.ring()

    async def run(self, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        """The run of the loop, until it is closed with nothing left, or stopped. Never raises for a task's failure."""
        self._thread = get_ident()  # where it was made may have been another: of a prepared run, say
        self._workers.clock = trio.lowlevel.current_clock().current_time
        self._events.job_started(trio.current_time())
        try:
            async with trio.open_nursery() as self._workers.nursery:
                task_status.started()
                await self._dispatch()
                self._workers.dismiss()
        finally:
            now = trio.current_time()
            self._endings.stop_all("cancelled", "the run ended before it was done", now)
            self._events.job_completed(now, self._endings.counts)

    @trio.lowlevel.enable_ki_protection
    async def _dispatch(self) -> None:
        try:
            while True:
                now = trio.current_time()
                more = self._round(now)
                self._events.stream.deliver()
                if self._admitting.is_full():
                    await self._drained()
                if more:
                    await trio.lowlevel.checkpoint()
                elif self._closing and not self._jobs and not self._workers.sources:
                    return
                else:
                    if self._grace_ends is None:
                        self._waits.end_deadlocks()
                    self._workers.rest()
                    await self.wakeup.sleep_until(self._before_sleep(now))
        except trio.Cancelled:
            self._workers.runners.leave()
            raise
        except BaseException as error:
            self._fail(error)

    def _fail(self, error: BaseException) -> None:
        """The end of the run. A ready queue that failed is asked nothing more; an empty one stands in its place."""
        self.fatal = self._plugins.run_error(error, self._gate.queue)
        if isinstance(self.fatal, BrokenQueue):
            self._gate.abandon_queue()
        self.stop(-math.inf)
        if self.on_fatal is not None:
            self.on_fatal()

    def _round(self, now: float) -> bool:
        """Start all that may start, up to a batch; whether there may be more."""
        if self._gate.broken is not None:
            raise self._gate.broken
        if self._grace_ends is not None:
            return False
        for task_id in self._tracker.advance(now):
            self._events.task("salvage_redispatched", self._jobs[task_id], now)
        if self._tracker.has_ready:
            self._offer_frontier(now)

        workers = self._workers
        self._endings.expire(now, workers.in_flight, strictly=True)
        recording = self._events.stream.active
        most = self._most()
        started = 0
        while started < most:
            admitted = self._admitting.next(now)
            if admitted is None:
                break
            workers.start(admitted, now)
            if recording:
                self._events.admitted(*admitted, now)
            started += 1
        self._admitting.begun = started
        if started:
            self._stalled_at = None
        if self._endings.expire(now, workers.in_flight):
            self.wakeup.ring()
        return started >= most

    def _most(self) -> int:
        """How many tasks a round may start, by what those did that were started last."""
        workers = self._workers
        waited, over = self._have_waited, self._waits_over
        self._have_waited, self._waits_over = workers.have_waited, workers.waits_over
        if self._have_waited <= waited:
            return QUICK - workers.not_begun
        self._batch = FEW if self._waits_over > over else min(2 * self._batch, BATCH)
        return self._batch

    def _offer_frontier(self, now: float) -> None:
        self._waits.tasks_ready()
        accepted = self._gate.offer_entries(self._tracker.ready_frontier(), now)
        self._tracker.mark_enqueued(accepted)
        if self._events.stream.active:
            self._events.enqueued(accepted, self._jobs, now)

    def _before_sleep(self, now: float) -> float:
        """Until when the loop may sleep. Raises `StallError` if nothing could ever wake it."""
        if self._grace_ends is not None:
            if self._grace_ends <= now:
                self._workers.cancel()
                return math.inf
            return self._grace_ends
        self._events.idle(self._gate, now)
        moments = (self._gate.next_change(now), self._tracker.next_change(now), self._book.next_deadline())
        deadline = min((moment for moment in moments if moment is not None), default=math.inf)
        idle = deadline == math.inf and not self._workers.in_flight and not self._workers.sources
        # A ring stands for a change since the round: something ended, say, while a full sink held the loop up.
        stuck = idle and bool(self._jobs) and not self.wakeup.rung
        if not stuck or not (self._closing or self._waits.count):
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

    @trio.lowlevel.enable_ki_protection
    def explanation(self, now: float, group: str | None = None) -> Explanation:
        """What every group of tasks, or one, waits for at this moment."""
        tracker = self._tracker
        unready, again = tracker.unfinished(), tracker.deferred()
        return explain(self._gate, now, group, unfinished=len(tracker), not_ready=unready, backing_off=again)

    # -- what the gate reports

    def _ends_in_time(self, task: SchedulableTask, denied: Denied, now: float) -> Denied:
        """The refusal to park a task under: one for want of a plugin's answer ends in time.

        Tasks of the group that come later wait only for what is left of that time: a plugin that has failed for longer
        is asked again, and is not waited for again.
        """
        admitting = self._admitting
        if not admitting.failing and denied.failed_at is None:
            return denied
        job, admitting.failing = self._jobs.get(task.task_id), True
        if job is None:
            return denied
        since = job.course.failing_since
        if denied.failed_at is None or since is None:
            since = job.own_course().failing_since = denied.failed_at
        if since is None:
            return denied
        if len(admitting.failed_since) >= GROUPS_FAILED:
            admitting.failed_since.clear()
        since = min(since, admitting.failed_since.setdefault(task.group.key, since))
        return ends_in_time(denied, since, self.stall_timeout, now)

    def _denied(self, task: SchedulableTask, denied: Denied, now: float) -> None:
        job = self._jobs[task.task_id]
        self._events.task("selected", job, now)
        self._events.denied(job, denied, now)

    def _stale_selection(self, lease: TaskAdmissionLease, result: ReleaseResult, now: float) -> None:
        job = self._jobs[lease.item.task_id]
        self._events.admitted(job, lease, now, spawned=False)
        self._events.released(job, lease, result, "not_started", now)
        self._events.task("stale_selection", job, now)
