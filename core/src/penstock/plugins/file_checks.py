"""Whose file a TOML file is, and what its owner says of it: the question `penstock_check`, asked of every plugin that
has the hook.

Which plugins have it is read from their sources, so that only those are imported. One that fails knows nothing of the
file, and hurts nobody whose file it is not.
"""

from __future__ import annotations

import inspect
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, Final

import attrs

from penstock.plugins.discovery import Installed
from penstock.plugins.foreign_code import foreign_code
from penstock.plugins.hook_checks import hook_arguments, implementations
from penstock.plugins.loading import LoadedPlugin, import_plugin, load_file, make_for_commands
from penstock.plugins.source_hooks import hooks_in_source
from penstock.words.errors import ConfigError, PenstockError, PluginError
from penstock.words.file_check import FileCheck
from penstock.words.problems import Problem
from penstock.words.read_only import fixed

__all__ = ["WhoseFile", "whose_file"]

CHECK: Final = "penstock_check"


@attrs.frozen
class WhoseFile:
    """The answers of all that were asked. `owner` is the plugin whose file it is, `None` if nobody says so; `says` what
    it says, or the error in place of that; `unable` has those that could not be asked.
    """

    owner: str | None = None
    says: FileCheck | PenstockError | None = None
    unable: tuple[PluginError, ...] = ()

    def check(self) -> FileCheck | None:
        """What the owner says; `None` if the file is nobody's. Raises what it raised, or, where nobody knows the file,
        what kept the first plugin from being asked."""
        if isinstance(self.says, PenstockError):
            raise self.says
        if self.says is None and self.unable:
            raise self.unable[0]
        return self.says


def whose_file(
    file: Path,
    tables: Mapping[str, Any],
    plugin_files: tuple[Path, ...],
    installed: Installed,
    *,
    left_out: tuple[str, ...] = (),
) -> WhoseFile:
    """The plugin that says of `file`, which holds these `tables`, that it is its own, with what it says. It is told the
    `plugin_files`, and the names of plugins that are `left_out`.

    Raises `ConfigError` if several do, or if one of `plugin_files` is not there.
    """
    tables = fixed(tables)
    answers: dict[str, FileCheck | PenstockError] = {}
    unable: list[PluginError] = []
    for plugin in _with_the_hook(installed, plugin_files, unable):
        try:
            answer = _asked(plugin, file=file, tables=tables, plugin_files=plugin_files, left_out=left_out)
        except PluginError as error:
            unable.append(error)
            continue
        if answer is not None:
            answers[plugin.name] = answer
    if len(answers) > 1:
        both = " and ".join(map(repr, answers))
        what = f"the plugins {both} each say that this file is theirs; uninstall all but one of them"
        raise ConfigError(Problem((), what, str(file)))
    for name, says in answers.items():
        return WhoseFile(name, says, tuple(unable))
    return WhoseFile(unable=tuple(unable))


def _with_the_hook(installed: Installed, files: Iterable[Path], unable: list[PluginError]) -> Iterator[LoadedPlugin]:
    """The plugins that have the hook, imported."""
    for owner in installed.plugins.values():
        hooks = hooks_in_source(owner.module, owner.attribute)
        if hooks is None or CHECK not in hooks:
            continue
        try:
            yield import_plugin(owner)
        except PluginError as error:
            unable.append(error)
    for path in files:
        try:
            loaded = load_file(path)
        except PluginError as error:
            unable.append(error)
        else:
            if any(found.hook == CHECK for found in implementations(loaded.target)):
                yield loaded


def _asked(plugin: LoadedPlugin, **given: object) -> FileCheck | PenstockError | None:
    """The answer of one plugin, or the error that is its answer. Raises `PluginError` for one that cannot be asked."""
    made = make_for_commands(plugin)
    (hook,) = (found for found in implementations(made) if found.hook == CHECK)
    ask = getattr(made, hook.function_name)
    wanted = [name for name in hook_arguments(CHECK) if name in _parameters(hook.function)]
    with foreign_code(plugin.name, f"{CHECK} failed"):
        try:
            answer = ask(**{name: given[name] for name in wanted})
        except PenstockError as error:
            return error
    if answer is not None and not isinstance(answer, FileCheck):
        raise PluginError(plugin.name, f"{CHECK} must answer a FileCheck or None, not {type(answer).__name__}")
    return answer


def _parameters(function: Any) -> Iterable[str]:
    return inspect.signature(function).parameters
