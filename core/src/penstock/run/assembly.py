"""A run, put together: configuration and plugins in, both gates and their streams out. It alone knows all parts.

config -> plugins -> hooks -> ready queue, task admission -> scheduler     both streams -> sinks
                           -> waiters, limiters, request admission -> executor
"""

from __future__ import annotations

from collections.abc import Mapping

import trio

from penstock.config.reading import PenstockConfig
from penstock.events.records import EventStream, StreamName
from penstock.executor.executor import ModelRequestExecutor
from penstock.plugins.compiled_hooks import CompiledHooks
from penstock.plugins.manager import PluginManager
from penstock.requests.admission import RequestAdmissionController
from penstock.run.configured import retry_rules, scheduler_options
from penstock.run.deadlocks import Deadlocks
from penstock.run.notes import RunNotes
from penstock.run.parts import RunParts
from penstock.run.plugin_errors import PluginErrors
from penstock.run.task_policies import TaskPolicies
from penstock.run.watch import RunWatch
from penstock.scheduler.events import SchedulerEvents
from penstock.scheduler.gate_plugins import GatePlugins
from penstock.scheduler.jobs import RetryPlan
from penstock.scheduler.scheduler import AsyncTaskScheduler
from penstock.tasks.admission import TaskAdmissionConfig, TaskAdmissionController
from penstock.tasks.gate import TaskGate
from penstock.tasks.pressure_advice import RequestPressureAdvice
from penstock.tasks.queue import FifoTaskQueue
from penstock.tasks.records import TaskSchedulingResolver
from penstock.words.identity import RequestResourceResolver
from penstock.words.settings import Settings, WallClock

__all__ = ["assemble", "make_watch"]


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
        gate=TaskGate(
            queue,
            TaskAdmissionController(
                TaskAdmissionConfig(options.submission_capacity, options.resources),
                policies,
                rule,
                on_failure=errors.report,
            ),
            makers[0],
        ),
        retries=RetryPlan(core.rng("task-retries"), options.retry_backoff, options.retry_backoff_max),
        events=events,
        runner=runner,
        plugins=GatePlugins(queue=makers[0], runner=makers[1], on_failure=errors.report),
        options=scheduler_options(options),
        resolver=TaskSchedulingResolver(options.admitted_limits),
    )
    advice = RequestPressureAdvice(requests.standings, resolver, told=events.stepped_back, wake=tasks.wake)
    deciding = TaskPolicies(tasks, policies, rule, advice, heeded=options.request_pressure == "advise")
    requests.on_freed_provider(deciding.eased)
    return RunParts(
        run_id=run_id,
        tasks=tasks,
        policies=deciding,
        requests=requests,
        plugins=manager,
        notes=RunNotes(hooks),
        scheduler_events=scheduler_events,
        request_events=request_events,
        errors=errors,
        deadlocks=Deadlocks(tasks, requests.gate),
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
        retries=retry_rules(options),
        queue_wait_timeout=options.queue_wait_timeout,
        on_failure=errors.report,
    )


def make_watch(config: PenstockConfig, parts: RunParts, *, virtual: bool, sinks: bool) -> RunWatch:
    """What goes on beside the loop. In virtual time there are snapshots only for sinks, and no socket."""
    options = config.scheduler
    watch = RunWatch(parts, snapshots=sinks or not virtual, answers=bool(options.explain_socket) and not virtual)
    watch.change_to(options)
    return watch
