"""The JSON Schema of a whole TOML file: the core's tables, those of every plugin that is there, and those that plugins
read beside them (`penstock_tables`).

All plugins are imported for it. One that cannot be, or whose tables cannot be described, is told of, and its table is
left open; that is no reason to say nothing of the others.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, Final

import attrs

from penstock.config.json_schema import DIALECT, Schema, SchemaMaking
from penstock.config.reading import TABLES, PluginLists
from penstock.plugins.choice import EXTENSION_POINTS
from penstock.plugins.discovery import Installed
from penstock.plugins.foreign_code import foreign_code
from penstock.plugins.hook_checks import hooks_of, implementations
from penstock.plugins.loading import (
    LoadedPlugin,
    PluginUnusable,
    config_class,
    import_plugin,
    load_file,
    make_for_commands,
)
from penstock.plugins.shadow import unfit_for_shadow
from penstock.words.errors import PluginError

__all__ = ["WholeSchema", "whole_schema"]

TABLES_HOOK: Final = "penstock_tables"

_SHADOW: Final = {
    "type": "boolean",
    "default": False,
    "description": "Ask it and count what it would have done, without heeding it.",
}


@attrs.frozen
class WholeSchema:
    """The schema, as plain data, and the plugins that it says less of than there is, each with the reason."""

    schema: Schema
    unable: tuple[PluginError, ...] = ()


def whole_schema(installed: Installed, files: Iterable[Path] = (), *, foreign_tables: bool = False) -> WholeSchema:
    """The schema of a file for what is installed and for the plugins of `files`; with `foreign_tables` it lets tables
    pass that nobody here reads. Raises `ConfigError` for a file that is not there."""
    unable: list[PluginError] = []
    making = SchemaMaking()
    plugins = {plugin.name: plugin for plugin in _loaded(installed, files, unable)}
    hooks = {name: hooks_of(plugin.target) for name, plugin in plugins.items()}
    names = sorted({*installed.plugins, *plugins})
    tables: dict[str, Schema] = {key: making.of(kind) for key, kind in TABLES.items()}
    of_plugins = {name: _section(making, plugins.get(name), hooks.get(name, ()), unable) for name in names}
    tables["plugins"] = _plugins(making, of_plugins, hooks)
    for plugin in plugins.values():
        if TABLES_HOOK in hooks[plugin.name]:
            _add_tables(tables, making, plugin, unable)
    schema: Schema = {
        "$schema": DIALECT,
        "title": "Penstock",
        "description": "A program's, a pipeline's or a gateway's configuration.",
        "type": "object",
        "properties": tables,
        "additionalProperties": foreign_tables,
        "$defs": making.definitions,
    }
    return WholeSchema(schema, tuple(unable))


def _loaded(installed: Installed, files: Iterable[Path], unable: list[PluginError]) -> Iterator[LoadedPlugin]:
    for owner in installed.plugins.values():
        try:
            yield import_plugin(owner)
        except PluginError as error:
            unable.append(error)
    for path in files:
        try:
            yield load_file(path)
        except PluginError as error:
            unable.append(error)


def _section(
    making: SchemaMaking, plugin: LoadedPlugin | None, hooks: Collection[str], unable: list[PluginError]
) -> Schema:
    """The table of one plugin; an open one if it cannot be described."""
    if plugin is None:
        return {"type": "object"}
    try:
        cls = config_class(plugin)
        record: Schema = {"type": "object", "properties": {}, "additionalProperties": False}
        if cls is not None:
            record = making.record(cls)
    except PluginUnusable as error:
        unable.append(error)
        return {"type": "object"}
    except TypeError as error:
        unable.append(PluginUnusable(plugin.name, f"Config cannot be read from TOML: {error}"))
        return {"type": "object"}
    if unfit_for_shadow(hooks) is None:
        record["properties"]["shadow"] = dict(_SHADOW)
    return record


def _plugins(making: SchemaMaking, of_plugins: Mapping[str, Schema], hooks: Mapping[str, Collection[str]]) -> Schema:
    """`[plugins]`: the lists, each with the names that it may hold, and the tables."""
    record = making.record(PluginLists)
    lists = record["properties"]
    for key, point in EXTENSION_POINTS.items():
        fitting = [name for name, has in hooks.items() if any(hook in has for hook in point.hooks)]
        named = {"enum": [*([point.own] if point.own else []), *sorted(fitting)]}
        if point.single:
            lists[key].pop("type")
            lists[key] |= named
        else:
            lists[key]["items"] = named
    for key in ("required", "allow", "disabled"):
        lists[key]["items"] = {"enum": list(of_plugins)}
    record["properties"] = {**{name: table for name, table in of_plugins.items() if name not in lists}, **lists}
    return record


def _add_tables(
    tables: dict[str, Schema], making: SchemaMaking, plugin: LoadedPlugin, unable: list[PluginError]
) -> None:
    """Add what a plugin reads beside the core's tables; of a table that several read, either may hold."""
    try:
        found = {name: making.of(kind) for name, kind in _asked(plugin).items()}
    except PluginError as error:
        unable.append(error)
        return
    except TypeError as error:
        unable.append(PluginError(plugin.name, f"{TABLES_HOOK} names what cannot be read from TOML: {error}"))
        return
    for name, schema in found.items():
        if name in TABLES or name == "plugins":
            unable.append(PluginError(plugin.name, f"{TABLES_HOOK} names {name!r}, which is a table of the core's"))
        elif name not in tables:
            tables[name] = schema
        elif tables[name] != schema:
            tables[name] = {"anyOf": [*tables[name].get("anyOf", [tables[name]]), schema]}


def _asked(plugin: LoadedPlugin) -> Mapping[str, Any]:
    """The tables that a plugin names. Raises `PluginError` where it cannot say."""
    made = make_for_commands(plugin)
    (hook,) = (found for found in implementations(made) if found.hook == TABLES_HOOK)
    with foreign_code(plugin.name, f"{TABLES_HOOK} failed"):
        answer = getattr(made, hook.function_name)()
    if answer is None:
        return {}
    if not isinstance(answer, Mapping) or not all(isinstance(name, str) for name in answer):
        raise PluginError(plugin.name, f"{TABLES_HOOK} must answer a mapping of names to types, or None")
    return answer
