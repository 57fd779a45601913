"""Who must not be used, whatever the lists say: by `[plugins] allow` and `disabled`, and by `Without`.

`allow` is the owner's word on whose code may decide here: what it does not name is neither imported nor loaded, and a
list that names it is a mistake. `disabled` and `Without` switch off what the lists go on naming: the run is as if it
were not there. What a program gives as objects is the program's own, and no file has a say in it.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator
from pathlib import Path

import attrs

from penstock.config.reading import PenstockConfig
from penstock.config.words import did_you_mean
from penstock.words.checks import a_name
from penstock.words.problems import PathParts, Problem

__all__ = ["Barring", "Without", "barring"]


@attrs.frozen
class Without:
    """The word that a plugin takes no part in a run, given beside the plugins that do:
    `open_scheduler("run.toml", plugins=[Without("aimd")])`. `penstock --no-plugin aimd run` says the same.

    Raises `ConfigError` for a name that is none.
    """

    name: str = attrs.field()

    @name.validator
    def _is_a_name(self, _: attrs.Attribute[str], value: object) -> None:
        a_name(value, "the name of a plugin to be left out")


@attrs.frozen
class Barring:
    """Who is barred: `allowed` has all who are not, `None` if anybody may; `disabled` are names of the configuration,
    and `without` those that are left out of this run."""

    allowed: frozenset[str] | None = None
    disabled: frozenset[str] = frozenset()
    without: frozenset[str] = frozenset()
    source: str = ""

    def off(self, name: str) -> str | None:
        """Why it is switched off, in words; `None` if it is not."""
        if name in self.without:
            return "left out of this run (--no-plugin)"
        return "named in plugins.disabled" if name in self.disabled else None

    def barred(self, name: str) -> str | None:
        """Why it must not be used, in words; `None` if it may."""
        if self.allowed is not None and name not in self.allowed:
            return "not named in plugins.allow"
        return self.off(name)

    def problems(self, known: Collection[str], own: Collection[str], objects: Collection[str]) -> Iterator[Problem]:
        """What is wrong with the names: `known` are those of all plugins, of which the program gave `objects`, and
        `own` the core's."""
        given: tuple[tuple[PathParts, str, frozenset[str]], ...] = (
            (("plugins", "allow"), "allowed", self.allowed or frozenset()),
            (("plugins", "disabled"), "disabled", self.disabled),
            ((), "left out", self.without),
        )
        for path, done, names in given:
            source = self.source if path else ""
            for name in sorted(names):
                if name in own:
                    yield Problem(path, f"{name!r} is the core's own, and is no plugin that could be {done}", source)
                elif name not in known:
                    hint = did_you_mean(name, known, otherwise="available are")
                    yield Problem(path, f"no plugin {name!r} is installed or loaded; {hint}", source)
                elif name in objects and done != "allowed":
                    yield Problem(path, f"{name!r} is given by the program, and cannot be {done}", source)


def barring(config: PenstockConfig, besides: Iterable[object] = ()) -> Barring:
    """Who is barred by a configuration, and by each `Without` among the plugins that are given `besides`."""
    allow = config.plugins.allow
    return Barring(
        None if allow is None else frozenset(allow),
        frozenset(config.plugins.disabled),
        frozenset(each.name for each in besides if isinstance(each, Without)),
        config.source,
    )


def plugin_files(config: PenstockConfig, besides: Iterable[object] = ()) -> list[Path]:
    """The files that are to be plugins: those of the configuration, and those among the plugins that are given."""
    given = [each for each in besides if isinstance(each, Path)]
    return [*(config.folder / path for path in config.plugins.load), *given]
