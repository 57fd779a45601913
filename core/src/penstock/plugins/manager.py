"""The manager of a run's plugins: found, imported, configured, checked, put in order, and compiled.

pluggy holds the contract and the implementations. What it does not do is done here: it would stop at the
first plugin that cannot be imported, let one distribution shadow another's name, accept misspelt and async
hooks, and order everything by one list. There is one pluggy manager per extension point, since a plugin may
stand first in one list and last in another.

    choose (names) → import → check hooks → structure tables → make → register in order → freeze →
    CompiledHooks

Problems are reported together: wrong configuration, and plugins that break the contract. A plugin that cannot be
imported or made is disabled and named (`problems`), unless the configuration insists on it (`choice.py` says when).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import Any

import attrs
import pluggy

from penstock.config.reading import PenstockConfig
from penstock.plugins.choice import Chosen
from penstock.plugins.compiled_hooks import CompiledHooks
from penstock.plugins.discovery import Installed, installed as read_installed
from penstock.plugins.foreign_code import LOOKED_AT, foreign_code
from penstock.plugins.hook_calls import bound_hooks
from penstock.plugins.loading import LoadedPlugin
from penstock.plugins.names import settings_of
from penstock.plugins.plugin_set import ActivePlugin, PluginSet
from penstock.plugins.tracing import DecisionTrace
from penstock.sinks.spec import SinkBinding, SinkSpec, take_many_of
from penstock.words.checks import shown
from penstock.words.errors import ConfigError
from penstock.words.identity import ProviderModelKey
from penstock.words.plugin_failures import OnPluginFailure, unheard
from penstock.words.problems import Problem
from penstock.words.settings import Settings, WallClock
from penstock.words.shadow import ShadowBook

__all__ = ["ActivePlugin", "PluginManager", "PluginPlan", "plugin_objects", "trace_of"]


def trace_of(config: PenstockConfig) -> DecisionTrace:
    """The trace of decisions that a configuration asks for; it is not opened."""
    file = None if config.plugins.trace_file is None else Path(config.plugins.trace_file)
    return DecisionTrace(config.plugins.trace, config.scheduler.seed, file, config.source)


@attrs.frozen
class PluginPlan:
    """The plugins that a run is to have, made and compiled, beside those that it has (`before`)."""

    config: PenstockConfig
    extra: tuple[object, ...]
    files: dict[Path, tuple[bytes, LoadedPlugin]]
    plugins: PluginSet
    hooks: CompiledHooks
    before: Mapping[str, ActivePlugin]

    @property
    def kept(self) -> tuple[str, ...]:
        """The plugins that stay as they are."""
        return tuple(name for name, each in self.plugins.active.items() if each.same(self.before.get(name)))

    @property
    def changed(self) -> tuple[str, ...]:
        """The plugins that have another `Config`, another code, or another word on their shadow."""
        kept = self.kept
        return tuple(name for name in self.plugins.active if name in self.before and name not in kept)

    @property
    def added(self) -> tuple[str, ...]:
        """The plugins that are new."""
        return tuple(name for name in self.plugins.active if name not in self.before)

    @property
    def removed(self) -> tuple[str, ...]:
        """The plugins that are there no longer."""
        return tuple(name for name in self.before if name not in self.plugins.active)


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

    def __init__(self, config: PenstockConfig, extra: Iterable[object], installed: Installed | None) -> None:
        self.config = config
        self.generation = 0
        self._installed = installed
        self._extra = plugin_objects(extra)
        self._files: dict[Path, tuple[bytes, LoadedPlugin]] = {}
        self._on_failure: OnPluginFailure = unheard
        self._bound: dict[str, Any] = {}
        self.shadows = ShadowBook()
        """What the plugins in shadow would have done."""
        self._plugin_set = PluginSet(self.config, self._extra, self.installed, self._files, {})
        self.trace = trace_of(config)
        """The trace of decisions, which does nothing unless the configuration asks for it."""

    @classmethod
    def from_config(
        cls, config: PenstockConfig, *, extra: Iterable[object] = (), installed: Installed | None = None
    ) -> PluginManager:
        """The manager of the plugins that `config` asks for, with `extra` ones: objects, classes, or the `Path` of a
        file.

        `installed` is what there is to choose from (default: what the metadata of this environment says).
        Raises `ConfigError` with every problem, or `PluginError` if all that is wrong is one plugin.
        """
        return cls(config, extra, installed)

    @property
    def installed(self) -> Installed:
        """The plugins that there are to choose from."""
        return read_installed() if self._installed is None else self._installed

    @property
    def active(self) -> tuple[str, ...]:
        """The names of the active plugins, in order."""
        return tuple(self._plugin_set.active)

    @property
    def problems(self) -> Mapping[str, str]:
        """The plugins that were disabled: name to what was wrong."""
        return MappingProxyType(self._plugin_set.disabled)

    @property
    def promises(self) -> Mapping[str, tuple[str, ...]]:
        """What plugins promise of the run, in words: plugin to its promises."""
        return {name: tuple(each.text for each in made) for name, made in self._plugin_set.promises.items()}

    @property
    def chosen(self) -> Chosen:
        """The choice of plugins: who is asked for what, in which order, and why."""
        return self._plugin_set.chosen

    @property
    def unresolved(self) -> Sequence[Problem]:
        """The names in the configuration that nothing is known of, but may be before the first call."""
        return tuple(self._plugin_set.unresolved)

    def name_problems(
        self, providers: Mapping[str, Sequence[str]], models: Mapping[str, ProviderModelKey]
    ) -> list[Problem]:
        """The names in the configuration that are not among these; as `Settings.providers` and `Settings.models`."""
        return self._plugin_set.name_problems({"providers": providers, "models": models})

    def plugin(self, name: str) -> ActivePlugin:
        """An active plugin by its name. Raises `ConfigError` if there is none."""
        try:
            return self._plugin_set.active[name]
        except KeyError:
            raise ConfigError(f"no plugin {name!r} is active; active are {', '.join(self.active) or 'none'}") from None

    def settings_for(self, name: str) -> Settings:
        """The settings for the plugin's factories and rules: its `Config`, and what `bind` said of the run."""
        return self._settings(name, self._plugin_set, self.config)

    def _settings(self, name: str, plugins: PluginSet, config: PenstockConfig) -> Settings:
        section = plugins.active[name].config if name in plugins.active else plugins.unused.get(name)
        return settings_of(config, name, section, self._bound)

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

    def register(self, *plugins: object) -> None:
        """Add plugins, all or none: objects, classes, or the `Path`s of files. As `extra`; raises `ConfigError` after
        `freeze`."""
        self._refuse_if_frozen("given more plugins; use reconfigure()")
        extra = (*self._extra, *plugins)
        self._plugin_set = PluginSet(self.config, extra, self.installed, self._files, self._plugin_set.active)
        self._extra = extra

    def freeze(self) -> CompiledHooks:
        """The compiled hooks. From now on the set of plugins changes only through `reconfigure`."""
        self._refuse_if_frozen("frozen again")
        self.generation = 1
        return self._compile(self._plugin_set, self.config, 1)

    def plan(
        self,
        config: PenstockConfig | None = None,
        *,
        extra: Iterable[object] | None = None,
        held: Mapping[str, int] = MappingProxyType({}),
    ) -> PluginPlan:
        """The plugins and hooks by another configuration or other `extra` plugins; `carry_out` puts them in place.

        Plugins whose code and `Config` are what they were stay the same objects; a file is the same code while its text
        is. `held` is what tasks hold of each resource, for promises to look at. Changes nothing. Raises as
        `from_config`, also for what breaks a promise.
        """
        config = self.config if config is None else config
        files = dict(self._files)
        extra = self._extra if extra is None else plugin_objects(extra)
        before = self._plugin_set.active
        promised = self._plugin_set.promises if self.generation else {}
        plugins = PluginSet(config, extra, self.installed, files, before, promised, held)
        hooks = self._compile(plugins, config, self.generation + 1, before)
        return PluginPlan(config, extra, files, plugins, hooks, before)

    def carry_out(self, plan: PluginPlan) -> CompiledHooks:
        """The hooks of a plan, which are those of the run from now on.

        The caller puts them in place of the old ones and then says `Signal("reconfigured")`.
        """
        self.generation = plan.hooks.generation
        self._plugin_set, self.config, self._extra = plan.plugins, plan.config, plan.extra
        self._files = plan.files
        return plan.hooks

    def reconfigure(
        self, config: PenstockConfig | None = None, *, extra: Iterable[object] | None = None
    ) -> CompiledHooks:
        """The hooks by another configuration or other `extra` plugins, all or nothing: `plan`, and `carry_out`."""
        return self.carry_out(self.plan(config, extra=extra))

    def _refuse_if_frozen(self, what: str) -> None:
        if self.generation:
            raise ConfigError(f"the plugins of this run are frozen; they cannot be {what}")

    def _compile(
        self,
        plugins: PluginSet,
        config: PenstockConfig,
        generation: int,
        before: Mapping[str, ActivePlugin] = MappingProxyType({}),
    ) -> CompiledHooks:
        callers = plugins.callers()
        same_code = {name for name, each in plugins.active.items() if each.same_code(before.get(name))}
        return CompiledHooks(
            callers,
            {name: self._settings(name, plugins, config) for name in plugins.active},
            self._sinks(callers, plugins),
            generation=generation,
            on_failure=self._on_failure,
            shadows=[name for name, each in plugins.active.items() if each.shadow],
            shadow_book=self.shadows,
            kept={name for name in same_code if plugins.active[name].config == before[name].config},
            same_code=same_code,
            origins={name: each.loaded.origin for name, each in plugins.active.items()},
            trace=self.trace,
        )

    def _sinks(self, callers: Mapping[str, pluggy.HookCaller], plugins: PluginSet) -> list[SinkBinding]:
        streams = {
            stream: {bound.plugin: bound.function for bound in bound_hooks(callers[f"penstock_{stream}"])}
            for stream in ("scheduler_event", "request_event")
        }
        found: list[SinkBinding] = []
        for name in plugins.chosen.asked["sinks"]:
            if name not in plugins.active:
                continue
            with foreign_code(name, LOOKED_AT):
                plugin = plugins.active[name].plugin
                spec = getattr(plugin, "sink", SinkSpec())
                take_many, flush = take_many_of(plugin), getattr(plugin, "flush", None)
            found.append(
                SinkBinding(
                    name=name,
                    spec=spec,
                    scheduler_event=streams["scheduler_event"].get(name),
                    request_event=streams["request_event"].get(name),
                    take_many=take_many,
                    flush=flush if callable(flush) else None,
                )
            )
        return found


def plugin_objects(plugins: Iterable[object]) -> tuple[object, ...]:
    """The plugins that a caller hands in. Raises `ConfigError` for what is no list of such."""
    given: object = plugins
    if isinstance(given, str | bytes | Mapping) or not isinstance(given, Iterable):
        raise ConfigError(f"plugins must be a list of plugin objects or paths of plugin files, not {shown(plugins)}")
    found = tuple(plugins)
    for each in found:
        if isinstance(each, str):
            raise ConfigError(f"plugins must hold plugin objects, or files as pathlib.Path, not {shown(each)}")
    return found
