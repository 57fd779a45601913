"""A run that is set up and never begins: every plugin made, every factory called, every configured model registered.

So a mistake that only a factory would find is found before there is work to lose. Nothing is opened but what a plugin
opens when it is made, nothing is sent, and no note of a start or an end is given.
"""

from __future__ import annotations

import trio

from penstock.config.reading import PenstockConfig
from penstock.events.records import EventStream, StreamName
from penstock.plugins.foreign_code import interruptible
from penstock.plugins.manager import PluginManager
from penstock.run.assembly import assemble
from penstock.run.configured import register_providers
from penstock.run.plugin_errors import PluginErrors
from penstock.words.capacity_plan import AsyncCapacityPlan
from penstock.words.errors import PenstockError
from penstock.words.settings import WallClock

__all__ = ["dry_run"]


def dry_run(config: PenstockConfig, manager: PluginManager) -> AsyncCapacityPlan:
    """What would limit a run by `config`, after the factories of the plugins of `manager`, which is frozen by it, were
    called as that run would.

    Raises `ConfigError` and `PluginError` as opening a run does.
    """
    manager.trace.check()
    with interruptible():  # a factory may hang, and what it raises is caught whatever that is
        return trio.run(_set_up, config, manager)


async def _set_up(config: PenstockConfig, manager: PluginManager) -> AsyncCapacityPlan:
    clock = WallClock(started_at=trio.current_time())
    streams: dict[StreamName, EventStream] = {"scheduler": EventStream("scheduler"), "request": EventStream("request")}
    manager.bind(clock=clock)  # what a factory raises is raised here, so nobody else need hear of it
    errors = PluginErrors(streams, "dry-run")
    errors.opened()
    parts = assemble(config, manager, manager.freeze(), "dry-run", clock, streams, errors)
    wrong: PenstockError | None = None
    async with parts.requests:
        try:
            register_providers(config, parts.requests)
        except PenstockError as error:  # raised outside of the block, which would make a group of it
            wrong = error
    if wrong is not None:
        raise wrong
    return parts.capacity.plan(trio.current_time())
