"""Looking at plugins: what is wrong with each, from its source or by importing it, and the line that says so."""

from __future__ import annotations

import ast
import inspect
import os
import re
import sys
import sysconfig
from collections.abc import Iterator
from pathlib import Path
from traceback import walk_tb
from types import ModuleType
from typing import Final

import attr
import cattrs
import click
import pluggy
import trio

import penstock
from penstock.cli.doctor.guard import Left, Printed, guarded
from penstock.cli.doctor.installation import PluginFacts
from penstock.config.words import did_you_mean
from penstock.plugins.contract import misfit, needs_newer
from penstock.plugins.discovery import EntryPointOwner, Installed
from penstock.plugins.foreign_code import LOOKED_AT, TookTooLong, foreign_code
from penstock.plugins.hook_checks import check_hooks, implementations
from penstock.plugins.hookspecs import OF_COMMANDS
from penstock.plugins.loading import config_class, import_plugin, make_for_commands
from penstock.plugins.source_hooks import find_source, hooks_in_source
from penstock.words.errors import PluginError

__all__ = ["look_at_plugins", "place_of_error", "place_of_hook"]

_CORE: Final = os.path.join(os.path.realpath(os.path.dirname(penstock.__file__)), "")
_PYTHON: Final = os.path.join(os.path.realpath(sysconfig.get_paths()["stdlib"]), "")
_LIBRARIES: Final = tuple(
    os.path.join(os.path.realpath(os.path.dirname(str(library.__file__))), "")
    for library in (attr, cattrs, click, pluggy, trio)
)
"""Where the libraries are that call what a plugin gives them."""
_SITE: Final = re.compile(r"[\\/](site|dist)-packages[\\/]")


def look_at_plugins(installed: Installed, *, importing: bool) -> list[PluginFacts]:
    """What is wrong with each installed plugin, as far as its source says; with `importing`, as it is imported."""
    return [_imported(owner) if importing else _on_disk(owner) for owner in installed.plugins.values()]


def place_of_error(error: BaseException | None) -> tuple[str, int | None]:
    """The file and line of somebody else's code that raised an error; nothing where that is not known."""
    if isinstance(error, SyntaxError) and error.filename:
        return error.filename, error.lineno
    frames = [] if error is None else list(walk_tb(error.__traceback__))
    for frame, line in reversed(frames):
        file = frame.f_code.co_filename
        if not file.startswith("<") and not _is_ours(file):
            return file, line
    return "", None


def _is_ours(file: str) -> bool:
    """Whether a file is the core's, or Python's own, below whose folder others are installed too."""
    path = os.path.realpath(file)
    return path.startswith((_CORE, *_LIBRARIES)) or (
        path.startswith(_PYTHON) and not _SITE.search(path[len(_PYTHON) - 1 :])
    )


def place_of_hook(target: object, problem: str) -> tuple[str, int | None]:
    """The file and line of the function or class with whose name a problem of a plugin begins; else nothing."""
    named = re.match(r"\w+", problem)
    function = inspect.getattr_static(target, named[0], None) if named else None
    if inspect.isclass(function):
        try:
            return str(inspect.getsourcefile(function) or ""), inspect.getsourcelines(function)[1]
        except (OSError, TypeError):
            return "", None
    code = getattr(getattr(function, "__func__", function), "__code__", None)
    return ("", None) if code is None else (code.co_filename, code.co_firstlineno)


def _on_disk(owner: EntryPointOwner) -> PluginFacts:
    module, attribute = owner.module, owner.attribute
    if wrong := _wrong_with_the_contract(owner) or _wrong_with_the_name(owner):
        return wrong
    try:
        source = find_source(module)
    except ImportError as error:
        return _facts(owner, f"cannot be imported: {error}{_meant(module)}")
    problem, line = None, None
    if source is not None:
        try:
            compile(text := source.read_bytes(), str(source), "exec", dont_inherit=True)
            problem = _missing_from(text, attribute)
        except OSError as error:
            problem = f"cannot be read: {error.strerror or error}"
        except (SyntaxError, ValueError) as error:
            problem, line = f"is no Python: {error}", getattr(error, "lineno", None)
    if problem is None and hooks_in_source(module, attribute) == ():
        problem = "it has no hook; mark a function with @hookimpl (from penstock import hookimpl)"
    return _facts(owner, problem, (str(source or ""), line) if problem else ("", None))


