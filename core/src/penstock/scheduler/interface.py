"""What a program does with its tasks: submits, seals, cancels and observes them.

Both schedulers have this interface: that of the task gate alone (`scheduler.py`), and that of a run, which has the
request gate beside it (`run/scheduler.py`).
"""

from __future__ import annotations

import math
from collections.abc import AsyncIterable, Awaitable, Callable, Iterable, Mapping
from contextlib import AbstractContextManager
from typing import Any, TypeVar, TypeVarTuple, Unpack, overload

import trio

from penstock.events.correlation import RuntimeCorrelation
from penstock.events.recorded import json_safe
from penstock.events.records import SCHEDULER_EVENT_KINDS, SchedulerEventKind
from penstock.scheduler.handles import TaskHandle
from penstock.scheduler.mapping import TaskMap
from penstock.scheduler.options import NO_ERRORS, Group, MapOptions, StartOptions, TaskOptions, TaskSpec
from penstock.scheduler.parts import SchedulerParts
from penstock.tasks.admission import TaskAdmissionController
from penstock.tasks.ready_queue import QueueView
from penstock.words.checks import a_name, an_instance, is_text, shown
from penstock.words.errors import ConfigError
from penstock.words.labels import labels_of

__all__ = ["TaskInterface"]

T = TypeVar("T")
R = TypeVar("R")
Ts = TypeVarTuple("Ts")


