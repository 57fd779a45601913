"""A run, put together: configuration and plugins in, both gates and their streams out. It alone knows all
parts.

    config -> plugins -> hooks -> ready queue, task admission -> scheduler     both streams -> sinks
                               -> waiters, limiters, request admission -> executor

`open_scheduler` opens a run; inside it `request` and `execute` find the run's request gate by a context
variable.
"""

from __future__ import annotations

import math
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Mapping, Sequence
from contextlib import asynccontextmanager
from contextvars import ContextVar
from datetime import datetime
from pathlib import Path
from typing import Any, TypeVar
from uuid import uuid4

import attrs
import trio

from penstock.config.reading import PenstockConfig, load_config
from penstock.events.records import EventStream
from penstock.executor.attempt import Attempt, AttemptContext
from penstock.executor.executor import ModelRequestExecutor
from penstock.executor.retries import RetryRules
from penstock.plugins.compiled_hooks import CompiledHooks
from penstock.plugins.manager import PluginManager
from penstock.queueing.lanes import ALL
from penstock.requests.admission import RequestAdmissionController
from penstock.run.health import Health
from penstock.run.watch import RunWatch
from penstock.scheduler.events import SchedulerEvents
from penstock.scheduler.jobs import RetryPlan
from penstock.scheduler.scheduler import AsyncTaskScheduler, SchedulerOptions
from penstock.sinks.drivers import SinkDrivers
from penstock.sinks.virtual_time import in_virtual_time
from penstock.tasks.admission import TaskAdmissionConfig, TaskAdmissionController, TaskRule
from penstock.tasks.policy import TaskAdmissionPolicy
from penstock.tasks.pressure_advice import ADVICE, RequestPressureAdvice
from penstock.tasks.queue import FifoTaskQueue
from penstock.tasks.records import TaskSchedulingResolver
from penstock.tasks.standing import Explanation
from penstock.words.identity import ProviderKey, RequestResourceResolver
from penstock.words.report import RunInfo, RunReport
from penstock.words.settings import Settings, WallClock
from penstock.words.verdicts import Condition

__all__ = ["Scheduler", "current_executor", "execute", "open_scheduler", "request"]

R = TypeVar("R")

_current: ContextVar[Scheduler | None] = ContextVar("penstock_run", default=None)


class Scheduler(AsyncTaskScheduler):
    """The scheduler of a run, with the run's request gate and plugins beside it."""

    def __init__(
        self,
        *,
        run_id: str,
        requests: ModelRequestExecutor,
        plugins: PluginManager,
        scheduler_events: EventStream,
        request_events: EventStream,
        **parts: Any,
    ) -> None:
        super().__init__(**parts)
        self.run_id = run_id
        self.requests = requests
        """The request gate: `acquire`, `attempt`, `execute`, `register`, `pressure`."""
        self.plugins = plugins
        self.scheduler_events = scheduler_events
        self.request_events = request_events
        self.report: RunReport | None = None
        """What the run came to; there once the block has ended."""
        self._policies: Sequence[tuple[str, TaskAdmissionPolicy]] = ()
        self._rule: TaskRule | None = None
        self._advice: RequestPressureAdvice | None = None
        self.watch = RunWatch(self, interval=0, threshold=0, answers=False)
        """What goes on beside the loop."""

    def health(self) -> Health:
        """How the run is: what is queued and in flight, who waits longest, whether the loop keeps up."""
        return self.watch.health()

    def decide_by(self, hooks: CompiledHooks) -> None:
        """Let the policies and rules of these hooks decide about tasks from now on. Raises what a factory raises."""
        self._policies, self._rule = hooks.make_task_policies(), hooks.task_eligible
        self._set_policies()

    def heed_pressure(self, advice: RequestPressureAdvice) -> None:
        """Ask `advice` as the last of the policies, from the moment on at which the first model is known."""

        def eased(provider: ProviderKey, now: float) -> None:
            if self._advice is None:
                self._advice = advice
                self._set_policies()
            if provider in advice.awaited:
                for condition in advice.eased(provider, now):
                    self.wake(condition, now)

        self.requests.on_freed_provider(eased)

    def _set_policies(self) -> None:
        advice = [] if self._advice is None else [(ADVICE, self._advice)]
        self.admission.reconfigure([*self._policies, *advice], self._rule)

    def wake(self, condition: Condition, now: float) -> None:
        """A condition of the task gate came true: ask everybody again who was refused until then."""
        self._queue.wake(condition, ALL, now)
        self.loop.signalled()

    def signal(self, name: str) -> None:
        """Say `name` to both gates: what was refused until `Signal(name)` is asked again."""
        super().signal(name)
        self.requests.signal(name)

    def explanation(self, group: str | None = None) -> Explanation:
        """What every group of tasks, or one, waits for, and what plugins in shadow would have done; as records."""
        return attrs.evolve(super().explanation(group), shadows=self.plugins.shadows.tallies())

    def explain(self, group: str | None = None) -> str:
        """What everything that is left waits for, at both gates, in words; or what one group of tasks waits for."""
        tasks = super().explain(group)
        return tasks if group is not None else f"{tasks}\n{self.requests.explain()}"

    def reconfigure(
        self,
        config: PenstockConfig | Mapping[str, Any] | Path | str | None = None,
        *,
        plugins: Iterable[object] | None = None,
    ) -> None:
        """Take other plugins, or other configurations of them, while the run goes on.

        Policies, rules, limiters and outcome rules are made anew, and whatever was refused is asked again.
        Leases that are out keep the limiters that granted them. The ready queue, the waiters, the runner and
        the sinks stay. Raises `ConfigError` or `PluginError`, and then everything is as it was."""
        loaded = None if config is None else load_config(config).config
        hooks = self.plugins.reconfigure(loaded, extra=plugins)
        hooks.see_pressure(self.requests.pressure)
        self.decide_by(hooks)
        now = trio.current_time()
        for condition in dict.fromkeys(c for blocked in self._queue.blocked() for c in blocked.denied.until):
            self.wake(condition, now)  # whoever refused may be gone, and what he waited for may never come
        self.requests.reconfigure(
            hooks.make_request_limiters, rule=hooks.request_eligible, classify=hooks.classify_outcome
        )
        self.signal("reconfigured")


