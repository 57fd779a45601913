"""Every task that was taken on and has not ended, and what becomes of it: completed, tried again, or given
up.

The one place in which a task ends. It keeps tracker, ready queue and handles in step, so that every task
ends in exactly one way, and tells what was not done. Synchronous; `now` is passed in.
"""

from __future__ import annotations

from collections.abc import Container, Iterable, Mapping, Sequence
from heapq import heappop, heappush
from typing import Any, Final, get_args

from penstock.readiness.completion import CompletionTracker, TaskNode
from penstock.scheduler.events import SchedulerEvents
from penstock.scheduler.handles import (
    CANCELLED,
    COMPLETED,
    DROPPED,
    FAILED,
    SHUTDOWN,
    WAITING,
    EndStatus,
    TaskCancelled,
    TaskDropped,
    TaskHandle,
)
from penstock.scheduler.jobs import GiveUp, Job, RetryPlan
from penstock.tasks.gate import TaskGate
from penstock.tasks.records import SchedulableTask
from penstock.words.errors import ConfigError

__all__ = ["TaskBook"]

LISTED: Final = 1000
"""How many tasks that were not done the report lists by name."""


class TaskBook:
    """Jobs by task id, from being taken on to their end."""

    def __init__(self, gate: TaskGate, retries: RetryPlan, events: SchedulerEvents) -> None:
        self.tracker = CompletionTracker()
        self.jobs: dict[str, Job] = {}
        self.counts: dict[str, int] = dict.fromkeys(get_args(EndStatus), 0)
        self.not_done: dict[str, str] = {}
        """Why tasks were not done: the first thousand of them."""
        self._gate = gate
        self._retries = retries
        self._events = events
        self._failed: list[TaskHandle[Any]] = []
        self._sweep_at = LISTED
        self._callback_errors: list[Exception] = []
        self._deadlines: list[tuple[float, int, str]] = []
        self._numbered = 0

    def take_on(self, nodes: Sequence[tuple[Job, TaskNode]], now: float) -> None:
        """Take tasks on, all or nothing. Raises `ConfigError`, as `CompletionTracker.add` does."""
        fresh: set[str] = set()
        for job, _ in nodes:
            task_id = job.task.task_id
            if task_id in self.jobs or self.tracker.is_finished(task_id):
                raise ConfigError(f"there is a task {task_id!r} already")
            if task_id in fresh:
                raise ConfigError(f"task {task_id!r} stands twice in one batch")
            fresh.add(task_id)
        dropped = self.tracker.add([node for _, node in nodes])
        for job, _ in nodes:
            self._note(job)
        for job, _ in nodes:
            if self.tracker.is_ready(job.task.task_id):
                self._events.ready(job, now)
        for task_id in dropped:
            self._end_dependant(task_id, "something that it comes after was dropped", None, now)

    def take_on_one(self, job: Job, number: int) -> None:
        """Take a task on that comes after nothing. Raises `ConfigError` if its id is taken.

        `number`: that of an id which the scheduler gave; otherwise 0.
        """
        self.tracker.add_one(job.task, job.row_group, number)
        self._note(job)

    def _note(self, job: Job) -> None:
        task = job.task
        self.jobs[task.task_id] = job
        if task.deadline is not None:
            self._numbered += 1
            heappush(self._deadlines, (task.deadline, self._numbered, task.task_id))

    def seal(self, name: str, now: float) -> None:
        """No more members for the barrier of this id, or no more tasks of this row group."""
        self._tell_ready(self.tracker.seal(name), now)
        self.tracker.seal_row_group(name)

    def complete(self, job: Job, value: Any, now: float) -> None:
        """The task is done: ready what waited for it, then tell its handle."""
        readied = self.tracker.mark_complete(job.task.task_id)
        self._strike(job)
        self.counts[COMPLETED] += 1
        if readied:
            self._tell_ready(readied, now)
        self._settle(job, COMPLETED, value)

    def _tell_ready(self, readied: Iterable[SchedulableTask], now: float) -> None:
        if self._events.stream.active:
            for task in readied:
                self._events.ready(self.jobs[task.task_id], now)

    def _settle(self, job: Job, status: EndStatus, value: Any = None, error: Exception | None = None) -> None:
        try:
            job.handle.settle(status, value, error)
        except ExceptionGroup as raised:
            self._callback_errors.append(raised)

    def expire(self, now: float, started: Container[str], *, strictly: bool = False) -> bool:
        """Give up the tasks whose deadline has come (`strictly`: is past) and that were not `started`; whether there
        were any."""
        expired = False
        while self._deadlines and (self._deadlines[0][0] < now or (self._deadlines[0][0] == now and not strictly)):
            task_id = heappop(self._deadlines)[2]
            job = self.jobs.get(task_id)
            if job is not None and task_id not in started:
                self.give_up(job, "its deadline passed before it could start", now, job.last_error)
                expired = True
        return expired

    def next_deadline(self) -> float | None:
        """The earliest deadline of a task that has not ended; one that runs has none any more."""
        while self._deadlines and self._deadlines[0][2] not in self.jobs:
            heappop(self._deadlines)
        return self._deadlines[0][0] if self._deadlines else None

    def failed(self, job: Job, error: Exception, now: float, *, stopping: bool) -> None:
        """The task raised: it is tried again later, or given up with all that depends on it."""
        verdict = self._retries.after(job, error, now)
        if isinstance(verdict, GiveUp):
            if not verdict.final_failure:
                error.add_note(f"penstock: given up, {verdict.reason}")
            self.give_up(job, verdict.reason, now, error)
        elif job.cancel_called:
            self.stop(job, CANCELLED, "it was cancelled before its next try", now)
        elif stopping:
            self.stop(job, SHUTDOWN, "the scheduler shut down before its next try", now)
        else:
            job.handle.status = WAITING
            job.last_error = error
            self.tracker.defer(job.task.task_id, verdict.at)
            self._events.deferred(job, verdict.at, now)

    def give_up(self, job: Job, reason: str, now: float, error: Exception | None = None) -> None:
        """The task failed with `error`, or was refused for good; its dependants are dropped with it."""
        task_id = job.task.task_id
        self._gate.discard(task_id, now)
        self._events.given_up(job, reason, now)
        dropped = self.tracker.drop(task_id)
        self._end(job, FAILED if error else DROPPED, error or TaskDropped(task_id, reason))
        for dependant in dropped[1:]:
            self._end_dependant(dependant, f"{task_id} was not carried out: {reason}", error, now)

    def stop(self, job: Job, status: EndStatus, reason: str, now: float) -> None:
        """The task is not to be carried out any more (`cancelled`, `shutdown`), and so nothing that depends on it."""
        for task_id in self.tracker.drop(job.task.task_id):
            stopped = self.jobs[task_id]
            self._gate.discard(task_id, now)
            self._events.cancelled(stopped, status, now)
            self._end(stopped, status, TaskCancelled(task_id, reason))

    def stop_all(self, status: EndStatus, reason: str, now: float, besides: Iterable[str] = ()) -> None:
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

    def _end(self, job: Job, status: EndStatus, error: Exception) -> None:
        self._strike(job)
        self.counts[status] += 1
        if len(self.not_done) < LISTED:
            self.not_done[job.task.task_id] = f"{status}: {error}"
        if status == FAILED:
            self._failed.append(job.handle)
            if len(self._failed) > self._sweep_at:
                self._failed = [handle for handle in self._failed if not handle.retrieved]
                self._sweep_at = LISTED + 2 * len(self._failed)
        self._settle(job, status, None, error)

    def _strike(self, job: Job) -> None:
        del self.jobs[job.task.task_id]
        if not self.jobs:
            self.jobs.clear()  # an emptied dict keeps its memory

    def unseen_failures(self) -> list[Exception]:
        """The failures of tasks about which nobody has asked, in the order in which they happened, and what
        callbacks raised."""
        unseen = [handle for handle in self._failed if not handle.retrieved]
        errors = [error for handle in unseen if isinstance(error := handle.error, Exception)]
        return [*errors, *self._callback_errors]

    def too_large_for(self, limits: Mapping[str, int]) -> Mapping[str, tuple[int, int, str]]:
        """Resources of which tasks that have not ended ask for more: the most, by how many, and the first one's id."""
        found: dict[str, tuple[int, int, str]] = {}
        for task_id, job in self.jobs.items():
            for resource, amount in job.task.resource_request.shape:
                if amount > limits.get(resource, 0):
                    most, tasks, first = found.get(resource, (0, 0, task_id))
                    found[resource] = (max(most, amount), tasks + 1, first)
        return found

    def check_invariants(self) -> None:
        """Tracker and book name the same tasks. Raises `AssertionError`."""
        self.tracker.check_invariants()
        assert {task_id for task_id, _, _ in self.tracker.unfinished()} == set(self.jobs)
        assert not any(job.handle.done for job in self.jobs.values())
