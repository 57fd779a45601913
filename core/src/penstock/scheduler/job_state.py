"""Where a task stands that the scheduler has taken on: what is read and written of it for each task that runs."""

from __future__ import annotations

from typing import Any

from penstock.scheduler.course import NOTHING_YET, JobCourse
from penstock.scheduler.handles import FINAL, EndStatus, TaskStatus, call_watchers
from penstock.tasks.entries import TaskEntry
from penstock.tasks.terms import TaskTerms
from penstock.words.native import mypyc_attr

__all__ = ["JobState"]


@mypyc_attr(allow_interpreted_subclasses=True)
class JobState(TaskEntry):
    """A task from when it is taken on until it has ended, and then what became of it."""

    __slots__ = ("_outcome", "attempts", "course", "retrieved", "status")

    def __init__(self, task_id: str, payload: Any, terms: TaskTerms) -> None:
        self.task_id = task_id
        self.payload = payload
        self.terms = terms
        self.course: JobCourse = NOTHING_YET
        self.status: TaskStatus = "pending"
        self.attempts = 0
        self.sequence = 0
        self.retrieved = False
        self.cost = 0.0
        self._outcome: Any = None
        self.lane = None
        self.next = None
        self.made = None

    def own_course(self) -> JobCourse:
        """Its course, to be written."""
        if self.course is NOTHING_YET:
            self.course = JobCourse()
        return self.course

    def settle(self, status: EndStatus, value: Any = None, error: BaseException | None = None) -> None:
        """The end, which the scheduler sets once. Raises what callbacks raised, when all have been called."""
        if self.status in FINAL:
            raise AssertionError(f"task {self.task_id!r} has ended before, as {self.status}")
        watchers = self._outcome
        self.status, self._outcome = status, value if error is None else error
        self.payload = None
        self.made = None
        self.course = NOTHING_YET
        del self.terms
        if watchers is not None:
            call_watchers(self, watchers)