def current_scheduler() -> Scheduler:
    """The run that this code is in. Raises `RuntimeError` outside `open_scheduler`."""
    scheduler = _current.get()
    if scheduler is None:
        raise RuntimeError("there is no run here: call this inside `async with penstock.open_scheduler(...)`")
    return scheduler


def current_executor() -> ModelRequestExecutor:
    """The request gate of the run that this code is in. Raises `RuntimeError` outside `open_scheduler`."""
    return current_scheduler().requests


def request(resource: str, **options: Any) -> AttemptContext:
    """One admitted call: `async with penstock.request("provider/model", domain="chat") as attempt`.

    Waits for the lease, and gives it back with the classified outcome at the end of the block. Options as
    `ModelRequestExecutor.attempt`: `domain`, `cost`, `group`, `timeout` (seconds), `deadline` (moment of the
    run's clock). Raises `RequestAdmissionError` if admission refuses."""
    return current_executor().attempt(resource, **options)


async def execute(call: Callable[[Attempt], Awaitable[R]], resource: str, **options: Any) -> R:
    """Make a call with retries, each attempt under a lease of its own. Options as `ModelRequestExecutor.execute`."""
    return await current_executor().execute(call, resource, **options)


@asynccontextmanager
async def open_scheduler(
    config: PenstockConfig | Mapping[str, Any] | Path | str | None = None,
    *,
    plugins: Iterable[object] = (),
    run_id: str | None = None,
    wall_clock: WallClock | None = None,
) -> AsyncIterator[Scheduler]:
    """Open a run: `async with penstock.open_scheduler("penstock.toml") as scheduler:`.

    `config` is a TOML file, a mapping of the same shape, a `PenstockConfig`, or `None` for the defaults;
    `plugins` are further plugin objects, or paths of plugin files. The block's end waits for all tasks. A
    block that raises cancels them.

    Raises `ConfigError` with every problem of the configuration; `StallError` when work is left that nothing
    can start; an `ExceptionGroup` of the failures of tasks that nobody awaited."""
    parts = config if isinstance(config, PenstockConfig) else load_config(config).config
    manager = PluginManager.from_config(parts, extra=plugins)
    started_at = trio.current_time()
    virtual = in_virtual_time()
    if wall_clock is None:
        wall_clock = WallClock(started_at=started_at) if virtual else WallClock(datetime.now().astimezone(), started_at)
    if run_id is None:
        run_id = f"run-{parts.scheduler.seed}" if virtual else f"run-{uuid4().hex[:12]}"
    manager.bind(clock=wall_clock)
    hooks = manager.freeze()
    scheduler = _assemble(parts, manager, hooks, run_id, wall_clock)

    hooks.run_started(RunInfo(run_id=run_id, started_at=started_at, seed=parts.scheduler.seed, plugins=manager.active))
    token = _current.set(scheduler)
    failure: BaseException | None = None
    drivers = SinkDrivers(
        hooks.sinks, scheduler.scheduler_events, scheduler.request_events, failures=parts.sinks.failures
    )
    try:
        async with drivers:
            if hooks.sinks:
                scheduler.loop.pause_with(lambda: drivers.drained() if drivers.full else None)
            async with scheduler.requests, trio.open_nursery() as nursery:
                _register_providers(parts, scheduler.requests)
                scheduler.loop.on_fatal = nursery.cancel_scope.cancel
                options = parts.scheduler
                scheduler.watch = RunWatch(
                    scheduler,
                    interval=0 if virtual and not hooks.sinks else options.health_interval,
                    threshold=options.watchdog or 0,
                    answers=bool(options.explain_socket) and not virtual,
                )
                await nursery.start(scheduler.watch.beside, scheduler.loop.run)
                try:
                    yield scheduler
                except trio.Cancelled:
                    scheduler.loop.stop(-math.inf)
                    raise
                except BaseException as error:
                    failure = error
                    scheduler.loop.stop(-math.inf)
                scheduler.loop.close()
    finally:
        _current.reset(token)
        scheduler.report = _report(scheduler, started_at, drivers)
        hooks.run_finished(scheduler.report)
    _raise_what_went_wrong(scheduler, failure)


