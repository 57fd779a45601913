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
import trio

from penstock.events.correlation import RuntimeCorrelation
from penstock.scheduler.handles import FINAL, EndStatus, TaskHandle
from penstock.scheduler.runners import NamedRunner
from penstock.tasks.lease import TaskAdmissionLease
from penstock.tasks.records import SchedulableTask
from penstock.words.failures import failure_mark

__all__ = ["Execution", "GiveUp", "Job", "RetryPlan"]

Execution = tuple[TaskAdmissionLease, RuntimeCorrelation, str, Mapping[str, str] | None]
"""The lease that a task runs under, and what the events of that carry: their correlation, what its group is called, and
its labels."""


class Job(TaskHandle[Any]):
    """A task from when it is taken on until it has ended, and then what became of it: its caller's handle.

    What most tasks have nothing of stands as a default on the class, and costs a task no memory. What the task held is
    let go with its end, however long its handle is kept.
    """

    __slots__ = ("__dict__", "max_attempts", "task")

    retry_on: tuple[type[Exception], ...] = ()
    row_group: str | None = None
    column: str | None = None
    cancellable: bool = False
    runner: NamedRunner | None = None
    """Where it runs; `None`: in the scheduler's own nursery."""
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

    def __init__(
        self,
        task: SchedulableTask,
        on_wait: Callable[[TaskHandle[Any]], AbstractContextManager[None]],
        max_attempts: int,
    ) -> None:
        self.task_id = task.task_id
        self._on_wait = on_wait
        self.status = "pending"
        self.attempts = 0
        self.retrieved = False
        self._result = self._watchers = None
        self.task = task
        self.max_attempts = max_attempts

    def settle(self, status: EndStatus, value: Any = None, error: BaseException | None = None) -> None:
        if self.status in FINAL:
            raise AssertionError(f"task {self.task_id!r} has ended before, as {self.status}")
        self.status, self._result = status, value if error is None else error
        del self.task
        if self.execution is not None:
            self.execution = None
        if self.last_error is not None:
            self.last_error = None
        if self._watchers is not None:
            self._call_watchers()

    @property
    def cancel_called(self) -> bool:
        """Whether the task was to be cancelled while it ran."""
        return self.scope is not None and self.scope.cancel_called


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
            job.rate_limits += 1
            pause = self._pause(job.rate_limits)
        elif (mark is not None and mark.retryable) or isinstance(error, job.retry_on):
            job.failures += 1
            if job.failures >= job.max_attempts:
                return GiveUp(f"it failed {job.failures} times, which is all it may", final_failure=False)
            pause = self._pause(job.failures)
        else:
            return GiveUp("it failed", final_failure=True)
        deadline = job.task.deadline
        if deadline is not None and now + pause > deadline:
            return GiveUp("its deadline leaves no time for another try", final_failure=False)
        return now + pause

    def _pause(self, tries: int) -> float:
        """Between half and the whole of a back-off that doubles: the tries of many tasks spread out."""
        longest = min(self.longest, self.base * 2.0 ** min(tries - 1, 60))
        return longest * (0.5 + 0.5 * self.rng.random())
