"""The waiting half of the task gate, put together, and what its parts do together.

intake -> book -> loop -> gate -> workers -> endings -> handles
"""

from __future__ import annotations

from collections.abc import Mapping
from random import Random
from typing import Final

import attrs
import trio

from penstock.scheduler.admitting import Admitting
from penstock.scheduler.book import TaskBook
from penstock.scheduler.dispatch import DispatchLoop
from penstock.scheduler.endings import TaskEndings
from penstock.scheduler.events import SchedulerEvents
from penstock.scheduler.gate_plugins import GatePlugins
from penstock.scheduler.intake import Intake
from penstock.scheduler.jobs import RetryPlan
from penstock.scheduler.row_groups import RowGroups
from penstock.scheduler.runners import TaskRunners
from penstock.scheduler.running import RunningTasks
from penstock.scheduler.waits import TaskWaits
from penstock.scheduler.wakeup import WakeUp
from penstock.scheduler.worker import Workers
from penstock.tasks.gate import TaskGate
from penstock.tasks.records import TaskSchedulingResolver
from penstock.tasks.standing import Explanation
from penstock.words.checks import a_name
from penstock.words.plugin_failures import RECONFIGURED
from penstock.words.verdicts import Condition, Signal

__all__ = ["SchedulerOptions", "SchedulerParts"]


@attrs.frozen(kw_only=True)
class SchedulerOptions:
    """The figures of a scheduler, as in `[scheduler]`; durations in seconds."""

    stall_timeout: float = 300.0
    shutdown_grace: float = 30.0
    max_attempts: int = 3
    retry_backoff: float = 1.0
    retry_backoff_max: float = 60.0
    admitted_limits: Mapping[str, int] = attrs.field(factory=dict)
    runners: Mapping[str, str] = attrs.field(factory=dict)


_DEFAULTS: Final = SchedulerOptions()


class SchedulerParts:
    """The parts of a scheduler: `loop` is to be run beside the block in which tasks are submitted.

    `rng` spreads the tries of tasks that failed.
    """

    def __init__(
        self,
        gate: TaskGate,
        events: SchedulerEvents,
        rng: Random,
        options: SchedulerOptions = _DEFAULTS,
        runners: TaskRunners | None = None,
        plugins: GatePlugins | None = None,
    ) -> None:
        plugins = GatePlugins.of(gate.queue) if plugins is None else plugins
        self.runners = TaskRunners() if runners is None else runners
        self.runners.by_group = options.runners
        self.gate = gate
        self.events = events
        self.shutdown_grace = options.shutdown_grace
        self.row_groups = RowGroups()
        self.wakeup = WakeUp()
        self.book = TaskBook(events)
        gate.take_entries_of(self.book.jobs)
        self._retries = RetryPlan(rng, options.retry_backoff, options.retry_backoff_max)
        self.endings = TaskEndings(self.book, gate, self._retries, events)
        admitting = Admitting(gate, self.endings, events)
        self.workers = Workers(RunningTasks(gate, self.endings, events, self.wakeup, admitting), self.runners)
        self.waits = TaskWaits(self.wakeup.ring, self.workers.task_of)
        self.loop = DispatchLoop(
            gate, self.endings, self.workers, admitting, self.waits, self.wakeup, events, plugins, options.stall_timeout
        )
        resolver = TaskSchedulingResolver(options.admitted_limits)
        self.intake = Intake(
            self.loop,
            gate.controller,
            self.endings,
            self.waits,
            events,
            resolver,
            options.max_attempts,
            self.runners,
        )

    def cancel_task(self, task_id: str) -> None:
        """The end of a task that has not started; one that runs is cancelled if it was started `cancellable`."""
        self.loop.check_thread()
        job = self.book.jobs.get(a_name(task_id, "task_id"))
        if job is None:
            return
        if task_id in self.workers.in_flight:
            if job.course.scope is not None:
                job.course.scope.cancel()
            return
        self.endings.stop(job, "cancelled", "it was cancelled", trio.current_time())
        self.wakeup.ring()

    @trio.lowlevel.enable_ki_protection
    def signal(self, name: str) -> None:
        """The signal `name`: what was refused until then is asked again."""
        self.loop.check_thread()
        signal = Signal(a_name(name, "name"))
        if signal == RECONFIGURED:
            self.loop.plugins_changed()
        self.wake(signal, trio.current_time())

    @trio.lowlevel.enable_ki_protection
    def wake(self, condition: Condition, now: float) -> None:
        """A condition of the task gate came true: ask everybody again who was refused until then."""
        self.gate.wake(condition, now)
        self.loop.signalled()

    @trio.lowlevel.enable_ki_protection
    def wake_all_refused(self) -> None:
        """Whoever refused may be gone, and what they waited for may never come: ask everybody again."""
        now = trio.current_time()
        for condition in dict.fromkeys(c for blocked in self.gate.blocked() for c in blocked.denied.until):
            self.wake(condition, now)

    def set_figures(self, options: SchedulerOptions) -> None:
        """From now on these hold. Unfinished tasks keep how often they are tried, and their runners; their groups get
        the new limits."""
        self.shutdown_grace = options.shutdown_grace
        self.loop.stall_timeout = options.stall_timeout
        self.runners.by_group = options.runners
        self._retries.base, self._retries.longest = options.retry_backoff, options.retry_backoff_max
        self.intake.set_figures(TaskSchedulingResolver(options.admitted_limits), options.max_attempts)

    def explanation(self, group: str | None = None) -> Explanation:
        """What everything that is left waits for, or what one group waits for; as records."""
        if group is not None:
            a_name(group, "group")
        return self.loop.explanation(trio.current_time(), group)
