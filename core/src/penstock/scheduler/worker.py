"""The workers: each runs one admitted task, gives its lease back, and hands on how it ended.

What plugins raise is caught, `BaseException` too. So that this never catches a real Ctrl+C, the end of a worker runs
under trio's protection against it, and trio raises it in the main task, when that waits next.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from functools import partial
from typing import Any

import trio

from penstock.events.correlation import set_correlation
from penstock.scheduler.base_exceptions import cancellation_of, stray_error
from penstock.scheduler.endings import TaskEndings
from penstock.scheduler.events import SchedulerEvents
from penstock.scheduler.jobs import Job
from penstock.scheduler.runner import begin
from penstock.scheduler.runners import TaskRunners
from penstock.scheduler.wakeup import WakeUp
from penstock.tasks.gate import TaskGate
from penstock.tasks.lease import TaskAdmissionLease
from penstock.words.errors import TaskAbandoned

__all__ = ["Workers"]


class Workers:
    """The tasks that run, `in_flight` by their ids, each in a trio task of that name in `nursery`."""

    def __init__(
        self,
        gate: TaskGate,
        endings: TaskEndings,
        events: SchedulerEvents,
        wakeup: WakeUp,
        runners: TaskRunners,
    ) -> None:
        self._gate = gate
        self._endings = endings
        self._events = events
        self._wakeup = wakeup
        self.runners = runners
        self.nursery: trio.Nursery | None = None
        """That of the dispatch loop, once it runs."""
        self.in_flight: dict[str, Job] = {}
        self.abandoned: dict[str, str] = {}
        """The tasks whose code was left behind, and why."""
        self.sources = 0
        """How many sources of tasks are at work: while one is, more may come."""

    def start(self, job: Job, lease: TaskAdmissionLease, now: float) -> None:
        """The worker of a task that was admitted is spawned."""
        task_id = job.task.task_id
        job.handle.status = "running"
        job.handle.attempts += 1
        self.in_flight[task_id] = job
        if job.cancellable:
            job.scope = trio.CancelScope()
        try:
            self._spawn(self._work, job, lease, name=task_id)
        except BaseException:
            del self.in_flight[task_id]
            self._release(job, lease, now, "not_started")
            self._events.task("worker_spawn_failed", job, now, lease_id=lease.lease_id)
            self._endings.stop(job, "cancelled", "its worker could not be spawned", now)
            raise

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
        if self.nursery is not None:
            self.nursery.cancel_scope.cancel()

    def task_of(self, task: trio.lowlevel.Task) -> str | None:
        """The id of the task that this trio task carries out: the outermost one, in which its function began."""
        return task.name if task.name in self.in_flight and task.parent_nursery is self.nursery else None

    async def _work(self, job: Job, lease: TaskAdmissionLease) -> None:
        # In the worker's own context, which ends with it; made when it is first read.
        set_correlation(partial(self._events.correlation, job, lease))
        value, error, cancelled, runner = None, None, False, job.runner
        try:
            if job.scope is None:
                value = await (begin(job.task) if runner is None else runner.run(job.task, lease))
            else:
                with job.scope as scope:
                    value = await (begin(job.task) if runner is None else runner.run(job.task, lease))
                cancelled = scope.cancelled_caught
        except Exception as caught:
            error = caught
        except BaseException as caught:
            error = stray_error(caught, f"task {job.task.task_id!r}")
            if error is None:
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
        """The worker is done: its lease comes back, who waited for that is woken, and the task ends."""
        now = trio.current_time()
        del self.in_flight[job.task.task_id]
        abandoned = job.runner is not None and isinstance(error, TaskAbandoned)
        outcome = "cancelled" if cancelled else "completed" if error is None else "failed"
        self._release(job, lease, now, "abandoned" if abandoned else outcome)
        try:
            if abandoned:
                self.abandoned[job.task.task_id] = str(error)
                self._endings.stop(job, "shutdown", str(error), now)
            elif error is not None:
                self._endings.failed(job, error, now, last_try=cancelled)
            elif cancelled:
                self._endings.stop(job, "cancelled", "it was cancelled while it ran", now)
            else:
                self._endings.complete(job, value, now)
        finally:
            self._events.stream.deliver()
            self._wakeup.ring()

    def _release(self, job: Job, lease: TaskAdmissionLease, now: float, outcome: str) -> None:
        result = self._gate.finish(lease, now)
        if self._events.stream.active:
            self._events.released(job, lease, result, outcome, now)