class TaskInterface:
    """The methods about tasks of a scheduler that consists of `parts`."""

    def __init__(self, parts: SchedulerParts) -> None:
        self._tasks = parts

    @overload
    def start_soon(
        self, fn: Callable[[*Ts], Awaitable[R]], *args: *Ts, runner: str | None = None, **options: Unpack[StartOptions]
    ) -> TaskHandle[R]: ...

    @overload
    def start_soon(
        self, fn: Callable[[*Ts], R], *args: *Ts, runner: str | None, **options: Unpack[StartOptions]
    ) -> TaskHandle[R]: ...

    def start_soon(
        self,
        fn: Callable[[*Ts], Any],
        *args: *Ts,
        runner: str | None = None,
        group: Group = None,
        needs: Mapping[str, int] | None = None,
        task_id: str | None = None,
        deadline: float | None = None,
        max_attempts: int | None = None,
        retry_on: tuple[type[Exception], ...] = NO_ERRORS,
        row_group: str | None = None,
        column: str | None = None,
        cancellable: bool = False,
        labels: Mapping[str, str] | None = None,
    ) -> TaskHandle[Any]:
        """A handle, to be awaited for its result, of the task `fn(*args)`: it starts as soon as the task gate lets it.

        `runner`        where it runs, the name of an active runner or `nursery`; without, that of its group in
                        `[scheduler.runners]`, else the scheduler's own nursery, which runs async functions
        `group`         whom it counts for: a name, `TaskGroupSpec` or `SchedulingMetadata`
        `needs`         resource to amount, beside its place in `submission`
        `task_id`       unique in the run; one is made up where none is given
        `deadline`      moment of the run's clock by which it must have started
        `max_attempts`  how often it is tried at most
        `retry_on`      exception types after which it is tried again
        `row_group`, `column`  what its events are found by, and what a barrier may wait for
        `cancellable`   whether `cancel_task` also ends it while it runs
        `labels`        name to value, text, which its calls, both event streams, rules and limiters see: at most 8, of
                        at most 64 bytes each

        Arguments by name go in with `functools.partial(fn, name=value)`. Raises `ConfigError` for a function
        that its runner cannot carry out, arguments that do not fit it and wrong options, and `TaskRefused` for a task
        that could never fit.
        """
        if (
            runner is None
            and needs is None
            and deadline is None
            and max_attempts is None
            and retry_on is NO_ERRORS
            and row_group is None
            and column is None
            and cancellable is False
            and labels is None
        ):  # as it mostly is
            return self._tasks.intake.start_plain(fn, args, group, task_id)
        options = TaskOptions(
            group=group,
            runner=runner,
            needs=needs,
            deadline=deadline,
            max_attempts=max_attempts,
            retry_on=retry_on,
            row_group=row_group,
            column=column,
            cancellable=cancellable,
            labels=labels,
        )
        return self._tasks.intake.start(fn, args, options, task_id)

    def add(self, batch: Iterable[TaskSpec]) -> Mapping[str, TaskHandle[Any]]:
        """Handles by task id of a graph of tasks, which is taken all or nothing. Edges inside it may point forward.

        Raises `ConfigError` for an unknown id in `after`, a cycle or an id that is there already, and `TaskRefused`.
        """
        return self._tasks.intake.add(batch)

    @overload
    def map(
        self,
        fn: Callable[[T], Awaitable[R]],
        items: Iterable[T] | AsyncIterable[T],
        *,
        runner: str | None = None,
        window: int | None = None,
        **options: Unpack[MapOptions],
    ) -> TaskMap[T, R]: ...

    @overload
    def map(
        self,
        fn: Callable[[T], R],
        items: Iterable[T] | AsyncIterable[T],
        *,
        runner: str | None,
        window: int | None = None,
        **options: Unpack[MapOptions],
    ) -> TaskMap[T, R]: ...

    def map(
        self,
        fn: Callable[[T], Any],
        items: Iterable[T] | AsyncIterable[T],
        *,
        runner: str | None = None,
        window: int | None = None,
        group: Group = None,
        needs: Mapping[str, int] | None = None,
        deadline: float | None = None,
        max_attempts: int | None = None,
        retry_on: tuple[type[Exception], ...] = NO_ERRORS,
        row_group: str | None = None,
        column: str | None = None,
        labels: Mapping[str, str] | None = None,
    ) -> TaskMap[T, Any]:
        """Results of `fn(item)` for every item, in the order of completion: `async with scheduler.map(...) as results`.

        At most `window` items (default: twice the free places, at least 16) are in hand. The other options are
        those of `start_soon`, for each task. One that is never entered does nothing; a `RuntimeWarning` says so.
        """
        options = TaskOptions(
            group=group,
            runner=runner,
            needs=needs,
            deadline=deadline,
            max_attempts=max_attempts,
            retry_on=retry_on,
            row_group=row_group,
            column=column,
            cancellable=True,
            labels=labels,
        )
        return TaskMap(self._tasks, fn, items, options, window)

    @trio.lowlevel.enable_ki_protection
    def seal(self, name: str) -> None:
        """No more members for the barrier of this id, or no more tasks of this row group."""
        self._tasks.loop.check_thread()
        self._tasks.book.seal(a_name(name, "name"), trio.current_time())
        self._tasks.wakeup.ring()

    @trio.lowlevel.enable_ki_protection
    def cancel_task(self, task_id: str) -> None:
        """The end of a task that has not started; one that runs is cancelled if it was started `cancellable`."""
        self._tasks.cancel_task(task_id)

    def expect_progress(self) -> AbstractContextManager[None]:
        """A block in which a run where nothing can start is a stall, and not a pause between submissions."""
        return self._tasks.waits.counted()

    @trio.lowlevel.enable_ki_protection
    def emit(
        self,
        kind: SchedulerEventKind,
        *,
        correlation: RuntimeCorrelation | None = None,
        task_id: str | None = None,
        resource: str | None = None,
        group: str | None = None,
        reason_or_outcome: str | None = None,
        snapshot: Mapping[str, Any] | None = None,
        diagnostics: Mapping[str, Any] | None = None,
        labels: Mapping[str, str] | None = None,
    ) -> None:
        """An event of the caller's own (a row-group kind) in the scheduler stream; the fields are those of
        `RuntimeEvent`. Raises `ConfigError` for a kind that there is not, and for what cannot be written as JSON.
        """
        self._tasks.loop.check_thread()
        if not is_text(kind) or kind not in tuple(SCHEDULER_EVENT_KINDS):
            raise ConfigError(f"the scheduler stream has no event kind {shown(kind)}")
        words = {"task_id": task_id, "resource": resource, "group": group, "reason_or_outcome": reason_or_outcome}
        for name, word in words.items():
            if word is not None:
                a_name(word, name)
        if correlation is not None:
            an_instance(correlation, RuntimeCorrelation, "correlation").check()
        stream = self._tasks.events.stream
        stream.record(
            kind,
            trio.current_time(),
            correlation=correlation,
            snapshot=json_safe(snapshot, "snapshot"),
            diagnostics=json_safe(diagnostics, "diagnostics"),
            labels=labels_of(labels),
            **words,
        )
        if correlation is not None and correlation.row_group is not None:
            self._tasks.row_groups.note(kind, correlation.row_group)
        stream.deliver()

    def shutdown(self) -> None:
        """The end of admission; what runs may finish within the grace period, and is cancelled then."""
        self._tasks.loop.check_thread()
        if not self._tasks.loop.stopping:
            self._tasks.loop.stop(trio.current_time() + self._tasks.shutdown_grace)

    def cancel(self) -> None:
        """The end of admission, and of what runs, which is cancelled."""
        self._tasks.loop.check_thread()
        self._tasks.loop.stop(-math.inf)

    @property
    def progress(self) -> Mapping[str, int]:
        """Where the tasks stand: `queued`, `in_flight`, `unfinished`, and how many ended in each way."""
        tasks = self._tasks
        return {
            "queued": tasks.gate.view.queued_total,
            "in_flight": len(tasks.workers.in_flight),
            "unfinished": len(tasks.book.jobs),
            **tasks.endings.counts,
        }

    @property
    def runners(self) -> tuple[str, ...]:
        """The names of the active runners, beside the scheduler's own nursery."""
        return tuple(self._tasks.runners.named)

    @property
    def queue_view(self) -> QueueView:
        """The live window onto what is queued."""
        return self._tasks.gate.view

    @property
    def admission(self) -> TaskAdmissionController:
        """The controller of the task gate."""
        return self._tasks.gate.controller

    def check_invariants(self) -> None:
        """Every task is in one state, and the ledger agrees. Raises `AssertionError`."""
        tasks = self._tasks
        tasks.book.check_invariants()
        tasks.gate.check_invariants()
        assert tasks.gate.controller.in_flight == len(tasks.workers.in_flight)
        assert tasks.workers.in_flight.keys() <= tasks.book.jobs.keys()
