"""What the function of a step is known by: its code, and that of all that it reaches by name beside the TOML.

The code is its syntax tree without docstrings and comments, so that a remark changes nothing. Nothing is run for it:
names are followed through the sources, from the function to what else stands in its module and in modules below the
folder of the TOML. A name counts with every statement of its module that binds it or may change it; a module that is
handed about as a value counts whole. Of installed modules the distribution and its version count, of Python its version
of two figures. What a function reads while it runs (a file, a variable of the environment) is not seen.

Where there is no source (a function made by a library, or in C), the step says `version`.
"""

from __future__ import annotations

import ast
import sys
from collections.abc import Callable, Iterator
from functools import cache
from hashlib import blake2b
from importlib.metadata import PackageNotFoundError, packages_distributions, version as version_of
from importlib.util import resolve_name
from inspect import isclass, isroutine, unwrap
from pathlib import Path
from typing import Any, Final

from penstock_batch.pipeline.source import Source

__all__ = ["UnknownCode", "code_of"]

_WHOLE: Final = "*"
"""In the place of a name: all of a module."""


class UnknownCode(ValueError):
    """A function of which nobody can say whether its code has changed, in one line."""


def code_of(function: Callable[..., Any], folder: Path, version: str | None = None, target: str | None = None) -> str:
    """What `function` is known by; `version` stands for its code where it is given. `target` is how it is found, as
    `module:name`, if not by what it says of itself. Raises `UnknownCode`.
    """
    found = target or _own_words(function)
    if version is not None:
        return f"{found} version {version}"
    module, _, name = found.partition(":")
    reach = _Reach(folder.resolve())
    if reach.source(module) is None:
        installed = _distribution(module)
        if installed is not None:
            return f"{found} of {installed}"
    elif reach.follow(module, name.partition(".")[0]):
        text = "\n".join(sorted(reach.parts))
        return blake2b(f"{found}\n{text}".encode(), digest_size=16).hexdigest()
    raise UnknownCode(f"is required: {found} has no source beside the TOML by which a change of it could be seen")


def _own_words(function: Callable[..., Any]) -> str:
    target: Any = unwrap(function)
    holder: Any = target if isroutine(target) or isclass(target) else type(target)
    return f"{getattr(holder, '__module__', None)}:{holder.__qualname__}"


