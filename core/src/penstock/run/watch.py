"""What goes on beside the dispatch loop, and ends with it: snapshots of the run's health, the watchdog, and the socket
on which `penstock explain` asks.
"""

from __future__ import annotations

import math
from collections.abc import Awaitable, Callable
from functools import partial
from pathlib import Path

import trio

from penstock.config.reading import SchedulerConfig
from penstock.events.correlation import RuntimeCorrelation
from penstock.run.explain_socket import answer_questions
from penstock.run.health import Health, top_groups
from penstock.run.parts import RunParts
from penstock.run.questions import answer_question
from penstock.run.reconfiguration import Changes
from penstock.run.reconfiguring import another_config, reconfigure
from penstock.run.watchdog import LongStep, Watchdog

__all__ = ["RunWatch"]


class RunWatch:
    """The watch over one run.

    `snapshots`  whether there are snapshots of health
    `answers`    whether `penstock explain` is answered
    """

    def __init__(self, run: RunParts, options: SchedulerConfig, *, snapshots: bool, answers: bool) -> None:
        self._run = run
        self._snapshots = snapshots
        self._answers = answers
        self.on_reconfigure: Callable[[Path], Awaitable[Changes]] | None = None
        """What takes the file of `penstock reconfigure`, where a program reads more in it than the run does. It raises
        `ConfigError` or `PluginError` with what is wrong, and has changed nothing then, nor when it is cancelled.
        """
        self._reading = trio.CapacityLimiter(1)
        """Held while such a file is read, also by a thread that nobody waits for any more."""
        self._interval = 0.0
        self._watchdog: Watchdog | None = None
        self._watching = False
        self._lag = 0.0
        self._blocked: LongStep | None = None
        self._sleep: trio.CancelScope | None = None
        self.change_to(options)

    def change_to(self, options: SchedulerConfig) -> None:
        """Snapshots and a watchdog from now on, as `[scheduler]` says."""
        interval = options.health_interval if self._snapshots else 0.0
        if interval != self._interval:
            self._interval = interval
            if self._sleep is not None:
                self._sleep.cancel()
        threshold = options.watchdog or 0.0
        watching = self._watching
        self._watch(False)
        if self._watchdog is None or not threshold:
            self._watchdog = Watchdog(threshold, blame=self._run.plugins.trace.longest_within) if threshold else None
        else:
            self._watchdog.threshold = threshold
        self._watch(watching)

    def _watch(self, watching: bool) -> None:
        if self._watchdog is not None and watching != self._watching:
            (trio.lowlevel.add_instrument if watching else trio.lowlevel.remove_instrument)(self._watchdog)
        self._watching = watching

    async def _reconfigured(self, file: Path) -> Changes:
        if self.on_reconfigure is not None:
            return await self.on_reconfigure(file)
        # In a thread: a file may be on a disk that does not answer, or a pipe.
        read = partial(another_config, file, foreign_tables=True)
        config = await trio.to_thread.run_sync(read, limiter=self._reading, abandon_on_cancel=True)
        return reconfigure(self._run, self.change_to, config, None)

    async def beside(
        self,
        loop: Callable[[trio.TaskStatus[None]], Awaitable[None]],
        task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED,
    ) -> None:
        """The run of the loop, watched until it ends."""
        self._watch(True)
        try:
            async with trio.open_nursery() as nursery:
                nursery.start_soon(self._take_snapshots, name="penstock health")
                if self._answers:
                    answer = partial(answer_question, self._run, self.health, self._reconfigured)
                    await nursery.start(answer_questions, self._run.run_id, answer, name="penstock explain")
                try:
                    await loop(task_status)
                finally:
                    nursery.cancel_scope.cancel()
        finally:
            self._watch(False)

    def health(self) -> Health:
        """How the run is now."""
        run, watchdog, now = self._run, self._watchdog, trio.current_time()
        pressure = run.requests.pressure.snapshots(now).values()
        found = None if watchdog is None else watchdog.take()
        if found is not None and (self._blocked is None or found.seconds > self._blocked.seconds):
            self._blocked = found
        blocked = self._blocked
        queue, admission = run.tasks.gate.view, run.tasks.gate.controller
        queues = run.tasks.gate.queue, run.requests.controller.queue
        waits = {group: max(0.0, now - since) for group, since in queue.waiting_since_by_group.items()}
        return Health(
            captured_at=now,
            queued=queue.queued_total,
            running=admission.in_flight,
            unfinished=len(run.tasks.book.jobs),
            in_flight=dict(admission.view().leased_resources),
            queued_by_group=top_groups(queue.queued_by_group),
            longest_waits=top_groups(waits),
            waiting_requests=sum(each.waiters for each in pressure),
            requests_in_flight=sum(each.in_flight_count for each in pressure),
            loop_lag=self._lag,
            blocked_by=None if blocked is None else blocked.task,
            blocked_seconds=0.0 if blocked is None else blocked.seconds,
            blocked_times=0 if watchdog is None else watchdog.times,
            debts=len(admission.view().policy_debt_by_group_resource),
            remembered_groups=sum(getattr(each, "remembered_groups", 0) for each in queues),
            unconfigured_models=run.requests.gate.unconfigured.known,
            unconfigured_models_bound=run.requests.gate.unconfigured.bound,
            given_up=run.requests.given_up(),
            plugin_errors=run.errors.counts,
            decisions=run.plugins.trace.figures,
            promises=run.plugins.promises,
            runners=run.tasks.runners.standings(now),
            abandoned=len(run.tasks.workers.abandoned),
        )

    async def _take_snapshots(self) -> None:
        run = self._run
        stream = run.scheduler_events
        while True:
            due = trio.current_time() + (self._interval or math.inf)
            with trio.CancelScope() as self._sleep:
                await trio.sleep_until(due)
            if self._sleep.cancelled_caught:
                continue  # the interval is another
            now = trio.current_time()
            self._lag = max(self._lag, now - due)
            if stream.active and self._has_work(now):
                correlation = RuntimeCorrelation(run.run_id)
                snapshot = self.health().as_dict()
                stream.record("scheduler_health_snapshot", now, correlation=correlation, snapshot=snapshot)
                stream.deliver()
            self._lag, self._blocked = 0.0, None

    def _has_work(self, now: float) -> bool:
        """Whether there are tasks, or calls that wait, are out or pause; a service may have no tasks."""
        requests = self._run.requests
        if self._run.tasks.book.jobs or requests.calls_pausing:
            return True
        return any(each.in_flight_count or each.waiters for each in requests.pressure.snapshots(now).values())
