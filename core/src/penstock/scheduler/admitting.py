"""What may start next, as the gate admits it: for a round of the dispatch loop, and for a worker that goes on.

Synchronous; `now` is passed in. Who calls it is protected from Ctrl+C.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from penstock.scheduler.endings import TaskEndings
from penstock.scheduler.events import SchedulerEvents
from penstock.scheduler.parked import Admitted
from penstock.tasks.gate import TaskGate
from penstock.tasks.records import TaskGroupKey
from penstock.words.plugin_failures import waited_in_vain

__all__ = ["BATCH", "Admitting"]

BATCH: Final = 512
"""The most tasks that a round starts before it lets them run: one checkpoint for so many decisions."""


def _never() -> bool:
    return False


class Admitting:
    """The next tasks, as jobs with their leases."""

    def __init__(self, gate: TaskGate, endings: TaskEndings, events: SchedulerEvents) -> None:
        self._gate = gate
        self._endings = endings
        self._book = endings.book
        self._tracker = self._book.tracker
        self._jobs = self._book.jobs
        self._events = events
        self.begun = 0
        """How many tasks have begun by the last round, and since."""
        self.is_full: Callable[[], bool] = _never
        """Whether a sink that must not lose events can take none."""
        self.failing = False
        """Whether any task has met a plugin that could not answer."""
        self.failed_since: dict[TaskGroupKey, float] = {}
        """Since when no task of a group was let through, for want of a plugin's answer."""

    def next(self, now: float) -> Admitted | None:
        """The next task that may run, with its lease; who was refused for good is given up."""
        lease = self._gate.next(now)
        if self._gate.given_up:
            self._drop_refused(now)
        if lease is None:
            return None
        task = lease.item
        job = self._jobs[task.task_id]
        if self.failing:
            if job.course.failing_since is not None:
                job.course.failing_since = None
            self.failed_since.pop(task.group.key, None)
        return job, lease

    def go_on(self, now: float, recording: bool) -> Admitted | None:
        """What a worker may go on with: nothing where a round would do more than to admit."""
        if self.begun >= BATCH or self._tracker.has_ready or self._book.has_deadlines:
            return None
        if not self._gate.keeps_nobody_back() or (recording and self.is_full()):
            return None
        try:
            admitted = self.next(now)
        except BaseException as error:
            self._gate.broken = error  # for the next round, which ends the run by it
            return None
        if admitted is not None:
            self.begun += 1
            if recording:
                self._events.admitted(*admitted, now)
        return admitted

    def _drop_refused(self, now: float) -> None:
        for task, denied in self._gate.take_given_up():
            job = self._jobs.get(task.task_id)
            if job is not None:  # otherwise it was stopped with one that it came after
                self._events.denied(job, denied, now)
                since = job.course.failing_since
                error = waited_in_vain(denied, "task", 0.0 if since is None else now - since)
                self._endings.give_up(job, f"{denied.reason} by {denied.by}: {denied.detail}", now, error)
