"""The tasks that run: how each begins, how it completes, and what its worker goes on with then.

Synchronous; `now` is passed in. Who calls it is protected from Ctrl+C.
"""

from __future__ import annotations

from contextvars import Context, copy_context
from typing import Any, Final, cast

import trio

from penstock.scheduler.admitting import Admitting
from penstock.scheduler.endings import TaskEndings
from penstock.scheduler.events import SchedulerEvents
from penstock.scheduler.job_state import JobState
from penstock.scheduler.jobs import Job, JobTerms
from penstock.scheduler.parked import Admitted, ParkedWorkers, Worker
from penstock.scheduler.wakeup import WakeUp
from penstock.tasks.gate import TaskGate
from penstock.tasks.lease import TaskAdmissionLease

__all__ = ["RunningTasks"]

TURN: Final = 0.001
"""Seconds after which a worker takes no other task. One of 30 µs would come to 32 in that time."""


class RunningTasks:
    """The tasks that run, `in_flight` by their ids."""

    def __init__(
        self,
        gate: TaskGate,
        endings: TaskEndings,
        events: SchedulerEvents,
        wakeup: WakeUp,
        admitting: Admitting,
    ) -> None:
        self.gate = gate
        self.endings = endings
        self.events = events
        self.wakeup = wakeup
        self._admitting = admitting
        self.parked = ParkedWorkers()
        self.in_flight: dict[str, Job] = {}
        self.breaking_off = False
        """Whether nothing more is to begin."""

    def begin(self, job: Job) -> str:
        """The id of a task that starts."""
        state: JobState = job
        task_id = state.task_id
        state.status = "running"
        state.attempts += 1
        self.in_flight[task_id] = job
        if cast("JobTerms", state.terms).cancellable:
            state.own_course().scope = trio.CancelScope()
        return task_id

    def complete(
        self,
        job: Job,
        lease: TaskAdmissionLease,
        value: Any,
        now: float,
        worker: Worker,
        context: Context | None,
        since: float,
    ) -> Admitted | None:
        """The task is done: its lease comes back, who waited for that is woken, and its handle has the result.

        What `worker` goes on with, whose turn began at `since`: nothing, unless this was its context before, and still
        is.
        """
        state: JobState = job
        del self.in_flight[state.task_id]
        result = self.gate.controller.take_back(lease, now)
        recording: bool = self.events.stream.active
        if recording:
            self.events.released(job, lease, result, "completed", now)
        following: Admitted | None = None
        try:
            self.endings.complete(job, value, now)
            may_go_on = context is not None and now - since < TURN and not self.breaking_off
            if may_go_on and _is_as_before(context) and self.parked.is_as_spawned(worker):
                following = self._admitting.go_on(now, recording)
                if following is not None:
                    worker.task.name = self.begin(following[0])
        finally:
            if recording:
                self.events.stream.deliver()
            if following is None and not self.wakeup.rung:
                self.wakeup.ring()
        return following


def _is_as_before(context: Context | None) -> bool:
    """Whether all context variables are as they were then."""
    try:
        return copy_context() == context
    except Exception:  # what compares two values of a context variable is anybody's
        return False
