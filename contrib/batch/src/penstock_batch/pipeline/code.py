"""What the function of a step is known by: its code, and that of all that it reaches by name beside the TOML. Pure.

The code is its syntax tree without docstrings and comments, so that a remark changes nothing. Followed are names: those
of other functions, classes and values of its module, and of modules that lie below the folder of the TOML. Of installed
modules the distribution and its version count, of Python its version of two figures; a value counts by its text in the
source. What a function reads while it runs (a file, a variable of the environment) is not seen.

Where there is no source (a function made by a library, or in C), the step says `version`.
"""

from __future__ import annotations

import ast
import functools
import inspect
import sys
from collections.abc import Callable, Iterator
from hashlib import blake2b
from importlib.metadata import PackageNotFoundError, packages_distributions, version as version_of
from importlib.util import resolve_name
from pathlib import Path
from types import ModuleType
from typing import Any

__all__ = ["UnknownCode", "code_of"]


class UnknownCode(ValueError):
    """A function of which nobody can say whether its code has changed, in one line."""


def code_of(function: Callable[..., Any], folder: Path, version: str | None = None) -> str:
    """What `function` is known by; `version` stands for its code where it is given. Raises `UnknownCode`."""
    target = inspect.unwrap(function) if not isinstance(function, functools.partial) else function
    name = f"{getattr(target, '__module__', None)}.{getattr(target, '__qualname__', type(target).__qualname__)}"
    if version is not None:
        return f"{name} version {version}"
    if isinstance(target, functools.partial):
        bound = [*map(repr, target.args), *(f"{key}={value!r}" for key, value in sorted(target.keywords.items()))]
        return f"{code_of(target.func, folder)} with {', '.join(bound)}"
    holder = target if inspect.isroutine(target) or inspect.isclass(target) else type(target)
    module = sys.modules.get(getattr(holder, "__module__", None) or "")
    root = None if module is None else _own_file(module, folder.resolve())
    if module is None or root is None:
        installed = None if module is None else _distribution(module.__name__)
        if installed is None:
            raise UnknownCode(
                f"is required: {name} has no source beside the TOML by which a change of it could be seen"
            )
        return f"{name} of {installed}"
    found = _Reach(folder.resolve())
    found.follow(module, holder.__qualname__.partition(".")[0])
    text = "\n".join(sorted(found.parts))
    return blake2b(f"{holder.__qualname__}\n{text}".encode(), digest_size=16).hexdigest()


