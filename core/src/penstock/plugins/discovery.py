"""The installed plugins, read from the metadata of distributions without importing any of them.

A plugin is an entry point of the group `penstock.plugins`. A plugin that brings commands names each of them
under `penstock.commands` too, with the same object, so that the command line can list a command, and find
its plugin, without importing every plugin at every start. For which version of the contract a distribution is
written stands in its metadata too (`contract.py`).

Two distributions that install the same name shadow each other, and which one wins would depend on the order
of a folder. So that is an error, which names both.

To read them all takes longer than all else that opens a run. So what was read is kept until `sys.path` or one of its
folders has changed; installing, upgrading and removing a distribution change the folder that it is in.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping
from functools import lru_cache
from importlib.metadata import EntryPoint, EntryPoints, entry_points
from types import MappingProxyType
from typing import Final

import attrs

from penstock.plugins.contract import CONTRACT_ENTRY, CONTRACT_GROUP
from penstock.plugins.tiers import TIER_GROUP, Tier, tier_in

__all__ = ["COMMAND_GROUP", "PLUGIN_GROUP", "EntryPointOwner", "Installed", "NameClash", "installed"]

PLUGIN_GROUP: Final = "penstock.plugins"
COMMAND_GROUP: Final = "penstock.commands"


@attrs.frozen
class EntryPointOwner:
    """An installed entry point: its name, and the distribution that it came with.

    `contract` is the version of the contract that the distribution is written for, and `tier` what the plugin has
    earned; `None` where it does not say.
    """

    name: str
    distribution: str
    version: str
    entry_point: EntryPoint
    contract: str | None = None
    tier: Tier | None = None

    def __str__(self) -> str:
        return f"{self.distribution} {self.version}"

    @property
    def names_nothing(self) -> str | None:
        """Why the entry point cannot name anything, in words; `None` if it may."""
        if all(map(str.isidentifier, self.module.split("."))):
            return None
        return f"its entry point is {self.entry_point.value!r}, and must be 'module' or 'module:name'"

    @property
    def module(self) -> str:
        """The module that the entry point names; whatever it says if it can name none."""
        return (
            self.entry_point.module
            if self.entry_point.pattern.match(self.entry_point.value)
            else self.entry_point.value
        )

    @property
    def attribute(self) -> str:
        """The name in the module, "" for the module itself."""
        return self.entry_point.attr if self.entry_point.pattern.match(self.entry_point.value) else ""


@attrs.frozen
class NameClash:
    """A name of a `plugin` or a `command` that several distributions claim."""

    kind: str
    name: str
    claimed_by: tuple[str, ...]

    def __str__(self) -> str:
        both = " and ".join(self.claimed_by)
        return f"the {self.kind} name {self.name!r} is claimed by {both}; uninstall all but one of them"


@attrs.frozen
class Installed:
    """The plugins and commands that are installed. `clashes` has the names that several distributions claim; these are
    not in the mappings."""

    plugins: Mapping[str, EntryPointOwner] = MappingProxyType({})
    commands: Mapping[str, EntryPointOwner] = MappingProxyType({})
    clashes: tuple[NameClash, ...] = ()

    def plugin_of(self, command: EntryPointOwner) -> str:
        """The name of the plugin that a command belongs to; the command's own name if it is no plugin otherwise."""
        for plugin in self.plugins.values():
            same = plugin.entry_point.value == command.entry_point.value
            if same and plugin.distribution == command.distribution:
                return plugin.name
        return command.name


def installed() -> Installed:
    """The plugins and commands of everything that can be imported. A distribution that is found twice counts
    once, as pip sees it."""
    finders = tuple(map(id, sys.meta_path))
    return _installed_in(tuple(map(_state, sys.path)), finders)


def _state(folder: str) -> tuple[str, int, int, int]:
    """Another one when something is put into the folder or taken out of it, or another folder is in its place."""
    try:
        found = os.stat(folder or os.curdir)
    except (OSError, ValueError):
        return folder, 0, 0, 0
    return folder, found.st_dev, found.st_ino, found.st_mtime_ns


@lru_cache(maxsize=1)
def _installed_in(_folders: tuple[tuple[str, int, int, int], ...], _finders: tuple[int, ...]) -> Installed:
    clashes: list[NameClash] = []
    everything = entry_points()
    return Installed(
        MappingProxyType(_owners(everything.select(group=PLUGIN_GROUP), "plugin", clashes)),
        MappingProxyType(_owners(everything.select(group=COMMAND_GROUP), "command", clashes)),
        tuple(clashes),
    )


def _owners(found: EntryPoints, kind: str, clashes: list[NameClash]) -> dict[str, EntryPointOwner]:
    claims: dict[str, dict[str, EntryPointOwner]] = {}
    for entry_point in found:
        owner = _owner(entry_point)
        claims.setdefault(entry_point.name, {}).setdefault(owner.distribution, owner)
    single: dict[str, EntryPointOwner] = {}
    for name, owners in sorted(claims.items()):
        if len(owners) == 1:
            (single[name],) = owners.values()
        else:
            clashes.append(NameClash(kind, name, tuple(sorted(map(str, owners.values())))))
    return single


def _owner(entry_point: EntryPoint) -> EntryPointOwner:
    metadata = entry_point.dist.metadata if entry_point.dist is not None else None
    facts = {} if metadata is None else {key: metadata[key] for key in ("Name", "Version") if key in metadata}
    return EntryPointOwner(
        entry_point.name,
        facts.get("Name", "(no name)"),
        facts.get("Version", "(no version)"),
        entry_point,
        _contract(entry_point),
        _tier(entry_point),
    )


def _contract(entry_point: EntryPoint) -> str | None:
    if entry_point.dist is None:
        return None
    declared = entry_point.dist.entry_points.select(group=CONTRACT_GROUP, name=CONTRACT_ENTRY)
    return next((each.value for each in declared), None)


def _tier(entry_point: EntryPoint) -> Tier | None:
    if entry_point.dist is None or entry_point.group != PLUGIN_GROUP:
        return None
    said = entry_point.dist.entry_points.select(group=TIER_GROUP, name=entry_point.name)
    return next((tier_in(each.value) for each in said), None)