def _assemble(
    parts: PenstockConfig, manager: PluginManager, hooks: CompiledHooks, run_id: str, clock: WallClock
) -> Scheduler:
    """Both gates of a run, with what the plugins make for them."""
    core = Settings(seed=parts.scheduler.seed, clock=clock)
    scheduler_events, request_events = EventStream("scheduler"), EventStream("request")
    resolver = RequestResourceResolver()
    controller = RequestAdmissionController(
        request_events,
        make_limiters=hooks.make_request_limiters,
        waiters=hooks.make_request_waiters(),
        rule=hooks.request_eligible,
    )
    hooks.see_pressure(controller.pressure)
    requests = ModelRequestExecutor(
        controller,
        request_events,
        resolver=resolver,
        classify=hooks.classify_outcome,
        rng=core.rng("request-retries"),
        wall=core.wall,
        retries=RetryRules(
            max_attempts=parts.requests.max_attempts,
            backoff=parts.requests.retry_backoff,
            backoff_max=parts.requests.retry_backoff_max,
            kinds=frozenset(parts.requests.retry_on),
            budget=parts.requests.retry_budget,
        ),
        queue_wait_timeout=parts.requests.queue_wait_timeout,
    )
    options = parts.scheduler
    events = SchedulerEvents(scheduler_events, run_id)
    scheduler = Scheduler(
        run_id=run_id,
        requests=requests,
        plugins=manager,
        scheduler_events=scheduler_events,
        request_events=request_events,
        queue=hooks.make_ready_queue() or FifoTaskQueue(),
        admission=TaskAdmissionController(TaskAdmissionConfig(options.submission_capacity, options.resources)),
        retries=RetryPlan(core.rng("task-retries"), options.retry_backoff, options.retry_backoff_max),
        events=events,
        runner=hooks.make_task_runner(),
        options=SchedulerOptions(
            stall_timeout=options.stall_timeout,
            shutdown_grace=options.shutdown_grace,
            max_attempts=options.max_attempts,
        ),
        resolver=TaskSchedulingResolver(options.admitted_limits),
    )
    scheduler.decide_by(hooks)
    if options.request_pressure == "advise":
        advice = RequestPressureAdvice(requests.standings, resolver, told=events.stepped_back, wake=scheduler.wake)
        scheduler.heed_pressure(advice)
    return scheduler


def _register_providers(parts: PenstockConfig, requests: ModelRequestExecutor) -> None:
    """Make every configured model known; the aliases of one model id share the smallest of their caps."""
    for name, provider in parts.providers.items():
        requests.resolver.add_domains(name, provider.domains)
        by_id: dict[str, dict[str, Any]] = {}
        for alias, model in provider.models.items():
            model_id = model.model or alias
            requests.resolver.add_alias(name, alias, model_id=model_id)
            same = by_id.setdefault(model_id, {"caps": {}, "domain_caps": {}})
            same["caps"][alias] = model.max_parallel_requests
            for domain, cap in model.domain_caps.items():
                same["domain_caps"][domain] = min(cap, same["domain_caps"].get(domain, cap))
        for model_id, same in by_id.items():
            requests.register(name, model_id, cap=same["caps"], domain_caps=same["domain_caps"])


def _report(scheduler: Scheduler, started_at: float, drivers: SinkDrivers) -> RunReport:
    book = scheduler.book
    counts = book.counts
    return RunReport(
        run_id=scheduler.run_id,
        started_at=started_at,
        finished_at=trio.current_time(),
        completed=counts["completed"],
        failed=counts["failed"],
        dropped=counts["dropped"],
        cancelled=counts["cancelled"] + counts["shutdown"],
        not_done=dict(book.not_done),
        not_done_count=sum(counts.values()) - counts["completed"],
        leases=scheduler.admission.leases,
        request_leases=scheduler.requests.leases,
        diagnostics=drivers.diagnostics(),
        shadows=scheduler.plugins.shadows.tallies(),
    )


def _raise_what_went_wrong(scheduler: Scheduler, failure: BaseException | None) -> None:
    """One exception, and the most telling: what ended the run, what the block raised, or what nobody awaited."""
    fatal = scheduler.loop.fatal
    if fatal is not None:
        if failure is not None and failure is not fatal:
            fatal.__context__ = failure
        raise fatal
    if failure is not None:
        raise failure
    unseen = scheduler.book.unseen_failures()
    if unseen:
        raise ExceptionGroup(f"{len(unseen)} tasks failed, and nobody awaited them", unseen)
