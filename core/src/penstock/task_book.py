"""Every task that was taken on and has not ended, and what becomes of it: completed, tried again, or given
up.

The one place in which a task ends. It keeps tracker, ready queue and handles in step, so that every task
ends in exactly one way, and tells what was not done. Synchronous; `now` is passed in.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, Final

from penstock.completion import CompletionTracker, TaskNode
from penstock.errors import ConfigError
from penstock.handles import (
    CANCELLED,
    COMPLETED,
    DROPPED,
    FAILED,
    SHUTDOWN,
    WAITING,
    TaskCancelled,
    TaskDropped,
    TaskHandle,
)
from penstock.jobs import GiveUp, Job, RetryPlan
from penstock.ready_queue import ReadyQueue
from penstock.scheduler_events import SchedulerEvents

__all__ = ["TaskBook"]

LISTED: Final = 1000
"""How many tasks that were not done the report lists by name."""


class TaskBook:
    """Jobs by task id, from being taken on to their end."""

    def __init__(self, queue: ReadyQueue, retries: RetryPlan, events: SchedulerEvents) -> None:
        self.tracker = CompletionTracker()
        self.jobs: dict[str, Job] = {}
        self.counts = dict.fromkeys((COMPLETED, FAILED, DROPPED, CANCELLED, SHUTDOWN), 0)
        self.not_done: dict[str, str] = {}
        """Why tasks were not done: the first thousand of them."""
        self._queue = queue
        self._retries = retries
        self._events = events
        self._failed: list[TaskHandle[Any]] = []

    def take_on(
        self, nodes: Sequence[tuple[Job, TaskNode]], barriers: Sequence[tuple[Job, TaskNode]], now: float
    ) -> None:
        """Take tasks on, all or nothing. Raises `ConfigError`, as `CompletionTracker.add` does."""
        for job, _ in [*nodes, *barriers]:
            if job.task.task_id in self.jobs or self.tracker.is_finished(job.task.task_id):
                raise ConfigError(f"there is a task {job.task.task_id!r} already")
        begun = []
        try:
            for job, node in barriers:
                self.tracker.barrier(job.task, node.after, node.row_group)
                begun.append(job.task.task_id)
            dropped = self.tracker.add([node for _, node in nodes])
        except ConfigError:
            for task_id in begun:
                self.tracker.withdraw(task_id)
            raise
        for job, _ in [*barriers, *nodes]:
            self.jobs[job.task.task_id] = job
        for task_id in dropped:
            self._end_dependant(task_id, "something that it comes after was dropped", None, now)

    def take_on_one(self, job: Job) -> None:
        """Take a task on that comes after nothing. Raises `ConfigError` if its id is taken."""
        self.tracker.add_one(job.task, job.row_group)
        self.jobs[job.task.task_id] = job

    def complete(self, job: Job, value: Any, now: float) -> None:
        """The task is done: ready what waited for it, then tell its handle."""
        readied = self.tracker.mark_complete(job.task.task_id)
        del self.jobs[job.task.task_id]
        self.counts[COMPLETED] += 1
        if self._events.stream.active:
            for task in readied:
                self._events.ready(self.jobs[task.task_id], now)
        job.handle.settle(COMPLETED, value)

    def failed(self, job: Job, error: Exception, now: float, *, stopping: bool) -> None:
        """The task raised: it is tried again later, or given up with all that depends on it."""
        verdict = self._retries.after(job, error, now)
        if isinstance(verdict, GiveUp):
            if not verdict.final_failure:
                error.add_note(f"penstock: given up, {verdict.reason}")
            self.give_up(job, verdict.reason, now, error)
        elif stopping:
            self.stop(job, SHUTDOWN, "the scheduler shut down before its next try", now)
        else:
            job.handle.status = WAITING
            self.tracker.defer(job.task.task_id, verdict.at)
            self._events.deferred(job, verdict.at, now)

    def give_up(self, job: Job, reason: str, now: float, error: Exception | None = None) -> None:
        """The task failed with `error`, or was refused for good; its dependants are dropped with it."""
        task_id = job.task.task_id
        self._queue.discard(task_id, now)
        self._events.given_up(job, reason, now)
        dropped = self.tracker.drop(task_id)
        self._end(job, FAILED if error else DROPPED, error or TaskDropped(task_id, reason))
        for dependant in dropped[1:]:
            self._end_dependant(dependant, f"{task_id} was not carried out: {reason}", error, now)

    def stop(self, job: Job, status: str, reason: str, now: float) -> None:
        """The task is not to be carried out any more (`cancelled`, `shutdown`), and so nothing that depends on it."""
        for task_id in self.tracker.drop(job.task.task_id):
            stopped = self.jobs[task_id]
            self._queue.discard(task_id, now)
            self._events.cancelled(stopped, status, now)
            self._end(stopped, status, TaskCancelled(task_id, reason))

    def stop_all(self, status: str, reason: str, now: float, besides: Iterable[str] = ()) -> None:
        """Stop everything but the tasks of these ids."""
        kept = set(besides)
        for task_id, job in tuple(self.jobs.items()):
            if task_id not in kept and task_id in self.jobs:
                self.stop(job, status, reason, now)

    def _end_dependant(self, task_id: str, reason: str, cause: Exception | None, now: float) -> None:
        error = TaskDropped(task_id, reason)
        error.__cause__ = cause
        self._events.given_up(self.jobs[task_id], reason, now)
        self._end(self.jobs[task_id], DROPPED, error)

    def _end(self, job: Job, status: str, error: Exception) -> None:
        del self.jobs[job.task.task_id]
        self.counts[status] += 1
        if len(self.not_done) < LISTED:
            self.not_done[job.task.task_id] = f"{status}: {error}"
        if status == FAILED:
            self._failed.append(job.handle)
        job.handle.settle(status, None, error)

    def unseen_failures(self) -> list[Exception]:
        """The failures of tasks about which nobody has asked, in the order in which they happened."""
        unseen = [handle for handle in self._failed if not handle.retrieved]
        return [error for handle in unseen if isinstance(error := handle.error, Exception)]

    def check_invariants(self) -> None:
        """Tracker and book name the same tasks. Raises `AssertionError`."""
        self.tracker.check_invariants()
        assert {task_id for task_id, _, _ in self.tracker.unfinished()} == set(self.jobs)
        assert not any(job.handle.done for job in self.jobs.values())
