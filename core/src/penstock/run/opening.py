"""A run, opened and closed: what begins before the block and ends after it, and what is raised at its end.

Inside the block `request` and `execute` (`calls.py`) find the run's request gate by a context variable.
"""

from __future__ import annotations

import logging
import math
from collections.abc import AsyncIterator, Iterable, Mapping
from contextlib import asynccontextmanager
from datetime import datetime
from pathlib import Path
from typing import Any, Final
from uuid import uuid4

import trio

from penstock.config.reading import PenstockConfig
from penstock.executor.under_trio import require_trio
from penstock.plugins.manager import PluginManager, plugin_objects
from penstock.run.calls import CURRENT
from penstock.run.configured import register_providers, run_info
from penstock.run.figures import FiguresForThreads
from penstock.run.parts import RunParts
from penstock.run.preparing import PreparedRun, checked_run_id, manager_of, put_together
from penstock.run.scheduler import Scheduler
from penstock.run.watch import RunWatch
from penstock.scheduler.parts import SchedulerParts
from penstock.sinks.drivers import SinkDrivers
from penstock.sinks.virtual_time import in_virtual_time
from penstock.words.checks import an_instance
from penstock.words.errors import ConfigError
from penstock.words.report import RunReport
from penstock.words.settings import WallClock

__all__ = ["open_scheduler"]

_log: Final = logging.getLogger("penstock.run")


@asynccontextmanager
async def open_scheduler(
    config: PenstockConfig | PluginManager | PreparedRun | Mapping[str, Any] | Path | str | None = None,
    *,
    plugins: Iterable[object] = (),
    run_id: str | None = None,
    wall_clock: WallClock | None = None,
) -> AsyncIterator[Scheduler]:
    """A run, open for the block: `async with penstock.open_scheduler("penstock.toml") as scheduler:`.

    `config` is a TOML file, a mapping of the same shape, a `PenstockConfig`, or `None` for the defaults; or the
    `PluginManager` of one that was made before, as a program does that forks: it is this run's from then on; or a whole
    run from `prepare_run`, which has its plugins and its `run_id`.
    `plugins` are further plugin objects, or paths of plugin files, or `Without(name)` for one that is to take no part.
    `run_id` is what the run is called in its events:
    at most 64 letters, digits, `-`, `_` and `.`; one is made up where none is given. The block's end waits for all
    tasks. A block that raises cancels them.

    Raises `ConfigError` with every problem of the configuration; `StallError` when work is left that nothing
    can start; an `ExceptionGroup` of the failures of tasks that nobody awaited."""
    require_trio("penstock.open_scheduler")
    started_at, virtual = trio.current_time(), in_virtual_time()
    run = _run(config, plugins, run_id, wall_clock, started_at, virtual=virtual)
    parts, hooks, manager, errors = run.parts, run.hooks, run.parts.plugins, run.parts.errors
    errors.opened()
    parts.deadlocks.opening()
    loaded = manager.config
    answers = bool(loaded.scheduler.explain_socket) and not virtual
    watch = RunWatch(parts, loaded.scheduler, snapshots=bool(hooks.sinks) or not virtual, answers=answers)
    scheduler = Scheduler(parts, watch)
    figures = FiguresForThreads(scheduler.figures, trio.lowlevel.current_trio_token())

    loop = parts.tasks.loop
    parts.check_names_before_calls()
    parts.say_promises()
    manager.trace.open()
    parts.notes.run_started(run_info(loaded, parts.run_id, started_at, manager.active, figures))
    token = CURRENT.set(scheduler.requests)
    failure: BaseException | None = None
    drivers = SinkDrivers(
        hooks.sinks,
        scheduler.scheduler_events,
        scheduler.request_events,
        failures=loaded.sinks.failures,
        on_failure=errors.report,
    )
    try:
        async with drivers:
            if hooks.sinks:
                loop.pause_while(lambda: drivers.full, drivers.drained)
            async with scheduler.requests, parts.tasks.runners.opened():
                register_providers(loaded, scheduler.requests)
                async with trio.open_nursery() as nursery:
                    loop.on_fatal = nursery.cancel_scope.cancel
                    await nursery.start(scheduler.watch.beside, loop.run)
                    parts.deadlocks.opened()
                    try:
                        yield scheduler
                    except trio.Cancelled:
                        loop.stop(-math.inf)
                        raise
                    except BaseException as error:
                        failure = error
                        loop.stop(-math.inf)
                    loop.close()
    finally:
        CURRENT.reset(token)
        parts.deadlocks.closed()
        figures.over = True
        manager.trace.close()
        scheduler.report = _report(scheduler, started_at, drivers, parts)
        parts.notes.run_finished(scheduler.report)
    _raise_what_went_wrong(parts.tasks, failure)


def _run(
    config: PenstockConfig | PluginManager | PreparedRun | Mapping[str, Any] | Path | str | None,
    plugins: Iterable[object],
    run_id: str | None,
    wall_clock: WallClock | None,
    started_at: float,
    *,
    virtual: bool,
) -> PreparedRun:
    if wall_clock is not None:
        an_instance(wall_clock, WallClock, "wall_clock")
    epoch = WallClock().epoch if virtual else datetime.now().astimezone()
    if isinstance(config, PreparedRun):
        if plugin_objects(plugins) or run_id is not None or wall_clock is not None:
            raise ConfigError("a prepared run has its plugins, its run_id and its clock: give none of them to open it")
        config.begin(epoch, started_at)
        return config
    manager = manager_of(config, plugins)
    name = None if run_id is None else checked_run_id(run_id)
    if name is None:
        name = f"run-{manager.config.scheduler.seed}" if virtual else f"run-{uuid4().hex[:12]}"
    return put_together(manager, name, wall_clock or WallClock(epoch, started_at))


def _report(scheduler: Scheduler, started_at: float, drivers: SinkDrivers, parts: RunParts) -> RunReport:
    endings = parts.tasks.endings
    counts = endings.counts
    unknown, misspelt = parts.unknown_names(), parts.tasks.runners.misspelt_groups()
    for problem in misspelt:
        _log.warning("%s", problem)
    return RunReport(
        run_id=scheduler.run_id,
        started_at=started_at,
        finished_at=trio.current_time(),
        completed=counts["completed"],
        failed=counts["failed"],
        dropped=counts["dropped"],
        cancelled=counts["cancelled"] + counts["shutdown"],
        not_done=endings.not_done,
        not_done_count=sum(counts.values()) - counts["completed"],
        leases=scheduler.admission.leases,
        request_leases=scheduler.requests.leases,
        diagnostics={
            **drivers.diagnostics(),
            **({"names": list(map(str, unknown))} if unknown else {}),
            **({"runners": misspelt} if misspelt else {}),
        },
        shadows=scheduler.plugins.shadows.tallies(),
        plugin_failures=parts.errors.failures,
        abandoned=parts.tasks.workers.abandoned,
        given_up=scheduler.requests.given_up(at_present=False),
        decisions=scheduler.plugins.trace.figures,
    )


def _raise_what_went_wrong(tasks: SchedulerParts, failure: BaseException | None) -> None:
    """One exception, and the most significant: what ended the run, what the block raised, or what nobody awaited."""
    fatal = tasks.loop.fatal
    if fatal is not None:
        if failure is not None and failure is not fatal:
            fatal.__context__ = failure
        raise fatal
    if failure is not None:
        raise failure
    unseen = tasks.endings.unseen_failures()
    if unseen:
        raise ExceptionGroup(f"{len(unseen)} tasks failed, and nobody awaited them", unseen)
