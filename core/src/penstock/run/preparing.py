"""A run that is put together, and not open yet. Nothing of it knows of a loop or of the time, so a program that forks
makes it before, once, and its child opens it: what was made is in pages that both share, and what makes it never runs
in the child.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from datetime import datetime
from pathlib import Path
from typing import Any, Final

import attrs

from penstock.config.reading import PenstockConfig, load_config
from penstock.events.records import EventStream, StreamName
from penstock.plugins.compiled_hooks import CompiledHooks
from penstock.plugins.manager import PluginManager, plugin_objects
from penstock.run.assembly import assemble
from penstock.run.parts import RunParts
from penstock.run.plugin_errors import PluginErrors
from penstock.words.checks import a_name, shown
from penstock.words.errors import ConfigError
from penstock.words.settings import WallClock

__all__ = ["PreparedRun", "checked_run_id", "manager_of", "prepare_run", "put_together"]

RUN_ID: Final = re.compile(r"[A-Za-z0-9_-][A-Za-z0-9._-]{0,63}", re.ASCII)
"""The names that a run may have: a name stands in every event of the run."""


@attrs.define(eq=False)
class PreparedRun:
    """A run with its plugins, queues and rules made, which `open_scheduler` opens, once. Its wall clock goes from then
    on.
    """

    parts: RunParts
    hooks: CompiledHooks
    clock: WallClock
    _opened: bool = attrs.field(default=False, init=False)

    def begin(self, epoch: datetime, started_at: float) -> None:
        """The run is opened, and its wall clock goes from here. Raises `ConfigError` for the second time."""
        if self._opened:
            raise ConfigError("this prepared run was opened before: prepare another one")
        self._opened = True
        self.clock.start(epoch, started_at)


def prepare_run(
    config: PenstockConfig | Mapping[str, Any] | Path | str | None = None,
    *,
    plugins: Iterable[object] = (),
    run_id: str,
) -> PreparedRun:
    """A run to be opened later, perhaps by a process that is forked meanwhile: `open_scheduler(prepared)`. The
    arguments are those of `open_scheduler`; no trio is needed.

    Factories of plugins are called here: a plugin that opens a connection or starts a thread does so in
    `penstock_run_started`. Raises `ConfigError` and `PluginError` as `open_scheduler` does.
    """
    return put_together(manager_of(config, plugins), checked_run_id(run_id), WallClock())


def put_together(manager: PluginManager, run_id: str, clock: WallClock) -> PreparedRun:
    """A run with the plugins of a manager, which is this run's from then on."""
    streams: dict[StreamName, EventStream] = {"scheduler": EventStream("scheduler"), "request": EventStream("request")}
    errors = PluginErrors(streams, run_id)
    manager.bind(clock=clock, on_failure=errors.report)
    hooks = manager.freeze()
    return PreparedRun(assemble(manager.config, manager, hooks, run_id, clock, streams, errors), hooks, clock)


def checked_run_id(run_id: str) -> str:
    """The name, if a run may have it. Raises `ConfigError`."""
    if not RUN_ID.fullmatch(a_name(run_id, "run_id")):
        raise ConfigError(f"run_id must be at most 64 letters, digits, '-', '_' and '.', not {shown(run_id)}")
    return run_id


def manager_of(
    config: PenstockConfig | PluginManager | Mapping[str, Any] | Path | str | None, plugins: Iterable[object]
) -> PluginManager:
    """The plugins of a configuration, or a manager that was made before, with further ones."""
    if not isinstance(config, PluginManager):
        return PluginManager.from_config(load_config(config).config, extra=plugins)
    if more := plugin_objects(plugins):
        config.register(*more)
    return config
