"""The scheduler of a run as its users hold it: tasks go in here, and both gates can be looked at from here."""

from __future__ import annotations

from collections.abc import AsyncIterable, Awaitable, Callable, Iterable, Mapping
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any, TypeVar, TypeVarTuple

from penstock.config.reading import PenstockConfig, load_config
from penstock.events.correlation import RuntimeCorrelation
from penstock.events.records import SchedulerEventKind
from penstock.run.health import Health
from penstock.run.parts import RunExplanation, RunParts
from penstock.run.reconfiguration import Reconfiguration
from penstock.run.reconfiguring import reconfigure
from penstock.run.watch import RunWatch
from penstock.scheduler.book import TaskBook
from penstock.scheduler.dispatch import DispatchLoop
from penstock.scheduler.handles import Group, TaskHandle, TaskSpec
from penstock.scheduler.mapping import TaskMap
from penstock.tasks.admission import TaskAdmissionController
from penstock.tasks.ready_queue import QueueView
from penstock.words.report import RunReport

__all__ = ["Scheduler"]

T = TypeVar("T")
R = TypeVar("R")
Ts = TypeVarTuple("Ts")


class Scheduler:
    """The scheduler of a run, with the run's request gate and plugins beside it. Made by `penstock.open_scheduler`."""

    def __init__(self, parts: RunParts, watch: RunWatch) -> None:
        self._parts = parts
        self._tasks = parts.tasks
        self.run_id = parts.run_id
        self.requests = parts.requests
        """The request gate: `acquire`, `attempt`, `execute`, `register`, `pressure`."""
        self.plugins = parts.plugins
        self.scheduler_events = parts.scheduler_events
        self.request_events = parts.request_events
        self.watch = watch
        """What goes on beside the loop."""
        self.report: RunReport | None = None
        """What the run came to; there once the block has ended."""

    # -- tasks

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

        Arguments by name go in with `functools.partial(fn, name=value)`. Raises `ConfigError` for what is no async
        function, arguments that do not fit it and wrong options, and `TaskRefused` for a task that could never fit.
        """
        return self._tasks.start(
            fn, args, group, needs, task_id, deadline, max_attempts, retry_on, row_group, column, cancellable, labels
        )

    def add(self, batch: Iterable[TaskSpec]) -> Mapping[str, TaskHandle[Any]]:
        """Handles by task id of a graph of tasks, which is taken all or nothing. Edges inside it may point forward.

        Raises `ConfigError` for an unknown id in `after`, a cycle or an id that is there already, and `TaskRefused`.
        """
        return self._tasks.add(batch)

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
        """Results of `fn(item)` for every item, in the order of completion: `async with scheduler.map(...) as results`.

        At most `window` items (default: twice the free places, at least 16) are in hand. The other options are
        those of `start_soon`, for each task.
        """
        return self._tasks.map(
            fn,
            items,
            window=window,
            group=group,
            needs=needs,
            deadline=deadline,
            max_attempts=max_attempts,
            retry_on=retry_on,
            row_group=row_group,
            column=column,
            labels=labels,
        )

    def seal(self, name: str) -> None:
        """No more members for the barrier of this id, or no more tasks of this row group."""
        self._tasks.seal(name)

    def cancel_task(self, task_id: str) -> None:
        """Do not carry this task out; one that runs is cancelled if it was started `cancellable`."""
        self._tasks.cancel_task(task_id)

    def somebody_waits(self) -> AbstractContextManager[None]:
        """While this is open, a run in which nothing can start is a stall, and not a pause between submissions."""
        return self._tasks.somebody_waits()

    # -- the run

    def signal(self, name: str) -> None:
        """Say `name` to both gates: what was refused until `Signal(name)` is asked again."""
        self._tasks.signal(name)
        self.requests.signal(name)

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
        self._tasks.emit(
            kind,
            correlation=correlation,
            task_id=task_id,
            resource=resource,
            group=group,
            reason_or_outcome=reason_or_outcome,
            snapshot=snapshot,
            diagnostics=diagnostics,
            labels=labels,
        )

    def shutdown(self) -> None:
        """Admit nothing more; what runs may finish within the grace period, and is cancelled then."""
        self._tasks.shutdown()

    def cancel(self) -> None:
        """Admit nothing more, and cancel what runs."""
        self._tasks.cancel()

    def reconfigure(
        self,
        config: PenstockConfig | Mapping[str, Any] | Path | str | None = None,
        *,
        plugins: Iterable[object] | None = None,
    ) -> Reconfiguration:
        """What has changed by another configuration, or other plugins, while the run goes on.

        Limiters and policies of plugins that are what they were stay with all that they know, and a limiter whose
        `Config` changed takes over if it can. Whatever waits is asked again. Leases that are out end with the limiters
        that granted them, or with those that took over. Caps, limits and the figures of `[scheduler]` and `[requests]`
        may change; `seed`, the ready queue, the waiters, the runner and the sinks may not.

        Raises `ConfigError` with every problem, of a task or call that could then never go as well, or `PluginError`;
        then nothing has changed.
        """
        self.requests.now()  # in another thread nothing is changed
        loaded = None if config is None else load_config(config).config
        return reconfigure(self._parts, self.watch.change_to, loaded, plugins)

    # -- looking

    def explain(self, group: str | None = None) -> str:
        """What everything that is left waits for, at both gates, in words; or what one group of tasks waits for."""
        return self._parts.explain(group)

    def explanation(self, group: str | None = None) -> RunExplanation:
        """What every group of tasks, or one, waits for, what calls wait for (`requests`), and what plugins in shadow
        would have done; as records."""
        return self._parts.explanation(group)

    def health(self) -> Health:
        """How the run is: what is queued and in flight, who waits longest, whether the loop keeps up."""
        return self.watch.health()

    @property
    def progress(self) -> Mapping[str, int]:
        """Where the tasks stand: `queued`, `in_flight`, `unfinished`, and how many ended in each way."""
        return self._tasks.progress

    @property
    def book(self) -> TaskBook:
        """What became of the tasks so far."""
        return self._tasks.book

    @property
    def queue_view(self) -> QueueView:
        """The live window onto what is queued."""
        return self._tasks.queue_view

    @property
    def admission(self) -> TaskAdmissionController:
        """The controller of the task gate."""
        return self._tasks.admission

    @property
    def loop(self) -> DispatchLoop:
        """The dispatch loop, which runs beside the caller's block."""
        return self._tasks.loop

    def opened(self) -> None:
        """The run's block begins, in the trio task that calls this."""
        self._parts.deadlocks.opened()

    def check_invariants(self) -> None:
        """Every task is in one state, and the ledger agrees. Raises `AssertionError`."""
        self._tasks.check_invariants()
