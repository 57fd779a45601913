"""The manager of a run's plugins: found, imported, configured, checked, put in order, and compiled.

pluggy holds the contract and the implementations. What it does not do is done here: it would stop at the
first plugin that cannot be imported, let one distribution shadow another's name, accept misspelt and async
hooks, and order everything by one list. There is one pluggy manager per extension point, since a plugin may
stand first in one list and last in another.

    choose (names) → import → check hooks → structure tables → make → register in order → freeze →
    CompiledHooks

Problems are reported together: wrong configuration, and plugins that break the contract. A plugin that
cannot be imported or made is disabled and named (`problems`), unless the configuration insists on it
(`choice.py` says when).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any

import pluggy

from penstock.config.reading import PenstockConfig
from penstock.plugins.choice import Chosen
from penstock.plugins.compiled_hooks import CompiledHooks
from penstock.plugins.discovery import Installed, installed as read_installed
from penstock.plugins.hook_calls import bound_hooks
from penstock.plugins.loading import LoadedPlugin
from penstock.plugins.plugin_set import ActivePlugin, PluginSet
from penstock.sinks.spec import SinkBinding, SinkSpec
from penstock.tasks.records import SUBMISSION
from penstock.words.errors import ConfigError
from penstock.words.plugin_failures import OnPluginFailure, unheard
from penstock.words.settings import Settings, WallClock
from penstock.words.shadow import ShadowBook

__all__ = ["ActivePlugin", "PluginManager"]


class PluginManager:
    """The plugins that a configuration makes active, and their hooks.

    >>> from penstock import hookimpl
    >>> class Quiet:
    ...     @hookimpl
    ...     def penstock_task_eligible(self, task, now):
    ...         return None
    >>> manager = PluginManager.from_config(PenstockConfig(), extra=[Quiet()], installed=Installed())
    >>> manager.active
    ('Quiet',)
    >>> manager.freeze().request_eligible is None
    True
    """

    def __init__(self, config: PenstockConfig, extra: Iterable[object], installed: Installed) -> None:
        self.config = config
        self.installed = installed
        self.generation = 0
        self._extra = tuple(extra)
        self._files: dict[Path, LoadedPlugin] = {}
        self._on_failure: OnPluginFailure = unheard
        self._bound: dict[str, Any] = {}
        self.shadows = ShadowBook()
        """The counts of what the plugins in shadow would have done."""
        self._plugin_set = PluginSet(self.config, self._extra, installed, self._files, {})

    @classmethod
    def from_config(
        cls, config: PenstockConfig, *, extra: Iterable[object] = (), installed: Installed | None = None
    ) -> PluginManager:
        """The manager of the plugins that `config` asks for, with `extra` ones: objects, classes, or the `Path` of a
        file.

        `installed` is what there is to choose from (default: what the metadata of this environment says).
        Raises `ConfigError` with every problem, or `PluginError` if all that is wrong is one plugin.
        """
        return cls(config, extra, read_installed() if installed is None else installed)

    @property
    def active(self) -> tuple[str, ...]:
        """The names of the active plugins, in order."""
        return tuple(self._plugin_set.active)

    @property
    def problems(self) -> Mapping[str, str]:
        """The plugins that were disabled: name to what was wrong."""
        return MappingProxyType(self._plugin_set.disabled)

    @property
    def chosen(self) -> Chosen:
        """The choice of plugins: who is asked for what, in which order, and why."""
        return self._plugin_set.chosen

    def plugin(self, name: str) -> ActivePlugin:
        """An active plugin by its name. Raises `ConfigError` if there is none."""
        try:
            return self._plugin_set.active[name]
        except KeyError:
            raise ConfigError(f"no plugin {name!r} is active; active are {', '.join(self.active) or 'none'}") from None

    def settings_for(self, name: str) -> Settings:
        """The settings that the plugin's factories and rules are given: its `Config`, and what `bind` said of the
        run."""
        section = (
            self._plugin_set.active[name].config
            if name in self._plugin_set.active
            else self._plugin_set.unused.get(name)
        )
        scheduler = self.config.scheduler
        limits = MappingProxyType({SUBMISSION: scheduler.submission_capacity, **scheduler.resources})
        facts = {"limits": limits, "seed": scheduler.seed, **self._bound}
        return Settings(plugin=name, section=section, **facts)

    def bind(
        self,
        *,
        limits: Mapping[str, int] | None = None,
        seed: int | None = None,
        clock: WallClock | None = None,
        on_failure: OnPluginFailure | None = None,
    ) -> None:
        """Set what `Settings` carries, before `freeze`. Without it: the configuration's limits and seed.

        `on_failure(plugin, hook, error, function)` is called each time a rule, a note or a plugin in shadow raises;
        without it, nobody hears of that. Raises `ConfigError` after `freeze`.
        """
        self._refuse_if_frozen("bound to a run")
        given = {"limits": limits, "seed": seed, "clock": clock}
        self._bound |= {key: value for key, value in given.items() if value is not None}
        self._on_failure = on_failure or self._on_failure

    def register(self, plugin: object) -> None:
        """Add a plugin: an object, a class, or the `Path` of a file. As `extra`; raises `ConfigError` after
        `freeze`."""
        self._refuse_if_frozen("given more plugins; use reconfigure()")
        self._set(self.config, (*self._extra, plugin))

    def freeze(self) -> CompiledHooks:
        """The compiled hooks. From now on the set of plugins changes only through `reconfigure`."""
        self._refuse_if_frozen("frozen again")
        return self._compile()

    def reconfigure(
        self, config: PenstockConfig | None = None, *, extra: Iterable[object] | None = None
    ) -> CompiledHooks:
        """The compiled hooks of another configuration or of other `extra` plugins, all or nothing.

        Plugins whose `Config` is what it was stay the same objects. The caller puts the returned hooks in
        place of the old ones and then signals `Signal("reconfigured")`; leases that are out keep the limiters
        that granted them. Raises as `from_config`, and then everything is as it was.
        """
        self._set(config or self.config, self._extra if extra is None else tuple(extra))
        return self._compile()

    def _set(self, config: PenstockConfig, extra: tuple[object, ...]) -> None:
        self._plugin_set = PluginSet(config, extra, self.installed, self._files, self._plugin_set.active)
        self.config = config
        self._extra = extra

    def _refuse_if_frozen(self, what: str) -> None:
        if self.generation:
            raise ConfigError(f"the plugins of this run are frozen; they cannot be {what}")

    def _compile(self) -> CompiledHooks:
        self.generation += 1
        callers = self._plugin_set.callers()
        return CompiledHooks(
            callers,
            {name: self.settings_for(name) for name in self.active},
            self._sinks(callers),
            generation=self.generation,
            on_failure=self._on_failure,
            shadows=[name for name in self.active if self._plugin_set.active[name].shadow],
            shadow_book=self.shadows,
            origins={name: active.loaded.origin for name, active in self._plugin_set.active.items()},
        )

    def _sinks(self, callers: Mapping[str, pluggy.HookCaller]) -> list[SinkBinding]:
        streams = {
            stream: {bound.plugin: bound.function for bound in bound_hooks(callers[f"penstock_{stream}"])}
            for stream in ("scheduler_event", "request_event")
        }
        return [
            SinkBinding(
                name=name,
                spec=getattr(self._plugin_set.active[name].plugin, "sink", SinkSpec()),
                scheduler_event=streams["scheduler_event"].get(name),
                request_event=streams["request_event"].get(name),
                flush=_callable_or_none(self._plugin_set.active[name].plugin, "flush"),
            )
            for name in self.chosen.asked["sinks"]
            if name in self._plugin_set.active
        ]


def _callable_or_none(plugin: object, name: str) -> Any:
    found = getattr(plugin, name, None)
    return found if callable(found) else None
