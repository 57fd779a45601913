"""The loading of plugins, from a name, a file or an object: importing it, and structuring its part of the
configuration.

A plugin is a class (made with its `Config`, if it has one), a module, or any object with hooks. One file makes a plugin
without any packaging: its module-level hook functions, or the one class with hooks that it defines. Importing runs
other people's code, so whatever it raises becomes a `PluginUnusable` that says where.
"""

from __future__ import annotations

import importlib.util
import inspect
import sys
from collections.abc import Callable, Mapping
from os.path import isfile
from pathlib import Path
from types import ModuleType
from typing import Any

import attrs

from penstock.config.structuring import structure
from penstock.config.words import value_in_words
from penstock.plugins.contract import misfit
from penstock.plugins.discovery import EntryPointOwner
from penstock.plugins.foreign_code import LOOKED_AT, foreign_code
from penstock.plugins.hook_checks import check_hooks, hooks_of
from penstock.words.checks import shown
from penstock.words.errors import ConfigError, PluginError
from penstock.words.problems import Problem

__all__ = [
    "LoadedPlugin",
    "PluginUnusable",
    "config_class",
    "import_plugin",
    "load_file",
    "make_for_commands",
    "make_plugin",
    "name_of",
    "structure_section",
]


class PluginUnusable(PluginError):
    """A plugin that cannot be used as it is: importing or making it failed. The cause is attached."""


@attrs.frozen(eq=False)
class LoadedPlugin:
    """A plugin that was imported but not made yet: `target` is its class, its module or the object itself."""

    name: str
    target: Any
    origin: str
    """Where it comes from, for people: a distribution with its version, a file, or `given as an object`."""


def import_plugin(owner: EntryPointOwner) -> LoadedPlugin:
    """The plugin that an entry point names, imported if it goes with this core. Raises `PluginUnusable`."""
    wrong = misfit(owner.contract, owner.distribution)
    if wrong is not None:
        raise PluginUnusable(owner.name, f"cannot be used from {owner}: {wrong}")
    if owner.names_nothing is not None:
        raise PluginUnusable(owner.name, f"cannot be imported from {owner}: {owner.names_nothing}")
    with foreign_code(owner.name, f"cannot be imported from {owner}", made=PluginUnusable):
        return LoadedPlugin(owner.name, owner.entry_point.load(), str(owner))


def load_file(path: Path) -> LoadedPlugin:
    """The plugin of one file, which is run, and gives it its name. Raises `ConfigError` if there is no such file, else
    `PluginUnusable`."""
    if not isfile(path):  # of os.path: a Path raises for a name that is too long
        raise ConfigError(f"{path}: there is no such file to load as a plugin")
    name = path.stem
    module_name = f"penstock_loaded_{name}"
    spec = importlib.util.spec_from_file_location(module_name, path)
    if spec is None or spec.loader is None:
        raise ConfigError(f"{path}: a plugin's file must be Python source, named with .py at its end")
    module = importlib.util.module_from_spec(spec)
    # attrs and typing look annotations up by the module's name, so it has to be known while it runs.
    before = sys.modules.get(module_name)
    sys.modules[module_name] = module
    try:
        with foreign_code(name, f"cannot be loaded from {path}", made=PluginUnusable):
            spec.loader.exec_module(module)
    except BaseException:
        del sys.modules[module_name]
        if before is not None:
            sys.modules[module_name] = before
        raise
    return LoadedPlugin(name, _plugin_in(module, name, path), str(path))


def _plugin_in(module: ModuleType, name: str, path: Path) -> Any:
    classes = [
        found
        for found in vars(module).values()
        if inspect.isclass(found) and found.__module__ == module.__name__ and hooks_of(found)
    ]
    if hooks_of(module):
        if classes:
            raise PluginUnusable(
                name, f"{path} has hook functions and the class {classes[0].__name__} with hooks; keep one of the two"
            )
        return module
    if len(classes) > 1:
        both = " and ".join(found.__name__ for found in classes)
        raise PluginUnusable(name, f"{path} has several classes with hooks, {both}; one file makes one plugin")
    # A file without any hook goes on as a module: the registration says what it lacks.
    return classes[0] if classes else module


def name_of(plugin: object) -> str:
    """The name of a plugin that is given as an object: its `plugin_name`, else the name of its class or module."""
    name = getattr(plugin, "plugin_name", None)
    if isinstance(name, str) and name:
        return name
    if isinstance(plugin, ModuleType):
        return plugin.__name__.rpartition(".")[2]
    return plugin.__name__ if inspect.isclass(plugin) else type(plugin).__name__


def config_class(plugin: LoadedPlugin) -> type[Any] | None:
    """The attrs class that the plugin's table is structured into, or `None`. Raises `PluginUnusable` for
    one that is none."""
    with foreign_code(plugin.name, LOOKED_AT, made=PluginUnusable):
        config: type[Any] | None = getattr(plugin.target, "Config", None)
        fits = config is None or (inspect.isclass(config) and attrs.has(config))
    if config is None:
        return None
    if not fits:
        raise PluginUnusable(plugin.name, f"Config must be an attrs class, not {shown(config)}")
    if any((field.alias or field.name) == "shadow" for field in attrs.fields(config)):
        raise PluginUnusable(plugin.name, "Config must not have the key 'shadow', which is Penstock's own; rename it")
    return config


def structure_section(plugin: LoadedPlugin, section: Mapping[str, object], source: str) -> Any:
    """The plugin's `Config` from its table. Raises `ConfigError` with all problems, each with file and dotted path."""
    path = ("plugins", plugin.name)
    cls = config_class(plugin)
    if cls is not None:
        try:
            with foreign_code(
                plugin.name, "Config cannot be made", made=PluginUnusable, passing=(ConfigError, TypeError)
            ):
                return structure(section, cls, source=source, path=path)
        except TypeError as error:
            raise PluginUnusable(plugin.name, f"Config cannot be read from TOML: {error}") from error
    if section:
        keys = ", ".join(map(value_in_words, section))
        raise ConfigError(Problem(path, f"this plugin has no configuration; take out {keys}", source))
    return None


def make_plugin(plugin: LoadedPlugin, config: Any) -> Any:
    """The object whose hooks are asked. A class is called with its `Config`, or without anything if it has none."""
    if not inspect.isclass(plugin.target):
        return plugin.target
    make: Callable[..., Any] = plugin.target
    given = () if config is None else (config,)
    if not _takes(make, given):
        what = "must take its Config, and nothing else" if given else "must take nothing, since it has no Config"
        raise PluginUnusable(plugin.name, f"cannot be made: {plugin.target.__name__}(...) {what}")
    with foreign_code(plugin.name, "cannot be made", made=PluginUnusable, passing=(ConfigError,)):
        return make(*given)


def _takes(make: Callable[..., Any], given: tuple[Any, ...]) -> bool:
    """Whether a class can be called so, as far as its signature tells."""
    try:
        inspect.signature(make).bind(*given)
    except TypeError:
        return False
    except ValueError:  # it has no signature
        return True
    return True


def make_for_commands(plugin: LoadedPlugin) -> Any:
    """The plugin as the command line asks it, made with the defaults of its `Config`: no configuration was read.
    Raises `PluginError`."""
    if wrong := check_hooks(plugin.target):
        raise PluginError(plugin.name, "; ".join(wrong))
    try:
        return make_plugin(plugin, structure_section(plugin, {}, "<defaults>"))
    except ConfigError as error:
        raise PluginError(
            plugin.name, f"has commands, so every key of its Config needs a default: {'; '.join(error.problems)}"
        ) from error
