"""The scheduler as its callers see it: tasks in, handles out, and the way to stop it.

What callers hand in is made into jobs by `intake.py`, kept until its end in `book.py`, and started by the loop in
`dispatch.py`.
"""

from __future__ import annotations

import math
from collections.abc import AsyncIterable, Awaitable, Callable, Collection, Iterable, Mapping, Sequence
from contextlib import AbstractContextManager
from threading import get_ident
from typing import Any, TypeVar, TypeVarTuple

import attrs
import trio

from penstock.events.correlation import RuntimeCorrelation
from penstock.events.records import SchedulerEventKind
from penstock.readiness.completion import TaskNode
from penstock.scheduler.book import TaskBook
from penstock.scheduler.callers_events import record_callers_event
from penstock.scheduler.dispatch import DispatchLoop
from penstock.scheduler.events import SchedulerEvents
from penstock.scheduler.gate_plugins import GatePlugins
from penstock.scheduler.handles import CANCELLED, Group, TaskHandle, TaskSpec
from penstock.scheduler.intake import REMEMBERED, Intake
from penstock.scheduler.jobs import Job, RetryPlan
from penstock.scheduler.mapping import TaskMap
from penstock.scheduler.runner import TaskRunner
from penstock.tasks.gate import TaskGate
from penstock.tasks.lease import TaskRefused
from penstock.tasks.ready_queue import QueueView
from penstock.tasks.records import SchedulerResourceRequest, TaskSchedulingResolver
from penstock.tasks.standing import Explanation
from penstock.words.checks import a_name, shown, whole_number
from penstock.words.errors import ConfigError, StallError
from penstock.words.labels import labels_of
from penstock.words.plugin_failures import RECONFIGURED
from penstock.words.verdicts import Condition, Signal

__all__ = ["AsyncTaskScheduler", "SchedulerOptions"]

T = TypeVar("T")
R = TypeVar("R")
Ts = TypeVarTuple("Ts")


@attrs.frozen(kw_only=True)
class SchedulerOptions:
    """How the shell behaves; durations in seconds."""

    stall_timeout: float = 300.0
    shutdown_grace: float = 30.0
    max_attempts: int = 3


