"""The listing of `penstock plugins list`: every plugin there is or should be, and why it is used or not.
Nothing is imported.

Names, distributions and versions come from metadata, hooks from the source as it stands on disk, order and
reasons from the configuration. So the list is right also where an import would fail, and that a module is
not even there is seen too.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from os.path import isfile, realpath
from pathlib import Path
from typing import Literal

import attrs

from penstock.config.reading import PenstockConfig
from penstock.plugins.barring import barring, plugin_files
from penstock.plugins.choice import EXTENSION_POINTS, Chosen, choose, why_unused
from penstock.plugins.contract import misfit
from penstock.plugins.discovery import EntryPointOwner, Installed
from penstock.plugins.source_hooks import find_source, hooks_in_file, hooks_in_source
from penstock.words.problems import Problem

__all__ = ["PluginListing", "PluginRow", "list_plugins"]


@attrs.frozen(kw_only=True)
class PluginRow:
    """A plugin in the listing.

    `state`     `active`, `available` (installed, not used), `disabled` (used, but cannot be imported, or does not go
                with this core; or must not be used), `missing` (asked for, not there), or `clash` (claimed by several
                distributions)
    `hooks`     read from its source; `None` if they are not known from it
    `order`     extension point to its place in the order of asking, from 1
    `contract`  the version of the contract that its distribution is written for; `None` if it does not say
    `tier`      the tier that its own tests have earned it, with the version of the core; `None` if it does not say
    `why`       why it is in this state
    """

    name: str
    distribution: str | None = None
    version: str | None = None
    state: Literal["active", "available", "disabled", "missing", "clash"]
    hooks: tuple[str, ...] | None = None
    order: Mapping[str, int] = attrs.field(factory=dict)
    contract: str | None = None
    tier: str | None = None
    why: str = ""


@attrs.frozen
class PluginListing:
    """The rows, in order of state and name; who is asked per extension point; and what is wrong with the
    configuration."""

    rows: Sequence[PluginRow]
    asked: Mapping[str, Sequence[str]]
    problems: Sequence[Problem] = ()


def list_plugins(config: PenstockConfig, given: Iterable[object], installed: Installed) -> PluginListing:
    """The listing of what is installed, loaded from files (those of the configuration, and those among the plugins that
    are `given`) or asked for."""
    given = tuple(given)
    shadows = {name for name, section in config.sections.items() if section.get("shadow") is True}
    bars = barring(config, given)
    files = plugin_files(config, given)
    paths = {path.stem: path for path in files}
    there = {name: path for name, path in paths.items() if isfile(path) and bars.barred(name) is None}
    wrong_files = [
        Problem((), "there is no such file to load as a plugin", str(path))
        for path in paths.values()
        if not isfile(path)
    ]
    wrong_files += _taken_names(files, installed)
    hooks = {name: hooks_in_file(path) or () for name, path in there.items()}
    chosen = choose(config, installed.plugins, hooks, bars, paths)
    rows = [_installed_row(owner, chosen, _commands_of(owner, installed)) for owner in installed.plugins.values()]
    rows += [_file_row(name, path, chosen) for name, path in paths.items()]
    rows += [PluginRow(name=name, state="missing", why=why) for name, why in chosen.missing.items()]
    rows += [PluginRow(name=clash.name, state="clash", why=str(clash)) for clash in installed.clashes]
    states = ("active", "disabled", "clash", "missing", "available")
    active = list(chosen.names())
    rows = [
        attrs.evolve(row, why=f"{row.why}; in shadow") if row.name in shadows and row.state == "active" else row
        for row in rows
    ]
    rows.sort(key=lambda row: (states.index(row.state), active.index(row.name) if row.name in active else 0, row.name))
    asked = {
        key: chosen.asked[key] or ((f"{point.own} (the core's own)",) if point.own else ())
        for key, point in EXTENSION_POINTS.items()
    }
    tables = [
        Problem(("plugins", row.name), unused, config.source)
        for row in rows
        if row.state == "available" and row.name in config.sections
        if (unused := why_unused(row.name, row.hooks or ())) is not None
    ]
    clashes = [Problem((), str(clash)) for clash in installed.clashes]
    return PluginListing(rows, asked, [*wrong_files, *clashes, *chosen.problems, *tables])


def _commands_of(owner: EntryPointOwner, installed: Installed) -> list[str]:
    return [
        name
        for name, command in installed.commands.items()
        if command.distribution == owner.distribution and installed.plugin_of(command) == owner.name
    ]


def _installed_row(owner: EntryPointOwner, chosen: Chosen, commands: Sequence[str]) -> PluginRow:
    module, attribute = owner.module, owner.attribute
    state: Literal["active", "available", "disabled"] = "available"
    why = "installed, not named in any list"
    if owner.name in chosen.names():
        state, why = "active", chosen.why(owner.name)
    elif owner.name in chosen.barred:
        state, why = "disabled", chosen.barred[owner.name]
    elif commands:
        why = f"brings the commands {', '.join(commands)}"
    try:
        find_source(module)
    except ImportError as error:
        state, why = ("disabled" if state == "active" else state), f"{why}; cannot be imported: {error}"
    wrong = misfit(owner.contract, owner.distribution)
    if wrong is not None:
        state, why = ("disabled" if state == "active" else state), f"{why}; cannot be used: {wrong}"
    return PluginRow(
        name=owner.name,
        distribution=owner.distribution,
        version=owner.version,
        state=state,
        hooks=hooks_in_source(module, attribute),
        order=chosen.places(owner.name),
        contract=owner.contract,
        tier=None if owner.tier is None else str(owner.tier),
        why=why,
    )


def _taken_names(files: Iterable[Path], installed: Installed) -> Iterator[Problem]:
    """The files whose names are those of other plugins. One that is given twice is one plugin."""
    taken: dict[str, tuple[str, str]] = {name: (str(owner), "") for name, owner in installed.plugins.items()}
    for path in files:
        origin, file = taken.setdefault(path.stem, (str(path), realpath(path)))
        if file != realpath(path):
            yield Problem((), f"two plugins are called {path.stem!r}: {origin}, and {path}; rename the file")


def _file_row(name: str, path: Path, chosen: Chosen) -> PluginRow:
    if not isfile(path):
        return PluginRow(name=name, state="missing", why=f"there is no file {path}")
    if name in chosen.barred:
        return PluginRow(name=name, state="disabled", hooks=hooks_in_file(path), why=chosen.barred[name])
    why = "; ".join(filter(None, [f"loaded from {path}", chosen.why(name)]))
    return PluginRow(name=name, state="active", hooks=hooks_in_file(path), order=chosen.places(name), why=why)
