"""The plugins that a configuration chooses, for what, in which order, and why. Decided from names alone:
nothing is imported.

An *extension point* is a key under `[plugins]`, with the hooks that its plugins are asked for. A plugin that has hooks
of several extension points is asked only for those whose list names it. Where a list is left out the default stack
holds, whatever else is installed; a default that is not installed is left out, and the listing says so.

How an unimportable plugin is treated follows from why it was chosen. What the configuration names for a
decision (an order, a policy, a limiter, a runner) or as `required` must be there: a run without it would do
what its owner has ruled out. A sink, and a default that is not named, are disabled with a warning.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Final

import attrs

from penstock.config.reading import PenstockConfig, PluginLists
from penstock.config.words import did_you_mean
from penstock.plugins.barring import Barring
from penstock.plugins.hookspecs import HOOKS, OF_COMMANDS
from penstock.words.problems import PathParts, Problem

__all__ = ["EXTENSION_POINTS", "Chosen", "ExtensionPoint", "choose", "why_unused"]


@attrs.frozen
class ExtensionPoint:
    """A list under `[plugins]`.

    `single`   it names one plugin, not several
    `default`  who is asked when the list is absent
    `own`      how the core's own implementation is named, where there is one
    `decides`  whether a run without a named plugin would decide differently
    """

    key: str
    single: bool = False
    default: tuple[str, ...] = ()
    own: str | None = None
    decides: bool = True

    @property
    def hooks(self) -> tuple[str, ...]:
        """The hooks whose plugins it names."""
        return tuple(name for name, facts in HOOKS.items() if facts.list_key == self.key)


EXTENSION_POINTS: Final[Mapping[str, ExtensionPoint]] = MappingProxyType(
    {
        point.key: point
        for point in (
            ExtensionPoint("ready_queue", single=True, default=("fair",), own="fifo"),
            ExtensionPoint("task_policies", default=("strict-fair",)),
            ExtensionPoint("task_runners", own="nursery"),
            ExtensionPoint("request_waiters", single=True, default=("fair",), own="fifo"),
            ExtensionPoint("request_limiters", default=("cooldown", "aimd", "token-budget")),
            ExtensionPoint("sinks", decides=False),
        )
    }
)


@attrs.frozen
class Chosen:
    """The choice for one configuration, as far as names and hooks alone decide it.

    `asked`      extension point to the plugins that are asked, in order
    `named`      the extension points whose list the configuration states
    `given`      plugins loaded from a file or given as objects, which are active whether a list names them
    or not
    `required`   names that must be there
    `insisted`   names without which the run must not start
    `missing`    names that are not installed, with what should be said of each
    `barred`     names that are there and must not be used, with the reason
    `problems`   what makes the configuration unusable
    """

    asked: Mapping[str, tuple[str, ...]]
    named: frozenset[str]
    given: tuple[str, ...] = ()
    required: tuple[str, ...] = ()
    insisted: frozenset[str] = frozenset()
    missing: Mapping[str, str] = MappingProxyType({})
    barred: Mapping[str, str] = MappingProxyType({})
    problems: tuple[Problem, ...] = ()

    def names(self) -> tuple[str, ...]:
        """The chosen plugins, each once: by extension point, then what is required or given besides."""
        listed = [name for names in self.asked.values() for name in names]
        return tuple(dict.fromkeys([*listed, *self.required, *self.given]))

    def places(self, name: str) -> dict[str, int]:
        """The places of a plugin: extension point to its number in the order of asking, from 1."""
        return {key: names.index(name) + 1 for key, names in self.asked.items() if name in names}

    def why(self, name: str) -> str:
        """The reasons why a plugin is active, in words; empty if names alone give none."""
        reasons = [
            f"named in {key}" if key in self.named else f"default for {key}"
            for key, names in self.asked.items()
            if name in names and not (name in self.given and key not in self.named)
        ]
        return "; ".join([*reasons, *(["required"] if name in self.required else [])])


def choose(
    config: PenstockConfig,
    installed: Collection[str],
    given: Mapping[str, Collection[str]],
    barring: Barring | None = None,
    files: Collection[str] = (),
) -> Chosen:
    """The choice that the lists of a configuration make among what there is.

    `installed` are the names of installed plugins; `given` are those from files and objects, with the hooks that each
    implements: they are asked for all of them, after the plugins of a list that does not name them. `files` are the
    names of all that come from files, those too that are barred and hence not among the given.
    """
    making = _Making(config, installed, given, Barring() if barring is None else barring, frozenset(files))
    asked = {key: making.list_of(point) for key, point in EXTENSION_POINTS.items()}
    making.check_files()
    making.check_required()
    making.check_runners(asked["task_runners"])
    making.check_sections()
    return Chosen(
        asked,
        making.named,
        tuple(given),
        tuple(name for name in config.plugins.required if name in making.available),
        frozenset(making.insisted & making.available),
        making.missing,
        making.barred,
        tuple(making.problems),
    )


def why_unused(name: str, hooks: Collection[str]) -> str | None:
    """The fault of the table of a plugin with these hooks that is not active; `None` if it only has commands."""
    for key, point in EXTENSION_POINTS.items():
        if any(hook in hooks for hook in point.hooks):
            into = f'{key} = "{name}"' if point.single else f'{key} = [..., "{name}"]'
            return f"this plugin is in no list, so nobody asks it; write {into} under [plugins], or take the table out"
    if not OF_COMMANDS.issuperset(hooks):
        return f'nobody asks this plugin; write required = [..., "{name}"] under [plugins], or take the table out'
    return None


class _Making:
    """One choice in the making."""

    def __init__(
        self,
        config: PenstockConfig,
        installed: Collection[str],
        given: Mapping[str, Collection[str]],
        barring: Barring,
        files: frozenset[str],
    ) -> None:
        self._config = config
        self._files = files
        self._given = given
        there = {*installed, *given, *files}
        objects = given.keys() - files
        self.barred = {name: why for name in sorted(there - objects) if (why := barring.barred(name)) is not None}
        self._off = {name for name in self.barred if barring.off(name) is not None}
        self.available = {*installed, *given} - self.barred.keys()
        self.named = frozenset(key for key in EXTENSION_POINTS if getattr(config.plugins, key) is not None)
        self.insisted = {*config.plugins.required, *given}
        self.missing: dict[str, str] = {}
        self.problems: list[Problem] = []
        own = {point.own for point in EXTENSION_POINTS.values() if point.own}
        for name in sorted(own & there):
            self._add_problem((), f"a plugin cannot be called {name!r}: that is the core's own; rename the plugin")
        self.problems += barring.problems(there, own - there, objects)

    def list_of(self, point: ExtensionPoint) -> tuple[str, ...]:
        stated: str | list[str] | None = getattr(self._config.plugins, point.key)
        listed = [stated] if isinstance(stated, str) else stated
        wanted = [name for name in (point.default if listed is None else listed) if name != point.own]
        for name in wanted:
            if name in self.available or name in self._off:
                continue
            if name in self.barred:
                if listed is not None:
                    self._add_barred(name, ("plugins", point.key))
            elif listed is None:
                self.missing.setdefault(name, f"default for {point.key}, not installed")
            else:
                self._add_missing(name, ("plugins", point.key), f"named in {point.key}, not installed", point.own)
        asked = [name for name in wanted if name in self.available]
        if point.decides and listed is not None:
            self.insisted.update(asked)
        besides = [
            name
            for name, hooks in self._given.items()
            if name not in asked and any(hook in hooks for hook in point.hooks)
        ]
        if not point.single:
            return (*asked, *besides)
        rivals = [*(name for name in listed or [] if name not in self.barred), *besides]
        if besides and len(rivals) > 1:
            both = " and ".join(map(repr, rivals))
            what = f"{both} would both be the {point.key}, and only one plugin can be; name it here, take the other out"
            self._add_problem(("plugins", point.key), what)
        return tuple(besides[:1]) or tuple(asked)

    def check_files(self) -> None:
        loaded = {Path(path).stem for path in self._config.plugins.load}
        for name in sorted(self.barred.keys() & self._files - self._off):
            self._add_barred(name, ("plugins", "load") if name in loaded else ())

    def check_required(self) -> None:
        for name in self._config.plugins.required:
            if name in self.barred:
                self._add_barred(name, ("plugins", "required"))
            elif name not in self.available:
                self._add_missing(name, ("plugins", "required"), "required, not installed")

    def check_runners(self, asked: Collection[str]) -> None:
        known = [str(EXTENSION_POINTS["task_runners"].own), *asked]
        for group, runner in self._config.scheduler.runners.items():
            if runner in known:
                continue
            hint = did_you_mean(runner, known)
            if runner in self.barred:
                hint = f"it is {self.barred[runner]}"
            elif runner in self.available:
                hint = f'write task_runners = [..., "{runner}"] under [plugins]'
            self._add_problem(("scheduler", "runners", group), f"no runner {runner!r} is active; {hint}")

    def check_sections(self) -> None:
        for name in self._config.sections:
            if name in self.barred and name not in self._off:
                self._add_barred(name, ("plugins", name))
            elif name not in self.available and name not in self.barred:
                self._add_missing(name, ("plugins", name), "has a table, not installed", *_LIST_KEYS)

    def _add_barred(self, name: str, path: PathParts) -> None:
        self._add_problem(path, f"{name!r} must not be used, being {self.barred[name]}; take it out of one of the two")

    def _add_missing(self, name: str, path: PathParts, state: str, *others: str | None) -> None:
        self.missing[name] = state
        known = {*self.available, *(other for other in others if other)}
        hint = did_you_mean(name, known, otherwise="available are")
        self._add_problem(path, f"no plugin {name!r} is installed or loaded; {hint}")

    def _add_problem(self, path: PathParts, what: str) -> None:
        self.problems.append(Problem(path, what, self._config.source))


_LIST_KEYS: Final = tuple(field.name for field in attrs.fields(PluginLists))
