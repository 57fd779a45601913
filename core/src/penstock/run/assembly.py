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
from penstock.run.capacity import RunCapacity
from penstock.run.configured import retry_rules, scheduler_options
from penstock.run.deadlocks import Deadlocks
from penstock.run.notes import RunNotes
from penstock.run.parts import RunParts
from penstock.run.plugin_errors import PluginErrors
from penstock.run.task_policies import TaskPolicies
from penstock.scheduler.events import SchedulerEvents
from penstock.scheduler.gate_plugins import GatePlugins
from penstock.scheduler.parts import SchedulerParts
from penstock.scheduler.runners import NamedRunner, TaskRunners
from penstock.tasks.admission import TaskAdmissionConfig, TaskAdmissionController
from penstock.tasks.gate import TaskGate
from penstock.tasks.pressure_advice import RequestPressureAdvice
from penstock.tasks.queue import FifoTaskQueue
from penstock.words.identity import RequestResourceResolver
from penstock.words.settings import Settings, WallClock

__all__ = ["assemble"]


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
    resolver = RequestResourceResolver()
    requests = _request_gate(config, hooks, core, resolver, streams["request"], errors)
    events = SchedulerEvents(streams["scheduler"], run_id, manager.promises, clock)
    policies, rule = hooks.make_task_policies(), hooks.task_eligible
    options = config.scheduler
    queue = hooks.make_ready_queue() or FifoTaskQueue()
    made = hooks.make_task_runners()
    runners = TaskRunners([NamedRunner(by.name, runner, by, errors.report) for by, runner in made])
    maker = hooks.maker("penstock_ready_queue")
    limits = TaskAdmissionConfig(options.submission_capacity, options.resources)
    controller = TaskAdmissionController(limits, policies, rule, on_failure=errors.report)
    tasks = SchedulerParts(
        TaskGate(queue, controller, maker),
        events,
        core.rng("task-retries"),
        scheduler_options(options),
        runners,
        GatePlugins(queue=maker, on_failure=errors.report),
    )
    advice = RequestPressureAdvice(
        requests.controller.standings, resolver, on_step_back=events.stepped_back, wake=tasks.wake
    )
    deciding = TaskPolicies(tasks, policies, rule, advice, heeded=options.request_pressure == "advise")
    requests.gate.on_freed_provider = deciding.on_freed_provider
    return RunParts(
        run_id=run_id,
        tasks=tasks,
        policies=deciding,
        requests=requests,
        plugins=manager,
        notes=RunNotes(hooks),
        scheduler_events=streams["scheduler"],
        request_events=streams["request"],
        errors=errors,
        deadlocks=Deadlocks(tasks, requests.gate),
        capacity=RunCapacity(run_id, tasks, requests, manager),
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