class AsyncTaskScheduler:
    """Takes tasks, and starts each as soon as the task gate lets it. Made by `penstock.open_scheduler`."""

    def __init__(
        self,
        *,
        gate: TaskGate,
        retries: RetryPlan,
        events: SchedulerEvents,
        runner: TaskRunner | None = None,
        options: SchedulerOptions | None = None,
        resolver: TaskSchedulingResolver | None = None,
        plugins: GatePlugins | None = None,
    ) -> None:
        self._gate = gate
        self.admission = gate.controller
        """The controller of the task gate."""
        self._events = events
        self._options = SchedulerOptions() if options is None else options
        self._resolver = TaskSchedulingResolver() if resolver is None else resolver
        self._intake = Intake(self._resolver, self._options.max_attempts, self._waits_for_handle)
        self._retries = retries
        self.book = TaskBook(gate, retries, events)
        """What became of the tasks so far."""
        self._jobs = self.book.jobs
        self._tracker = self.book.tracker
        self.queue_view: QueueView = gate.view
        """The live window onto what is queued."""
        self._fitting: set[SchedulerResourceRequest] = set()
        self._thread = get_ident()
        self.loop = DispatchLoop(
            gate=gate,
            book=self.book,
            events=events,
            stall_timeout=self._options.stall_timeout,
            runner=runner,
            plugins=plugins,
        )
        """The dispatch loop: `open_scheduler` runs it beside the caller's block."""

    # -- what callers use

    def start_soon(
        self,
        fn: Callable[[*Ts], Awaitable[R]],
        *args: *Ts,
        group: Group = None,
        needs: Mapping[str, int] | None = None,
        task_id: str | None = None,
        deadline: float | None = None,
        max_attempts: int | None = None,
        retry_on: tuple[type[Exception], ...] = (),
        row_group: str | None = None,
        column: str | None = None,
        cancellable: bool = False,
        labels: Mapping[str, str] | None = None,
    ) -> TaskHandle[R]:
        """A handle, to be awaited for its result, of the task `fn(*args)`: it starts as soon as the task gate lets it.

        The options are told at `penstock.run.scheduler.Scheduler.start_soon`. Raises `ConfigError` and `TaskRefused`.
        """
        return self.start(
            fn, args, group, needs, task_id, deadline, max_attempts, retry_on, row_group, column, cancellable, labels
        )

    def start(
        self,
        fn: Callable[..., Awaitable[R]],
        args: Sequence[Any],
        group: Group = None,
        needs: Mapping[str, int] | None = None,
        task_id: str | None = None,
        deadline: float | None = None,
        max_attempts: int | None = None,
        retry_on: tuple[type[Exception], ...] = (),
        row_group: str | None = None,
        column: str | None = None,
        cancellable: bool = False,
        labels: Mapping[str, str] | None = None,
    ) -> TaskHandle[R]:
        """`start_soon` with everything by position, for who passes it on: passing names on takes 0.5 µs more."""
        self._check_open()
        job = self._intake.job(
            fn, args, group, needs, task_id, deadline, max_attempts, retry_on, row_group, column, cancellable, labels
        )
        self._check_fits(job)
        self.book.take_on_one(job, self._intake.numbered if task_id is None else 0)
        if self._events.stream.active:
            self._events.ready(job, trio.current_time())
        self.loop.wakeup.ring()
        return job.handle

    def add(self, batch: Iterable[TaskSpec]) -> Mapping[str, TaskHandle[Any]]:
        """Take a graph of tasks, all or nothing; returns task id to handle. Edges inside the batch may
        point forward.

        Raises `ConfigError` for an unknown id in `after`, a cycle or an id that is there already, and
        `TaskRefused`.
        """
        nodes = []
        given: object = batch
        if isinstance(given, str | bytes) or not isinstance(given, Iterable):
            raise ConfigError(f"batch must be an iterable of TaskSpec, not {shown(batch)}")
        for spec in batch:
            job = self._intake.job_of(spec)
            nodes.append((job, TaskNode(job.task, spec.after, spec.members_of, spec.row_group, spec.barrier)))
        self._take_on(nodes)
        return {job.task.task_id: job.handle for job, _ in nodes}

    def map(
        self,
        fn: Callable[[T], Awaitable[R]],
        items: Iterable[T] | AsyncIterable[T],
        *,
        window: int | None = None,
        group: Group = None,
        needs: Mapping[str, int] | None = None,
        deadline: float | None = None,
        max_attempts: int | None = None,
        retry_on: tuple[type[Exception], ...] = (),
        row_group: str | None = None,
        column: str | None = None,
        labels: Mapping[str, str] | None = None,
    ) -> TaskMap[T, R]:
        """Results of `fn(item)` for every item, in the order of completion: `async with scheduler.map(...)
        as results`.
        """
        if window is None:
            window = max(16, 2 * self.admission.view().resource_limits["submission"])
        whole_number(window, "window")
        self._intake.functions.check(fn, (None,))
        given: object = items
        if not isinstance(given, Iterable | AsyncIterable):
            raise ConfigError(f"items must be an iterable or an asynchronous one, not {shown(items)}")
        checked = labels_of(labels)

        def begin(item: T) -> TaskHandle[R]:
            return self.start(
                fn, (item,), group, needs, None, deadline, max_attempts, retry_on, row_group, column, True, checked
            )

        return TaskMap(self, begin, items, window)

    @trio.lowlevel.enable_ki_protection
    def seal(self, name: str) -> None:
        """No more members for the barrier of this id, or no more tasks of this row group."""
        self._enter()
        a_name(name, "name")
        self.book.seal(name, trio.current_time())
        self.loop.wakeup.ring()

    @trio.lowlevel.enable_ki_protection
    def signal(self, name: str) -> None:
        """Say `name`: what was refused until `Signal(name)` is asked again."""
        self._enter()
        a_name(name, "name")
        signal = Signal(name)
        if signal == RECONFIGURED:
            for job in self._jobs.values():
                job.failing_since = None
        self._gate.wake(signal, trio.current_time())
        self.loop.signalled()

    @trio.lowlevel.enable_ki_protection
    def wake(self, condition: Condition, now: float) -> None:
        """A condition of the task gate came true: ask everybody again who was refused until then."""
        self._gate.wake(condition, now)
        self.loop.signalled()

    @trio.lowlevel.enable_ki_protection
    def wake_all_refused(self) -> None:
        """Whoever refused may be gone, and what they waited for may never come: ask everybody again."""
        now = trio.current_time()
        for condition in dict.fromkeys(c for blocked in self._gate.blocked() for c in blocked.denied.until):
            self.wake(condition, now)

    def too_large_for(self, limits: Mapping[str, int]) -> Mapping[str, tuple[int, int, str]]:
        """Resources of which tasks that have not ended ask for more than `limits` has.

        By resource the most that is asked for, by how many tasks, and the id of the first.
        """
        return self.book.too_large_for(limits)

    def set_limits(self, limits: Mapping[str, int]) -> None:
        """From now on there is so much of each resource, `submission` included; nobody may ask for more.

        Whoever waits is to be asked again (`wake_all_refused`).
        """
        self._gate.set_limits(limits)
        self._fitting.clear()

    def set_figures(
        self,
        options: SchedulerOptions,
        resolver: TaskSchedulingResolver,
        retry_backoff: float,
        retry_backoff_max: float,
    ) -> None:
        """From now on these hold. Tasks keep how often they are tried; groups that `resolver` makes get its limits."""
        self._options = options
        self._resolver = resolver
        self.loop.stall_timeout = options.stall_timeout
        self._retries.set_backoff(retry_backoff, retry_backoff_max)
        changed = self._intake.set_figures(resolver, options.max_attempts)
        for job in self._jobs.values() if changed else ():
            job.task.group = changed.get(job.task.group, job.task.group)
        for group in changed.values():
            self.admission.set_admitted_limit(group.key, group.admitted_limit)

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
        """Put an event of the caller's own (a row-group kind) into the scheduler stream; the fields are those of
        `RuntimeEvent`. Raises `ConfigError` for a kind that there is not, and for what cannot be written as JSON.
        """
        self._enter()
        words = {"task_id": task_id, "resource": resource, "group": group, "reason_or_outcome": reason_or_outcome}
        stream, now = self._events.stream, trio.current_time()
        record_callers_event(stream, kind, now, correlation, words, snapshot, diagnostics, labels)

    def explain(self, group: str | None = None) -> str:
        """What everything that is left waits for, in words; or what one group waits for."""
        return str(self.explanation(group))

    def explanation(self, group: str | None = None) -> Explanation:
        """The same as records."""
        if group is not None:
            a_name(group, "group")
        return self.loop.explanation(trio.current_time(), group)

    @trio.lowlevel.enable_ki_protection
    def cancel_task(self, task_id: str) -> None:
        """Do not carry this task out; one that runs is cancelled if it was started `cancellable`."""
        self._enter()
        job = self._jobs.get(a_name(task_id, "task_id"))
        if job is None:
            return
        if task_id in self.loop.in_flight:
            if job.scope is not None:
                job.scope.cancel()
            return
        self.book.stop(job, CANCELLED, "it was cancelled", trio.current_time())
        self.loop.wakeup.ring()

    def shutdown(self) -> None:
        """Admit nothing more; what runs may finish within the grace period, and is cancelled then."""
        self._enter()
        if not self.loop.stopping:
            self.loop.stop(trio.current_time() + self._options.shutdown_grace)

    def cancel(self) -> None:
        """Admit nothing more, and cancel what runs."""
        self._enter()
        self.loop.stop(-math.inf)

    @property
    def progress(self) -> Mapping[str, int]:
        """Where the tasks stand: `queued`, `in_flight`, `unfinished`, and how many ended in each way."""
        return {
            "queued": self.queue_view.queued_total,
            "in_flight": len(self.loop.in_flight),
            "unfinished": len(self._jobs),
            **self.book.counts,
        }

    # -- taking on

    def _enter(self) -> None:
        if get_ident() != self._thread:
            raise RuntimeError(
                "this scheduler belongs to another thread, or is not open: "
                "from another thread use trio.from_thread.run_sync(..., trio_token=token)"
            )

    def _take_on(self, nodes: Sequence[tuple[Job, TaskNode]]) -> None:
        self._check_open()
        for job, _ in nodes:
            self._check_fits(job)
        self.book.take_on(nodes, trio.current_time())
        self.loop.wakeup.ring()

    def _check_open(self) -> None:
        self._enter()
        if not self.loop.accepts:
            raise RuntimeError("the scheduler is closing and takes no more tasks")

    def _check_fits(self, job: Job) -> None:
        """Refuse what could never run at once, with the figures; each resource request is looked at once."""
        request = job.task.resource_request
        if request not in self._fitting:
            never = self.admission.never_fits(job.task)
            if never is not None:
                raise TaskRefused(job.task.task_id, never)
            if len(self._fitting) >= REMEMBERED:
                self._fitting.clear()
            self._fitting.add(request)

    def spawn_source(self, fn: Callable[..., Awaitable[None]], *args: Any) -> None:
        """Run a source of tasks beside the workers; while it runs, more work may come."""
        self.loop.spawn_source(fn, *args)

    def somebody_waits(self) -> AbstractContextManager[None]:
        """While this is open, a run in which nothing can start is a stall, and not a pause between submissions."""
        return self.loop.waits.somebody_waits()

    def waits_for(self, awaited: Callable[[], Collection[str]]) -> AbstractContextManager[None]:
        """While this is open, the trio task in it waits for the end of any of these tasks, and is told of a deadlock.

        `awaited` gives their ids; none means that something else may end the wait.
        """
        return self.loop.waits.wait(awaited)

    def _waits_for_handle(self, handle: TaskHandle[Any]) -> AbstractContextManager[None]:
        task_id = handle.task_id
        if self.loop.task_of(trio.lowlevel.current_task()) == task_id:
            raise StallError(chain=[f"task {task_id!r} waits for its own end"])
        return self.waits_for(lambda: () if handle.done else (task_id,))

    def check_invariants(self) -> None:
        """Every task is in one state, and the ledger agrees. Raises `AssertionError`."""
        self.loop.check_invariants()
