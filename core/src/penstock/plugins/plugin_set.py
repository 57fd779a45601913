"""The set of plugins of one configuration: chosen, imported, checked, configured and made, or refused with
everything that is wrong.

A plugin set is made whole or not at all, so that a reconfiguration that fails leaves the old one in use.
Plugins that stay, with the same `Config`, are taken over from the set before as the objects that they are.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable, Mapping
from os.path import isfile, realpath
from pathlib import Path
from types import MappingProxyType
from typing import Any, Final

import attrs
import pluggy

from penstock.config.names import group_problems, impossible_groups
from penstock.config.reading import PenstockConfig
from penstock.plugins.barring import Without, barring, plugin_files
from penstock.plugins.choice import EXTENSION_POINTS, choose, why_unused
from penstock.plugins.discovery import Installed
from penstock.plugins.foreign_code import LOOKED_AT, foreign_code
from penstock.plugins.hook_calls import bound_hooks
from penstock.plugins.hook_checks import check_hooks, deprecations, hooks_of
from penstock.plugins.hookspecs import HOOKS, PenstockSpec
from penstock.plugins.loading import (
    LoadedPlugin,
    PluginUnusable,
    import_plugin,
    load_file,
    make_plugin,
    name_of,
    structure_section,
)
from penstock.plugins.names import settings_of
from penstock.plugins.promise_checks import broken, promises_of, taken_back
from penstock.plugins.promises import Promise, Promises, RunPlan
from penstock.plugins.shadow import take_shadow, unfit_for_shadow
from penstock.sinks.spec import SinkSpec
from penstock.words.errors import ConfigError, PluginError
from penstock.words.problems import PathParts, Problem

__all__ = ["ActivePlugin", "PluginSet"]

CHECK_NAMES: Final = "penstock_check_names"
PROMISES: Final = "penstock_promises"

_log: Final = logging.getLogger("penstock.plugins")


@attrs.frozen(eq=False)
class ActivePlugin:
    """A plugin in use: what was loaded, its structured `Config` (or `None`), and the object whose hooks are asked."""

    loaded: LoadedPlugin
    config: Any
    plugin: object
    shadow: bool = False
    """Whether it is asked without being heeded."""

    @property
    def name(self) -> str:
        return self.loaded.name

    def same_code(self, other: ActivePlugin | None) -> bool:
        """Whether it is the same class, module or object."""
        return other is not None and self.loaded.target is other.loaded.target

    def same(self, other: ActivePlugin | None) -> bool:
        """Whether nothing about it has changed."""
        return (
            self.same_code(other) and other is not None and (self.config, self.shadow) == (other.config, other.shadow)
        )


class PluginSet:
    """The plugins of one configuration, made and checked. Raises instead of being half made.

    `promised` is what plugins have promised of the run that goes on, and `held` what its tasks hold.
    """

    def __init__(
        self,
        config: PenstockConfig,
        extra: tuple[object, ...],
        installed: Installed,
        files: dict[Path, tuple[bytes, LoadedPlugin]],
        before: Mapping[str, ActivePlugin],
        promised: Promises = MappingProxyType({}),
        held: Mapping[str, int] = MappingProxyType({}),
    ) -> None:
        self._config = config
        self._installed = installed
        self._before = before
        self._wrong: list[Problem] = [Problem((), str(clash), config.source) for clash in installed.clashes]
        self._broken: list[PluginError] = []
        self.disabled: dict[str, str] = {}
        self.active: dict[str, ActivePlugin] = {}
        self.unused: dict[str, Any] = {}
        """The structured tables of plugins that are installed but not active."""
        self._callers: dict[str, pluggy.HookCaller] = {}

        bars = barring(config, extra)
        paths = plugin_files(config, extra)
        objects = [each for each in extra if not isinstance(each, Path | Without)]
        given = self._given([*(path for path in paths if bars.barred(path.stem) is None), *objects], files)
        hooks = {name: hooks_of(plugin.target) for name, plugin in given.items()}
        # A file that cannot be loaded is reported as such; that lists and tables name it is no second mistake.
        unloaded: dict[str, list[str]] = {error.plugin: [] for error in self._broken}
        there = {**unloaded, **hooks}
        self.chosen = choose(config, installed.plugins, there, bars, {path.stem for path in paths})
        self._wrong += self.chosen.problems
        for name in self.chosen.names():
            if name not in unloaded:
                self._activate(name, given.get(name))
        for name in config.sections:
            if name in installed.plugins and name not in self.chosen.names() and name not in self.chosen.barred:
                self._keep_unused(name)
        self._check_lists()
        self._check_exclusive()
        self.unresolved: list[Problem] = []
        """The names in the configuration that nothing is known of, but may be before the first call."""
        self._check_names()
        self.promises: dict[str, tuple[Promise, ...]] = {}
        """What plugins promise of a run."""
        if not self._broken:
            self._check_promises(promised, held)
        self._raise_any()

    def _given(
        self, plugins: Iterable[object], files: dict[Path, tuple[bytes, LoadedPlugin]]
    ) -> dict[str, LoadedPlugin]:
        found: dict[str, LoadedPlugin] = {}
        for each in plugins:
            try:
                if isinstance(each, Path):
                    loaded = _loaded(each, files)
                else:
                    with foreign_code(type(each).__name__, LOOKED_AT, made=PluginUnusable):
                        loaded = LoadedPlugin(name_of(each), each, "given as an object")
                with foreign_code(loaded.name, LOOKED_AT, made=PluginUnusable):
                    hooks_of(loaded.target)
            except ConfigError as error:
                self._wrong += [Problem(("plugins", "load"), line, self._config.source) for line in error.problems]
                continue
            except PluginUnusable as error:
                self._broken.append(error)
                continue
            taken = found.get(loaded.name)
            owner = str(self._installed.plugins.get(loaded.name, "")) or (taken.origin if taken else "")
            if taken is not None and taken.target is loaded.target:
                continue
            if owner:
                rename = "rename the file" if isinstance(each, Path) else "give it another plugin_name"
                both = f"{owner}, and {loaded.origin}"
                what = f"two plugins are called {loaded.name!r}: {both}; {rename}"
                self._add_wrong((), what)
                continue
            found[loaded.name] = loaded
        return found

    def _activate(self, name: str, given: LoadedPlugin | None) -> None:
        try:
            loaded = given or import_plugin(self._installed.plugins[name])
            with foreign_code(name, LOOKED_AT, made=PluginUnusable, passing=(PluginError,)):
                self._check_hooks(loaded)
            config, shadow = self._structured(loaded)
            before = self._before.get(name)
            if before is not None and before.loaded.target is loaded.target and before.config == config:
                self.active[name] = attrs.evolve(before, shadow=shadow)
            else:
                self.active[name] = ActivePlugin(loaded, config, make_plugin(loaded, config), shadow)
                for line in deprecations(loaded.target):
                    _log.warning("plugin %r (%s): %s", name, loaded.origin, line)
        except ConfigError as error:
            self._wrong += error.records
        except PluginUnusable as error:
            if name in self.chosen.insisted:
                self._broken.append(error)
            else:
                self._disable(error)
        except PluginError as error:
            self._broken.append(error)

    def _structured(self, loaded: LoadedPlugin) -> tuple[Any, bool]:
        """The plugin's `Config` from its table, and whether it is in shadow. Raises `ConfigError`."""
        name, source = loaded.name, self._config.source
        section, shadow = take_shadow(self._config.sections.get(name, {}), name, source)
        unfit = unfit_for_shadow(hooks_of(loaded.target)) if shadow else None
        if unfit is not None:
            raise ConfigError(Problem(("plugins", name, "shadow"), unfit, source))
        return structure_section(loaded, section, source), shadow

    def _check_hooks(self, loaded: LoadedPlugin) -> None:
        wrong = check_hooks(loaded.target)
        sink = getattr(loaded.target, "sink", SinkSpec())
        if not isinstance(sink, SinkSpec):
            wrong.append(f"sink must be a SinkSpec, not {type(sink).__name__}")
        if wrong:
            raise PluginError(loaded.name, "; ".join(wrong))

    def _keep_unused(self, name: str) -> None:
        """Check the table of a plugin that is not active, so that a mistake in it is found before it is."""
        try:
            loaded = import_plugin(self._installed.plugins[name])
            with foreign_code(name, LOOKED_AT, made=PluginUnusable):
                unused = why_unused(name, hooks_of(loaded.target))
            if unused is not None:
                self._add_wrong(("plugins", name), unused)
            self.unused[name], _ = self._structured(loaded)
        except ConfigError as error:
            self._wrong += error.records
        except PluginUnusable as error:
            self._disable(error)

    def _add_wrong(self, path: PathParts, what: str) -> None:
        self._wrong.append(Problem(path, what, self._config.source))

    def _disable(self, error: PluginUnusable) -> None:
        self.disabled[error.plugin] = error.message
        _log.warning("plugin %r is disabled: %s", error.plugin, error.message)

    def _check_lists(self) -> None:
        for key, point in EXTENSION_POINTS.items():
            for name in self.chosen.asked[key]:
                if name not in self.active:
                    continue
                hooks = hooks_of(self.active[name].loaded.target)
                if not any(hook in hooks for hook in point.hooks):
                    wanted = f"none of the hooks that this list is for ({', '.join(point.hooks)})"
                    self._add_wrong(("plugins", key), f"{name!r} has {wanted}; it has {', '.join(hooks)}")

    def _check_exclusive(self) -> None:
        holders: dict[str, str] = {}
        for name, active in self.active.items():
            thing = getattr(active.plugin, "exclusive", None)
            if thing is None or active.shadow:  # in shadow it excludes no other
                continue
            if not isinstance(thing, str):
                self._broken.append(PluginError(name, f"exclusive must name one thing, as text, not {thing!r}"))
            elif thing in holders:
                what = f"{holders[thing]!r} and {name!r} exclude each other, both being {thing!r}; take one of them out"
                self._add_wrong(("plugins",), what)
            else:
                holders[thing] = name

    def _check_names(self) -> None:
        self._wrong += impossible_groups(self._config.scheduler.admitted_limits, self._config.source)
        try:
            unknown = self.name_problems({})
        except PluginError as error:
            self._broken.append(error)
            return
        if self._config.providers:
            self._wrong += unknown
        else:
            self.unresolved = unknown

    def name_problems(self, known: Mapping[str, Any]) -> list[Problem]:
        """The names in the configuration that nothing is known of, in the tables of the core and of plugins.

        `known` may have other `providers` and `models` than it has itself. Raises `PluginError` for a plugin that
        cannot say.
        """
        config = self._config
        settings = settings_of(config, "core", None, known)
        found = list(group_problems(config.scheduler.admitted_limits, settings, config.source))
        for hook in bound_hooks(self.callers()[CHECK_NAMES]):
            settings = settings_of(config, hook.plugin, self.active[hook.plugin].config, known)
            with foreign_code(hook.plugin, f"{CHECK_NAMES} failed"):
                unknown = [problem.below("plugins", hook.plugin) for problem in hook(settings=settings) or ()]
                found += [attrs.evolve(problem, source=config.source) for problem in unknown]
        return found

    def _check_promises(self, promised: Promises, held: Mapping[str, int]) -> None:
        """Collect what plugins promise, and what breaks that."""
        config = self._config
        asked = {key: tuple(n for n in names if n in self.active) for key, names in self.chosen.asked.items()}
        plan = RunPlan(
            config=config,
            plugins={name: active.config for name, active in self.active.items()},
            asked=asked,
            runners=_runners(asked),
            held=held,
        )
        try:
            for hook in bound_hooks(self.callers()[PROMISES]):
                settings = settings_of(config, hook.plugin, self.active[hook.plugin].config, {})
                if made := promises_of(hook, settings):
                    self.promises[hook.plugin] = made
                    self._wrong += broken(hook.plugin, made, plan)
        except PluginError as error:
            self._broken.append(error)
            return
        for name, before in promised.items():
            if name in self.active or name not in self.chosen.names():  # else it could not be made, which is said
                self._wrong += taken_back(name, before, self.promises.get(name, ()), plan)

    def _raise_any(self) -> None:
        if len(self._broken) == 1 and not self._wrong:
            raise self._broken[0]
        if self._broken or self._wrong:
            raise ConfigError([*self._wrong, *map(str, self._broken)])

    def callers(self) -> dict[str, pluggy.HookCaller]:
        """The callers of all hooks, each with the plugins that are asked, in order: from a pluggy manager per list,
        and one for the hooks without a list. They are made once: to register a plugin is to look at all that it has."""
        if self._callers:
            return self._callers
        found: dict[str, pluggy.HookCaller] = {}
        for key, names in (*self.chosen.asked.items(), (None, tuple(self.active))):
            asked = pluggy.PluginManager("penstock")
            asked.add_hookspecs(PenstockSpec)
            # pluggy asks those who registered last first.
            for name in reversed([name for name in names if name in self.active]):
                with foreign_code(name, LOOKED_AT):  # pluggy looks at every attribute, properties too
                    asked.register(self.active[name].plugin, name)
            found |= {hook: getattr(asked.hook, hook) for hook, facts in HOOKS.items() if facts.list_key == key}
        self._callers = found
        return found


def _runners(asked: Mapping[str, tuple[str, ...]]) -> tuple[str, ...]:
    """The names of all that may carry out tasks, with the core's own where no other takes its place."""
    point = next(point for point in EXTENSION_POINTS.values() if "penstock_task_runner" in point.hooks)
    there = asked[point.key]
    return there if point.own is None or (there and point.single) else (point.own, *there)


def _loaded(path: Path, files: dict[Path, tuple[bytes, LoadedPlugin]]) -> LoadedPlugin:
    """The plugin of a file, which is run again only if its text has changed; `files` keeps what was loaded."""
    key = Path(realpath(path))  # of os.path: a Path raises for a link to itself, and for a name that is too long
    text = key.read_bytes() if isfile(key) else b""
    known = files.get(key)
    if known is None or known[0] != text:
        known = files[key] = (text, load_file(path))
    return known[1]