def _imported(owner: EntryPointOwner) -> PluginFacts:
    if wrong := _wrong_with_the_contract(owner) or _wrong_with_the_name(owner):
        return wrong
    printed: list[Printed | Left] = []
    place: tuple[str, int | None] = ("", None)
    problem = None
    try:
        with guarded(printed), foreign_code(owner.name, LOOKED_AT, passing=(PluginError,)):
            loaded = import_plugin(owner)
            if wrongs := check_hooks(loaded.target):
                place = place_of_hook(loaded.target, wrongs[0])
                raise PluginError(owner.name, "; ".join(wrongs))
            config_class(loaded)
            if any(made.hook in OF_COMMANDS for made in implementations(loaded.target)):
                make_for_commands(loaded)
    except PluginError as error:
        problem = error.message
        missing = _missing_attribute(owner) if isinstance(error.__cause__, AttributeError) else None
        if missing is not None:
            problem, place = missing
        else:
            place = place if place[0] else place_of_error(error.__cause__)
            place = place if place[0] else place_of_hook(_target(owner), problem)
            place = place if place[0] or error.__cause__ is None else _source_of(owner)
            problem += _meant(owner.module) if isinstance(error.__cause__, ModuleNotFoundError) else ""
    except TookTooLong as error:
        problem, place = f"cannot be imported: {error}", place_of_error(error)
    return _facts(owner, problem, place, printed)


def _target(owner: EntryPointOwner) -> object:
    """What the entry point names, as far as it has been imported."""
    module = sys.modules.get(owner.module)
    return vars(module).get(owner.attribute, module) if isinstance(module, ModuleType) else module


def _source_of(owner: EntryPointOwner) -> tuple[str, int | None]:
    try:
        return str(find_source(owner.module) or ""), None
    except ImportError:
        return "", None


def _facts(
    owner: EntryPointOwner,
    problem: str | None,
    place: tuple[str, int | None] = ("", None),
    printed: list[Printed | Left] | None = None,
    newer: str | None = None,
) -> PluginFacts:
    return PluginFacts(
        name=owner.name,
        distribution=owner.distribution,
        problem=problem,
        file=place[0],
        line=place[1],
        declared=_declared(owner),
        needs_newer=newer,
        printed=tuple(printed or ()),
        source=_source_of(owner)[0],
    )


def _declared(owner: EntryPointOwner) -> tuple[str, int | None]:
    """The file and line of the metadata in which the entry point stands."""
    distribution = owner.entry_point.dist
    if distribution is None:
        return "", None
    folder = getattr(distribution, "_path", None)
    read = distribution.read_text  # which is always UTF-8
    group = ""
    for number, line in enumerate((read("entry_points.txt") or "").splitlines(), 1):
        if line.strip().startswith("["):
            group = line.strip("[] \t")
        elif group == owner.entry_point.group and line.partition("=")[0].strip() == owner.name:
            return str(Path(str(folder or ""), "entry_points.txt")), number
    return "", None


def _wrong_with_the_contract(owner: EntryPointOwner) -> PluginFacts | None:
    problem = misfit(owner.contract, owner.distribution)
    if problem is None:
        return None
    return _facts(owner, problem, newer=needs_newer(owner.contract, owner.distribution))


def _wrong_with_the_name(owner: EntryPointOwner) -> PluginFacts | None:
    """An entry point that can name nothing, or a module that nobody can import, since one of Python's own is first."""
    if owner.names_nothing is not None:
        return _facts(owner, owner.names_nothing)
    module = owner.module.partition(".")[0]
    if module not in sys.stdlib_module_names:
        return None
    return _facts(owner, f"its module {module!r} has the name of one of Python's own, which comes first; rename it")


def _meant(module: str) -> str:
    """What is added where an entry point has a dot in place of the colon."""
    package, dot, attribute = module.rpartition(".")
    try:
        there = dot and find_source(package)
    except ImportError:
        return ""
    return f"; did you mean '{package}:{attribute}', with a colon?" if there else ""


def _missing_attribute(owner: EntryPointOwner) -> tuple[str, tuple[str, int | None]] | None:
    module = sys.modules.get(owner.module)
    if not isinstance(module, ModuleType) or hasattr(module, owner.attribute):
        return None
    known = [name for name in vars(module) if not name.startswith("_")]
    said = f"{owner.module} has no {owner.attribute!r}; {did_you_mean(owner.attribute, known)}"
    return said, (str(module.__file__ or ""), None)


def _missing_from(source: bytes, attribute: str) -> str | None:
    """The problem of a module that has no such name, as far as its source says what it has."""
    names = set(_names_in(ast.parse(source)))
    if not attribute or "*" in names or "__getattr__" in names or attribute.partition(".")[0] in names:
        return None
    return f"it has no {attribute!r}; {did_you_mean(attribute, sorted(n for n in names if not n.startswith('_')))}"


def _names_in(tree: ast.AST) -> Iterator[str]:
    """All names that a module may bind at its top, also within `if` and `try`."""
    for node in ast.iter_child_nodes(tree):
        if isinstance(node, ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
            yield node.name
            continue
        if isinstance(node, ast.Import | ast.ImportFrom):
            yield from ((alias.asname or alias.name).partition(".")[0] for alias in node.names)
        if isinstance(node, ast.Name):
            yield node.id
        yield from _names_in(node)
