"""A task that the scheduler has taken on, and what is to become of it after a failure.

Which layer retries what: the request gate's executor retries *calls*, and marks the error that it gives up with as
final. The scheduler retries *tasks*: after an error that is marked retryable (a bare `penstock.request` that failed) or
that is of a type the caller listed. So the attempts of the two do not multiply. A rate limit uses up no attempt.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from random import Random
from typing import Any

import attrs

from penstock.events.correlation import RuntimeCorrelation
from penstock.scheduler.handles import TaskHandle
from penstock.scheduler.job_state import JobState
from penstock.scheduler.runners import NamedRunner
from penstock.tasks.terms import TaskTerms
from penstock.words.failures import failure_mark

__all__ = ["GiveUp", "Job", "JobTerms", "RetryPlan"]


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
    in_events: tuple[str, RuntimeCorrelation, Mapping[str, str] | None] | None = attrs.field(default=None, init=False)
    """What its events say of it, since somebody has listened: what its group is called, the correlation of those that
    are of no execution, and its labels."""


class Job(JobState, TaskHandle[Any]):
    """A task from when it is taken on until it has ended, and then what became of it: its caller's handle.

    One object, since there may be a million: handle, entry of the ready queue, and what its record is made of when
    somebody looks at it. What the task held is let go with its end, however long its handle is kept.
    """

    __slots__ = ()

    terms: JobTerms

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
        elif (mark is not None and mark.retryable) or _is_one_of(error, job.terms.retry_on):
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


def _is_one_of(error: Exception, kinds: tuple[type[Exception], ...]) -> bool:
    """Whether an error is of one of these kinds; of none, where it or they cannot be asked."""
    try:
        return isinstance(error, kinds)
    except Exception:  # what the error says of its class, or a metaclass, raises
        return False
