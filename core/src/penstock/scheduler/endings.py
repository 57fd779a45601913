"""How tasks end: completed, tried again, or given up with all that depends on them.

The one place in which a task ends. It keeps book, tracker, ready queue and handles in step, so that every task ends in
exactly one way, and records what was not done. Synchronous; `now` is passed in.
"""

from __future__ import annotations

from collections.abc import Container, Iterable
from typing import Any, Final, get_args

from penstock.scheduler.book import TaskBook
from penstock.scheduler.events import SchedulerEvents
from penstock.scheduler.handles import EndStatus, TaskCancelled, TaskDropped, TaskHandle
from penstock.scheduler.jobs import GiveUp, Job, RetryPlan
from penstock.tasks.gate import TaskGate
from penstock.words.failures import note_on, text_of

__all__ = ["TaskEndings"]

REPORTED_TASKS: Final = 1000
"""How many tasks that were not done the report lists by name."""


class TaskEndings:
    """The ends of the tasks of one run: how many there were of each kind, and which tasks were not done."""

    def __init__(self, book: TaskBook, gate: TaskGate, retries: RetryPlan, events: SchedulerEvents) -> None:
        self.counts: dict[str, int] = dict.fromkeys(get_args(EndStatus), 0)
        self.not_done: dict[str, str] = {}
        """Why tasks were not done: the first thousand of them."""
        self.book = book
        self._jobs = book.jobs
        self._tracker = book.tracker
        self._gate = gate
        self._retries = retries
        self._events = events
        self._shut_down = False
        self._failed: list[TaskHandle[Any]] = []
        self._sweep_at = REPORTED_TASKS
        self._callback_errors: list[Exception] = []

    def complete(self, job: Job, value: Any, now: float) -> None:
        """The task is done: what waited for it becomes ready, and its handle has the result."""
        readied = self._tracker.mark_complete(job.task_id)
        self.counts["completed"] += 1
        if readied and self._events.stream.active:
            for other in readied:
                self._events.task("dependency_ready", other, now)
        self._settle(job, "completed", value)

    def failed(self, job: Job, error: Exception, now: float, *, last_try: bool) -> None:
        """The task raised: it is tried again later, or given up with all that depends on it."""
        verdict = self._retries.after(job, error, now)
        if isinstance(verdict, GiveUp):
            if not verdict.final_failure:
                note_on(error, f"penstock: given up, {verdict.reason}")
            self.give_up(job, verdict.reason, now, error)
        elif job.cancel_called:
            self.stop(job, "cancelled", "it was cancelled before its next try", now)
        elif last_try or self._shut_down:
            self.stop(job, "shutdown", "the scheduler shut down before its next try", now)
        else:
            job.status = "waiting"
            course = job.own_course()
            course.last_error = error
            self._tracker.defer(job.task_id, verdict)
            said = {"until": verdict, "failures": course.failures}
            self._events.task("retry_deferred", job, now, diagnostics=said)

    def give_up(self, job: Job, reason: str, now: float, error: Exception | None = None) -> None:
        """The task failed with `error`, or was refused for good; its dependants are dropped with it."""
        task_id = job.task_id
        self._gate.discard(task_id, now)
        self._events.task("non_retryable_dropped", job, now, reason_or_outcome=reason)
        dropped = self._tracker.drop(task_id)
        if error is None:  # one may count as false
            self._end(job, "dropped", TaskDropped(task_id, reason))
        else:
            self._end(job, "failed", error)
        self.drop(dropped[1:], f"{task_id} was not carried out: {reason}", now, error)

    def drop(self, jobs: Iterable[Job], reason: str, now: float, cause: Exception | None = None) -> None:
        """These come after a task that was not carried out, so neither are they; the tracker has dropped them."""
        for job in jobs:
            error = TaskDropped(job.task_id, reason)
            error.__cause__ = cause
            self._events.task("non_retryable_dropped", job, now, reason_or_outcome=reason)
            self._end(job, "dropped", error)

    def expire(self, now: float, started: Container[str], *, strictly: bool = False) -> bool:
        """Whether there were tasks whose deadline has come (`strictly`: is past) before they `started`; they are given
        up.
        """
        any_expired = False
        for job in self.book.expired(now, started, strictly=strictly):
            self.give_up(job, "its deadline passed before it could start", now, job.course.last_error)
            any_expired = True
        return any_expired

    def stop(self, job: Job, status: EndStatus, reason: str, now: float) -> None:
        """The task is not to be carried out any more (`cancelled`, `shutdown`), and so nothing that depends on it."""
        self._gate.discard(job.task_id, now)  # those that depend on it are not ready, so they are not queued
        for stopped in self._tracker.drop(job.task_id):
            self._events.task("cancelled", stopped, now, reason_or_outcome=status)
            self._end(stopped, status, TaskCancelled(stopped.task_id, reason))

    def stop_all(self, status: EndStatus, reason: str, now: float, besides: Container[str] = ()) -> None:
        """The end of everything but the tasks of these ids, which are not tried again."""
        self._shut_down = True
        for task_id, job in tuple(self._jobs.items()):
            if task_id not in besides and task_id in self._jobs:
                self.stop(job, status, reason, now)

    def _end(self, job: Job, status: EndStatus, error: Exception) -> None:
        self.counts[status] += 1
        if len(self.not_done) < REPORTED_TASKS:
            self.not_done[job.task_id] = f"{status}: {text_of(error)}"
        if status == "failed":
            self._failed.append(job)
            if len(self._failed) > self._sweep_at:
                self._failed = [handle for handle in self._failed if not handle.retrieved]
                self._sweep_at = REPORTED_TASKS + 2 * len(self._failed)
        self._settle(job, status, None, error)

    def _settle(self, job: Job, status: EndStatus, value: Any = None, error: Exception | None = None) -> None:
        try:
            job.settle(status, value, error)
        except ExceptionGroup as raised:
            self._callback_errors.append(raised)

    def unseen_failures(self) -> list[Exception]:
        """The failures of tasks about which nobody has asked, in the order in which they happened, and what
        callbacks raised.
        """
        unseen = [handle.error for handle in self._failed if not handle.retrieved]
        return [error for error in (*unseen, *self._callback_errors) if isinstance(error, Exception)]
