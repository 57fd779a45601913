"""The workers: each runs an admitted task, gives its lease back, and hands on how it ended.

Spawning and reaping a trio task costs as much as all that is decided about a task. So a worker whose task has ended
well is kept: it parks, and a round of the loop may hand it the next task (`parked.py`). Where that task has not even
waited, the worker takes the next that is admitted itself: at most `IN_A_ROW`, and none any more when it has had its
turn for a millisecond (`running.py`), since nothing else runs meanwhile; and only where no one is kept back for
anything but a place (`TaskGate.keeps_nobody_back`: otherwise a round decides who is next). It goes on from a task only
that has left nothing behind for the next (`parked.py`), and in a row, where it stays in one context, no context
variable that is another now.
Who has waited is known from trio, which forgets the
`custom_sleep_data` of whoever waits. (Lost: to take the next without a round after one that has waited, too. Tasks end
at the same moment, and others come, and a round sees all of that; between them it would be decided too soon who has a
claim to the place.)

What plugins raise is caught, `BaseException` too. So that this never catches a real Ctrl+C, the end of a worker runs
under trio's protection against it, and trio raises it in the main task, when that waits next.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from contextvars import Context, copy_context
from functools import partial
from typing import Any, Final

import trio

from penstock.events.correlation import set_correlation
from penstock.scheduler.base_exceptions import cancellation_of, stray_error
from penstock.scheduler.jobs import Job
from penstock.scheduler.parked import Admitted, Worker
from penstock.scheduler.runner import begin
from penstock.scheduler.runners import TaskRunners
from penstock.scheduler.running import RunningTasks
from penstock.tasks.lease import TaskAdmissionLease
from penstock.words.errors import TaskAbandoned

__all__ = ["IN_A_ROW", "Workers"]

IN_A_ROW: Final = 32
"""How many tasks a worker carries out before others of the loop get their turn."""

KEPT: Final = 32
"""How many workers stay parked while the loop sleeps."""


class Workers:
    """The tasks that run, `in_flight` by their ids, each in a trio task of that name in `nursery`."""

    clock: Callable[[], float]
    """The run's clock, read without a look at which run it is; set when the dispatch loop begins."""

    def __init__(self, running: RunningTasks, runners: TaskRunners) -> None:
        self._running = running
        self._begin, self.in_flight = running.begin, running.in_flight
        self._gate, self._endings = running.gate, running.endings
        self._events, self._wakeup = running.events, running.wakeup
        self.parked = running.parked
        self.runners = runners
        self.nursery: trio.Nursery | None = None
        """That of the dispatch loop, once it runs."""
        self.abandoned: dict[str, str] = {}
        """The tasks whose code was left behind, and why."""
        self.sources = 0
        """How many sources of tasks are at work: while one is, more may come."""
        self.not_begun = 0
        """How many were started and have not run yet."""
        self.waits_over = 0
        """How many tasks that have had to wait have ended."""

    @property
    def have_waited(self) -> int:
        """How many tasks have had to wait for something since they were started, those that still do included."""
        return self.waits_over + len(self.in_flight) - self.not_begun

    def start(self, admitted: Admitted, now: float) -> None:
        """A worker goes on with a task that was admitted; where none is parked, one is spawned."""
        self._begin(admitted[0])
        self.not_begun += 1
        if not self.parked.hand(admitted):
            self._spawn_worker(*admitted, now, recorded=False)

    def _spawn_worker(self, job: Job, lease: TaskAdmissionLease, now: float, *, recorded: bool) -> None:
        """A worker of its own for the task; `recorded`: that it was admitted is recorded already."""
        try:
            self._spawn(self._work, job, lease, name=job.task_id)
        except BaseException:
            self.not_begun -= 1
            del self.in_flight[job.task_id]
            if not recorded:
                self._events.admitted(job, lease, now, spawned=False)
            self._release(job, lease, now, "not_started")
            self._events.task("worker_spawn_failed", job, now, lease_id=lease.lease_id)
            self._endings.stop(job, "cancelled", "its worker could not be spawned", now)
            raise

    def rest(self) -> None:
        """The loop is about to sleep, and has nothing for those that are parked: most of them end."""
        self.parked.rest(KEPT)

    def dismiss(self) -> None:
        """No task will come any more: who is parked ends."""
        self.parked.close()

    def start_source(self, fn: Callable[..., Awaitable[None]], *args: Any) -> None:
        """A source of tasks runs beside the workers."""

        async def source() -> None:
            self.sources += 1
            try:
                await fn(*args)
            finally:
                self.sources -= 1
                self._wakeup.ring()

        self._spawn(source)

    def _spawn(self, fn: Callable[..., Awaitable[None]], *args: Any, name: str | None = None) -> None:
        assert self.nursery is not None
        self.nursery.start_soon(fn, *args, name=name)

    def cancel(self) -> None:
        """The end of the loop, and of all that runs: it is cancelled, and what cannot be ended is left."""
        self._running.breaking_off = True
        if self.nursery is not None:
            self.nursery.cancel_scope.cancel()

    def task_of(self, task: trio.lowlevel.Task) -> str | None:
        """The id of the task that this trio task carries out: the outermost one, in which its function began."""
        return task.name if task.name in self.in_flight and task.parent_nursery is self.nursery else None

    async def _work(self, job: Job, lease: TaskAdmissionLease) -> None:
        worker = self.parked.new()
        abort = worker.abort
        self.not_begun -= 1
        since, left = lease.acquired_at, IN_A_ROW
        while True:
            left -= 1
            # In the worker's own context, which ends with it; made when it is first read.
            set_correlation(partial(self._events.correlation, job.task_id, job.terms, lease))
            worker.task.custom_sleep_data = lease
            context: Context | None = copy_context()
            error, cancelled, runner, scope = None, False, job.terms.runner, job.course.scope
            try:
                if scope is None:
                    value = await (begin(job.payload) if runner is None else runner.run(job.make(), lease))
                else:
                    value = None
                    with scope:
                        value = await (begin(job.payload) if runner is None else runner.run(job.make(), lease))
                    cancelled = scope.cancelled_caught
            except Exception as caught:
                error = caught
            except BaseException as caught:
                error = stray_error(caught, f"task {job.task_id!r}")
                if error is None:
                    self._running.breaking_off = True
                    gone_on, error = cancellation_of(caught)
                    self._give_up(job, lease, error, True)
                    if gone_on is caught:
                        raise
                    raise gone_on from None
            has_waited = worker.task.custom_sleep_data is not lease
            self.waits_over += has_waited
            if error is not None or cancelled:
                self._give_up(job, lease, error, cancelled)
                return
            if has_waited or not left:
                context = None
            following = self._complete(job, lease, value, worker, context, since)
            if following is None:
                del job, lease, value, context  # nothing of a task is kept beyond its end
                if self._running.breaking_off or not self.parked.park(worker, has_waited):
                    return
                await trio.lowlevel.wait_task_rescheduled(abort)
                while worker.admitted is None:  # it ends, or is to be looked at again
                    if worker.dismissed or not self.parked.park(worker, False):
                        return
                    await trio.lowlevel.wait_task_rescheduled(abort)
                following, worker.admitted = worker.admitted, None
                if not (worker.as_spawned or self.parked.is_as_spawned(worker)):
                    self._pass_on(following)
                    return
                self.not_begun -= 1
                since, left = following[1].acquired_at, IN_A_ROW
            job, lease = following

    @trio.lowlevel.enable_ki_protection
    def _pass_on(self, admitted: Admitted) -> None:
        """What a worker was handed gets a new one, since of its last task something is left."""
        try:
            self._spawn_worker(*admitted, trio.current_time(), recorded=True)
        except BaseException as error:
            self._gate.broken = error  # for the next round, which ends the run by it
            self._wakeup.ring()

    @trio.lowlevel.enable_ki_protection
    def _complete(
        self,
        job: Job,
        lease: TaskAdmissionLease,
        value: Any,
        worker: Worker,
        context: Context | None,
        since: float,
    ) -> Admitted | None:
        """As `RunningTasks.complete`, under protection against Ctrl+C."""
        return self._running.complete(job, lease, value, self.clock(), worker, context, since)

    @trio.lowlevel.enable_ki_protection
    def _give_up(self, job: Job, lease: TaskAdmissionLease, error: Exception | None, cancelled: bool) -> None:
        """The worker ends with a task that failed or was cancelled: its lease comes back, and it may be tried again."""
        now = trio.current_time()
        task_id = job.task_id
        del self.in_flight[task_id]
        abandoned = job.terms.runner is not None and issubclass(type(error), TaskAbandoned)
        outcome = "abandoned" if abandoned else "cancelled" if cancelled else "failed"
        self._release(job, lease, now, outcome)
        try:
            if abandoned:
                self.abandoned[task_id] = str(error)
                self._endings.stop(job, "shutdown", str(error), now)
            elif error is not None:
                self._endings.failed(job, error, now, last_try=cancelled)
            else:
                self._endings.stop(job, "cancelled", "it was cancelled while it ran", now)
        finally:
            if self._events.stream.active:
                self._events.stream.deliver()
            self._wakeup.ring()

    def _release(self, job: Job, lease: TaskAdmissionLease, now: float, outcome: str) -> None:
        result = self._gate.finish(lease, now)
        if self._events.stream.active:
            self._events.released(job, lease, result, outcome, now)