class _Reach:
    """What can be reached by name from a definition: its parts as text, each once."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._sources: dict[str, Source | None] = {}
        self.parts: set[str] = set()

    def follow(self, module: str, name: str) -> bool:
        """Add the definition of `name` in `module`, and all that it reaches; whether there is one."""
        todo, seen = [(module, name)], set[tuple[str, str]]()
        while todo:
            place = todo.pop()
            if place not in seen:
                seen.add(place)
                todo += self._one(*place)
        return bool(self.parts)

    def source(self, module: str) -> Source | None:
        """The source of a module that lies below the folder and is not installed there."""
        if module not in self._sources:
            file = self._file(module)
            self._sources[module] = None if file is None else Source(file)
        return self._sources[module]

    def _file(self, module: str) -> Path | None:
        loaded = getattr(sys.modules.get(module), "__file__", None)
        base = self._folder.joinpath(*module.split("."))
        for path in (Path(loaded),) if loaded else (base.with_suffix(".py"), base / "__init__.py"):
            path = path.resolve()
            own = path.is_relative_to(self._folder) and "site-packages" not in path.parts
            if own and path.suffix == ".py" and path.is_file():
                return path
        return None

    def _one(self, module: str, name: str) -> Iterator[tuple[str, str]]:
        source = self.source(module)
        if source is None:
            return
        if name == _WHOLE:
            self.parts.add(f"{module}: {ast.dump(_without_words(source.tree))}")
            yield from ((module, each) for each in source.names)
            return
        for statement in source.statements(name):
            if isinstance(statement, ast.Import | ast.ImportFrom):
                yield from self._imported(module, statement, name)
            else:
                self.parts.add(f"{module}.{name}: {ast.dump(_without_words(statement))}")
                yield from self._used(module, source, statement)
        if not source.statements(name):
            for star in source.stars:
                yield from self._imported(module, star, name)

    def _used(self, module: str, source: Source, statement: ast.stmt) -> Iterator[tuple[str, str]]:
        """What a statement names, in its own module and in those that it imports."""
        within = [each for each in ast.walk(statement) if isinstance(each, ast.Import | ast.ImportFrom)]
        bound = {**source.modules, **{name: found for each in within for name, found in _modules(each)}}
        roots = set[ast.Name]()
        for used in ast.walk(statement):
            path = _dotted(used) if isinstance(used, ast.Attribute) else None
            if path is not None and path[0].id in bound:
                roots.add(path[0])
                yield from self._attribute(bound[path[0].id], path[1])
        for used in ast.walk(statement):
            if isinstance(used, ast.Name):
                yield module, used.id
                if used.id in bound and used not in roots:
                    yield bound[used.id], _WHOLE
            elif isinstance(used, ast.Import | ast.ImportFrom):
                for alias in used.names:
                    yield from self._imported(module, used, alias.asname or alias.name)

    def _attribute(self, module: str, path: list[str]) -> Iterator[tuple[str, str]]:
        """A name of an imported module, or of one that lies below it."""
        for part in path:
            yield module, part
            if self.source(f"{module}.{part}") is None:
                return
            module = f"{module}.{part}"
        yield module, _WHOLE

    def _imported(self, module: str, statement: ast.Import | ast.ImportFrom, name: str) -> Iterator[tuple[str, str]]:
        for alias in statement.names:
            if isinstance(statement, ast.Import):
                if name in (alias.asname or alias.name.partition(".")[0], alias.name):
                    self._installed(alias.name)
                continue
            if alias.name != "*" and (alias.asname or alias.name) != name:
                continue
            origin = self._origin(module, statement)
            wanted = name if alias.name == "*" else alias.name
            self._installed(origin)
            yield origin, wanted
            if self.source(f"{origin}.{wanted}") is not None and alias.name != "*":
                yield f"{origin}.{wanted}", _WHOLE  # `from package import module`

    def _installed(self, module: str) -> None:
        if self.source(module) is None and self.source(module.partition(".")[0]) is None:
            self.parts.add(f"{module}: {_distribution(module) or 'not installed'}")

    def _origin(self, module: str, statement: ast.ImportFrom) -> str:
        if not statement.level:
            return statement.module or ""
        source = self.source(module)
        package = module if source is not None and source.is_package else module.rpartition(".")[0]
        try:
            return resolve_name(f"{'.' * statement.level}{statement.module or ''}", package)
        except (ImportError, ValueError):
            return statement.module or ""


def _modules(statement: ast.Import | ast.ImportFrom) -> Iterator[tuple[str, str]]:
    """The names that stand for modules after `import`, and for which."""
    if isinstance(statement, ast.Import):
        for alias in statement.names:
            top = alias.name.partition(".")[0]
            yield (alias.asname, alias.name) if alias.asname else (top, top)


def _dotted(used: ast.Attribute) -> tuple[ast.Name, list[str]] | None:
    path = [used.attr]
    value = used.value
    while isinstance(value, ast.Attribute):
        path.append(value.attr)
        value = value.value
    return (value, path[::-1]) if isinstance(value, ast.Name) else None


def _without_words(tree: ast.stmt | ast.Module) -> ast.AST:
    """The code without docstrings. A new tree: that of a module is read by several."""
    copied = ast.parse(ast.unparse(tree))
    for part in ast.walk(copied):
        if isinstance(part, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef | ast.Module):
            first = part.body[0] if part.body else None
            if isinstance(first, ast.Expr) and isinstance(first.value, ast.Constant):
                part.body = part.body[1:]
    return copied


@cache
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
