"""A run, put together: configuration and plugins in, both gates and their streams out. It alone knows all parts.

config -> plugins -> hooks -> ready queue, task admission -> scheduler     both streams -> sinks
                           -> waiters, limiters, request admission -> executor
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import trio

from penstock.config.reading import PenstockConfig
from penstock.events.records import EventStream, StreamName
from penstock.executor.executor import ModelRequestExecutor
from penstock.executor.retries import RetryRules
from penstock.plugins.compiled_hooks import CompiledHooks
from penstock.plugins.manager import PluginManager
from penstock.requests.admission import RequestAdmissionController
from penstock.run.parts import RunParts
from penstock.run.plugin_errors import PluginErrors
from penstock.run.task_policies import TaskPolicies
from penstock.run.watch import RunWatch
from penstock.scheduler.events import SchedulerEvents
from penstock.scheduler.gate_plugins import GatePlugins
from penstock.scheduler.jobs import RetryPlan
from penstock.scheduler.scheduler import AsyncTaskScheduler, SchedulerOptions
from penstock.tasks.admission import TaskAdmissionConfig, TaskAdmissionController
from penstock.tasks.pressure_advice import RequestPressureAdvice
from penstock.tasks.queue import FifoTaskQueue
from penstock.tasks.records import TaskSchedulingResolver
from penstock.words.identity import RequestResourceResolver
from penstock.words.settings import Settings, WallClock

__all__ = ["assemble", "make_watch", "register_providers"]


def make_streams() -> Mapping[StreamName, EventStream]:
    """The two streams of a run, by their names."""
    return {"scheduler": EventStream("scheduler"), "request": EventStream("request")}


@trio.lowlevel.enable_ki_protection  # what a factory raises is caught, and a real Ctrl+C is not to be among it
def assemble(
    config: PenstockConfig,
    manager: PluginManager,
    hooks: CompiledHooks,
    run_id: str,
    clock: WallClock,
    streams: Mapping[StreamName, EventStream],
    errors: PluginErrors,
) -> RunParts:
    """Both gates of a run, with what the plugins make for them. Raises what a factory raises."""
    core = Settings(seed=config.scheduler.seed, clock=clock)
    scheduler_events, request_events = streams["scheduler"], streams["request"]
    resolver = RequestResourceResolver()
    requests = _request_gate(config, hooks, core, resolver, request_events, errors)
    events = SchedulerEvents(scheduler_events, run_id)
    policies, rule = hooks.make_task_policies(), hooks.task_eligible
    options = config.scheduler
    queue, runner = hooks.make_ready_queue() or FifoTaskQueue(), hooks.make_task_runner()
    makers = hooks.maker("penstock_ready_queue"), hooks.maker("penstock_task_runner")
    tasks = AsyncTaskScheduler(
        queue=queue,
        admission=TaskAdmissionController(
            TaskAdmissionConfig(options.submission_capacity, options.resources),
            policies,
            rule,
            on_failure=errors.report,
        ),
        retries=RetryPlan(core.rng("task-retries"), options.retry_backoff, options.retry_backoff_max),
        events=events,
        runner=runner,
        plugins=GatePlugins(queue=makers[0], runner=makers[1], on_failure=errors.report),
        options=SchedulerOptions(
            stall_timeout=options.stall_timeout,
            shutdown_grace=options.shutdown_grace,
            max_attempts=options.max_attempts,
        ),
        resolver=TaskSchedulingResolver(options.admitted_limits),
    )
    advice: RequestPressureAdvice | None = None
    if options.request_pressure == "advise":
        advice = RequestPressureAdvice(requests.standings, resolver, told=events.stepped_back, wake=tasks.wake)
    deciding = TaskPolicies(tasks, policies, rule, advice)
    if advice is not None:
        requests.on_freed_provider(deciding.eased)
    return RunParts(
        run_id=run_id,
        tasks=tasks,
        policies=deciding,
        requests=requests,
        plugins=manager,
        scheduler_events=scheduler_events,
        request_events=request_events,
        errors=errors,
        stall_timeouts=(options.stall_timeout, config.requests.stall_timeout),
    )


def _request_gate(
    config: PenstockConfig,
    hooks: CompiledHooks,
    core: Settings,
    resolver: RequestResourceResolver,
    events: EventStream,
    errors: PluginErrors,
) -> ModelRequestExecutor:
    waiters = hooks.make_request_waiters()
    controller = RequestAdmissionController(
        events,
        make_limiters=hooks.make_request_limiters,
        waiters=waiters,
        maker=hooks.maker("penstock_request_waiters"),
        rule=hooks.request_eligible,
        on_failure=errors.report,
        stall_timeout=config.requests.stall_timeout,
    )
    hooks.see_pressure(controller.pressure)
    options = config.requests
    return ModelRequestExecutor(
        controller,
        events,
        resolver=resolver,
        classify=hooks.classify_outcome,
        rng=core.rng("request-retries"),
        wall=core.wall,
        retries=RetryRules(
            max_attempts=options.max_attempts,
            backoff=options.retry_backoff,
            backoff_max=options.retry_backoff_max,
            kinds=frozenset(options.retry_on),
            budget=options.retry_budget,
        ),
        queue_wait_timeout=options.queue_wait_timeout,
        on_failure=errors.report,
    )


def make_watch(config: PenstockConfig, parts: RunParts, *, virtual: bool, sinks: bool) -> RunWatch:
    """What goes on beside the loop. In virtual time there are snapshots only for sinks, and no socket."""
    options = config.scheduler
    return RunWatch(
        parts,
        interval=0 if virtual and not sinks else options.health_interval,
        threshold=options.watchdog or 0,
        answers=bool(options.explain_socket) and not virtual,
    )


def register_providers(config: PenstockConfig, requests: ModelRequestExecutor) -> None:
    """Make every configured model known; the aliases of one model id share the smallest of their caps."""
    for name, provider in config.providers.items():
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