class _Reach:
    """What can be reached by name from a definition: its parts as text, each once."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._modules: dict[str, dict[str, list[ast.stmt]]] = {}
        self._seen: set[tuple[str, str]] = set()
        self.parts: set[str] = set()

    def follow(self, module: ModuleType, name: str) -> None:
        """Add the definition of `name` in `module`, and all that it reaches."""
        todo = [(module, name)]
        while todo:
            module, name = todo.pop()
            if (module.__name__, name) in self._seen:
                continue
            self._seen.add((module.__name__, name))
            todo += self._one(module, name)

    def _one(self, module: ModuleType, name: str) -> Iterator[tuple[ModuleType, str]]:
        for statement in self._defined(module).get(name, ()):
            if isinstance(statement, ast.Import | ast.ImportFrom):
                yield from self._imported(module, statement, name)
                continue
            self.parts.add(f"{module.__name__}.{name}: {ast.dump(_without_words(statement))}")
            for used in ast.walk(statement):
                if isinstance(used, ast.Name):
                    yield module, used.id
                elif isinstance(used, ast.Attribute):
                    yield from self._attribute(module, used)
                elif isinstance(used, ast.Import | ast.ImportFrom):  # inside the function
                    for alias in used.names:
                        yield from self._imported(module, used, alias.asname or alias.name.partition(".")[0])

    def _attribute(self, module: ModuleType, used: ast.Attribute) -> Iterator[tuple[ModuleType, str]]:
        """`helpers.shorten` of an imported module."""
        path = [used.attr]
        value = used.value
        while isinstance(value, ast.Attribute):
            path.append(value.attr)
            value = value.value
        if not isinstance(value, ast.Name):
            return
        found: Any = getattr(module, value.id, None)
        for part in reversed(path):
            if not isinstance(found, ModuleType):
                return
            if _own_file(found, self._folder) is not None:
                yield found, part
            found = getattr(found, part, None)

    def _imported(
        self, module: ModuleType, statement: ast.Import | ast.ImportFrom, name: str
    ) -> Iterator[tuple[ModuleType, str]]:
        for alias in statement.names:
            if isinstance(statement, ast.Import):
                if (alias.asname or alias.name.partition(".")[0]) != name:
                    continue
                source, wanted = alias.name, None
            else:
                if alias.name != "*" and (alias.asname or alias.name) != name:
                    continue
                source = _absolute(module, statement)
                wanted = name if alias.name == "*" else alias.name
            found = sys.modules.get(source)
            inner = sys.modules.get(f"{source}.{wanted}") if wanted is not None else None
            if inner is not None:  # `from package import module`
                found, wanted = inner, None
            if found is None or _own_file(found, self._folder) is None:
                self.parts.add(f"{source}: {_distribution(source) or 'not installed'}")
            elif wanted is not None:
                yield found, wanted

    def _defined(self, module: ModuleType) -> dict[str, list[ast.stmt]]:
        """The statements at the top of a module that define each name."""
        known = self._modules.get(module.__name__)
        if known is None:
            file = _own_file(module, self._folder)
            known = self._modules[module.__name__] = {} if file is None else _names(file)
        return known


def _names(file: Path) -> dict[str, list[ast.stmt]]:
    tree = ast.parse(file.read_bytes())
    found: dict[str, list[ast.stmt]] = {}
    stars = [each for each in ast.walk(tree) if isinstance(each, ast.ImportFrom) and each.names[0].name == "*"]
    for statement in _statements(tree.body):
        for name in _defines(statement):
            found.setdefault(name, []).append(statement)
    used = {each.id for each in ast.walk(tree) if isinstance(each, ast.Name)}
    for star in stars:
        for name in used.difference(found):
            found.setdefault(name, []).append(star)
    return found


def _statements(body: list[ast.stmt]) -> Iterator[ast.stmt]:
    """The statements of a module, those inside `if`, `try` and `with` too, each by itself."""
    for statement in body:
        if isinstance(statement, ast.If | ast.Try | ast.With | ast.For | ast.While):
            for field in ("body", "orelse", "finalbody"):
                yield from _statements(getattr(statement, field, []))
            for handler in getattr(statement, "handlers", []):
                yield from _statements(handler.body)
        yield statement


def _defines(statement: ast.stmt) -> Iterator[str]:
    if isinstance(statement, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
        yield statement.name
    elif isinstance(statement, ast.Import | ast.ImportFrom):
        for alias in statement.names:
            yield alias.asname or (
                alias.name if isinstance(statement, ast.ImportFrom) else alias.name.partition(".")[0]
            )
    else:
        for part in ast.walk(statement):
            if isinstance(part, ast.Name) and isinstance(part.ctx, ast.Store):
                yield part.id


def _without_words(statement: ast.stmt) -> ast.stmt:
    """The statement without docstrings. A new one: the module's tree is read by several."""
    copied = ast.parse(ast.unparse(statement)).body[0]
    for part in ast.walk(copied):
        if (
            isinstance(part, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef)
            and ast.get_docstring(part) is not None
        ):
            part.body = part.body[1:] or [ast.Pass()]
    return copied


def _own_file(module: ModuleType, folder: Path) -> Path | None:
    """The source of a module that lies below `folder` and is not installed there."""
    file = getattr(module, "__file__", None)
    if not file or not str(file).endswith(".py"):
        return None
    path = Path(file).resolve()
    if not path.is_relative_to(folder) or "site-packages" in path.parts or not path.is_file():
        return None
    return path


def _absolute(module: ModuleType, statement: ast.ImportFrom) -> str:
    if not statement.level:
        return statement.module or ""
    package = module.__package__ or module.__name__
    try:
        return resolve_name(f"{'.' * statement.level}{statement.module or ''}", package)
    except ImportError:
        return statement.module or ""


@functools.cache
def _distributions() -> dict[str, list[str]]:
    return {name: list(found) for name, found in packages_distributions().items()}


def _distribution(module: str) -> str | None:
    """The distribution of an installed module with its version."""
    top = module.partition(".")[0]
    if top in sys.stdlib_module_names:
        return f"Python {sys.version_info.major}.{sys.version_info.minor}"
    for name in _distributions().get(top, ()):
        try:
            return f"{name} {version_of(name)}"
        except PackageNotFoundError:
            continue
    return None
