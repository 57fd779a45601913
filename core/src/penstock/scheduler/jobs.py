"""A task that the scheduler has taken on, and what is to become of it after a failure.

Which layer retries what: the request gate's executor retries *calls*, and marks the error that it gives up with as
final. The scheduler retries *tasks*: after an error that is marked retryable (a bare `penstock.request` that failed) or
that is of a type the caller listed. So the attempts of the two do not multiply. A rate limit uses up no attempt.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from random import Random
from typing import Any, Final

import attrs
import trio

from penstock.events.correlation import RuntimeCorrelation
from penstock.scheduler.handles import FINAL, EndStatus, TaskHandle
from penstock.scheduler.runners import NamedRunner
from penstock.tasks.entries import TaskEntry, TaskTerms
from penstock.tasks.lease import TaskAdmissionLease
from penstock.words.failures import failure_mark

__all__ = ["Execution", "GiveUp", "Job", "JobTerms", "RetryPlan"]

Execution = tuple[TaskAdmissionLease, RuntimeCorrelation, str, Mapping[str, str] | None]
"""The lease that a task runs under, and what the events of that carry: their correlation, what its group is called, and
its labels."""


@attrs.define(eq=False)
class JobTerms(TaskTerms):
    """What a task was submitted with, besides its function. Tasks with nothing of their own share one per group."""

    waiting: Callable[[TaskHandle[Any]], AbstractContextManager[None]]
    """The block in which a trio task waits for the end of one."""
    max_attempts: int
    retry_on: tuple[type[Exception], ...] = ()
    row_group: str | None = None
    column: str | None = None
    cancellable: bool = False
    runner: NamedRunner | None = None
    """Where it runs; `None`: in the scheduler's own nursery."""


class JobCourse:
    """How the tries of a task have gone, of those of which there is something to tell. What most have nothing of
    stands as a default on the class, and costs no memory."""

    scope: trio.CancelScope | None = None
    """By which the running task can be cancelled alone, where the caller wanted that: a new one for each try."""
    execution: Execution | None = None
    """The last one, if anybody listened."""
    failures: int = 0
    rate_limits: int = 0
    last_error: Exception | None = None
    """Why it is to be tried again."""
    failing_since: float | None = None
    """Since when it waits for nothing but a plugin that could not answer."""


NOTHING_YET: Final = JobCourse()
"""The course of a task of which there is nothing to tell; nobody writes it."""


class Job(TaskEntry, TaskHandle[Any]):
    """A task from when it is taken on until it has ended, and then what became of it: its caller's handle.

    One object, since there may be a million: handle, entry of the ready queue, and what its record is made of when
    somebody looks at it. What the task held is let go with its end, however long its handle is kept.
    """

    __slots__ = ("_outcome", "attempts", "course", "retrieved", "status")

    terms: JobTerms
    course: JobCourse

    def __init__(self, task_id: str, payload: Any, terms: JobTerms) -> None:
        self.task_id = task_id
        self.payload = payload
        self.terms = terms
        self.course = NOTHING_YET
        self.status = "pending"
        self.attempts = self.sequence = 0
        self.retrieved = False
        self.cost = 0.0
        self._outcome = self.lane = self.next = None
        self.forget()

    def own_course(self) -> JobCourse:
        """Its course, to be written."""
        if self.course is NOTHING_YET:
            self.course = JobCourse()
        return self.course

    def settle(self, status: EndStatus, value: Any = None, error: BaseException | None = None) -> None:
        if self.status in FINAL:
            raise AssertionError(f"task {self.task_id!r} has ended before, as {self.status}")
        watchers = self._outcome
        self.status, self._outcome = status, value if error is None else error
        self.payload = None
        self.forget()
        self.course = NOTHING_YET
        del self.terms
        if watchers is not None:
            self._call(watchers)

    def _waiting(self) -> AbstractContextManager[None]:
        return self.terms.waiting(self)

    @property
    def cancel_called(self) -> bool:
        """Whether the task was to be cancelled while it ran."""
        scope = self.course.scope
        return scope is not None and scope.cancel_called


@attrs.frozen
class GiveUp:
    """No other try. `final_failure`: the failure was not of the kind that is tried again at all."""

    reason: str
    final_failure: bool


@attrs.define
class RetryPlan:
    """The rule of what follows a failure: exponential back-off with jitter, from `base` to `longest` seconds."""

    rng: Random
    base: float = 1.0
    longest: float = 60.0

    def after(self, job: Job, error: Exception, now: float) -> float | GiveUp:
        """The moment of the next try of `job`, which has failed with `error`, or why there is none."""
        mark = failure_mark(error)
        if mark is not None and mark.retryable and mark.rate_limited:
            course = job.own_course()
            course.rate_limits += 1
            pause = self._pause(course.rate_limits)
        elif (mark is not None and mark.retryable) or isinstance(error, job.terms.retry_on):
            course = job.own_course()
            course.failures += 1
            if course.failures >= job.terms.max_attempts:
                return GiveUp(f"it failed {course.failures} times, which is all it may", final_failure=False)
            pause = self._pause(course.failures)
        else:
            return GiveUp("it failed", final_failure=True)
        deadline = job.terms.deadline
        if deadline is not None and now + pause > deadline:
            return GiveUp("its deadline leaves no time for another try", final_failure=False)
        return now + pause

    def _pause(self, tries: int) -> float:
        """Between half and the whole of a back-off that doubles: the tries of many tasks spread out."""
        longest = min(self.longest, self.base * 2.0 ** min(tries - 1, 60))
        return longest * (0.5 + 0.5 * self.rng.random())
