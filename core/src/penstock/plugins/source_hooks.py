"""The hooks of a plugin, read from its source. The file is parsed and never run.

`penstock plugins list` imports nothing, and metadata does not say which hooks a plugin implements. The source does:
functions marked with `hookimpl`, in the module or in the class that the entry point names, also where that class is
imported from a sister module or has a base class in the same file. What cannot be read so (a compiled module, hooks
that are put together while running) gives `None`, and the listing says that it does not know.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator, Sequence
from importlib.machinery import ModuleSpec, PathFinder
from importlib.util import resolve_name
from itertools import accumulate
from pathlib import Path

__all__ = ["find_source", "hooks_in_file", "hooks_in_source"]

_FURTHEST = 5


def find_source(module: str) -> Path | None:
    """The file of a module, found without importing it or its packages. Raises `ModuleNotFoundError`;
    `None`: no Python source."""
    spec: ModuleSpec | None = None
    where: Sequence[str] | None = None
    if not all(map(str.isidentifier, module.split("."))):
        raise ModuleNotFoundError(f"No module can be named {module!r}", name=module)
    for name in accumulate(module.split("."), "{}.{}".format):
        spec = None if "." in name and where is None else PathFinder.find_spec(name, where)
        if spec is None:
            raise ModuleNotFoundError(f"No module named {module!r}", name=module)
        where = spec.submodule_search_locations
    origin = None if spec is None else spec.origin
    return Path(origin) if origin is not None and origin.endswith(".py") else None


def hooks_in_source(module: str, attribute: str = "") -> tuple[str, ...] | None:
    """The hooks of `module` or of the class `attribute` in it, in the order of the source; `None` if they
    are not known from it."""
    try:
        for _ in range(_FURTHEST):
            source = find_source(module)
            if source is None:
                return None
            tree = ast.parse(source.read_bytes())
            if not attribute:
                return tuple(_marked(tree.body))
            classes = {node.name: node for node in tree.body if isinstance(node, ast.ClassDef)}
            if attribute in classes:
                return tuple(dict.fromkeys(_marked_in_class(classes[attribute], classes)))
            package = module if source.stem == "__init__" else module.rpartition(".")[0]
            origin = _imported_from(tree, attribute, package)
            if origin is None:
                return None
            module, attribute = origin
    except (OSError, ImportError, SyntaxError, ValueError):
        return None
    return None


def hooks_in_file(path: Path) -> tuple[str, ...] | None:
    """The hooks of a one-file plugin: of its functions, else of the classes in it."""
    try:
        tree = ast.parse(path.read_bytes())
    except (OSError, SyntaxError, ValueError):
        return None
    classes = {node.name: node for node in tree.body if isinstance(node, ast.ClassDef)}
    in_classes = (hook for node in classes.values() for hook in _marked_in_class(node, classes))
    return tuple(dict.fromkeys([*_marked(tree.body), *in_classes]))


def _marked_in_class(node: ast.ClassDef, classes: dict[str, ast.ClassDef]) -> Iterator[str]:
    yield from _marked(node.body)
    for base in node.bases:
        if isinstance(base, ast.Name) and base.id in classes and base.id != node.name:
            yield from _marked_in_class(classes[base.id], {k: v for k, v in classes.items() if k != node.name})


def _marked(body: Sequence[ast.stmt]) -> Iterator[str]:
    for node in body:
        if not isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            continue
        for decorator in node.decorator_list:
            call = decorator if isinstance(decorator, ast.Call) else None
            mark = call.func if call is not None else decorator
            if (isinstance(mark, ast.Name) and mark.id == "hookimpl") or (
                isinstance(mark, ast.Attribute) and mark.attr == "hookimpl"
            ):
                yield _specname(call) or node.name


def _specname(call: ast.Call | None) -> str | None:
    for keyword in call.keywords if call is not None else ():
        if keyword.arg == "specname" and isinstance(keyword.value, ast.Constant):
            return str(keyword.value.value)
    return None


def _imported_from(tree: ast.Module, name: str, package: str) -> tuple[str, str] | None:
    """The module that a name is imported from, and its name there. Raises `ImportError` for one beyond the top."""
    for node in tree.body:
        if not isinstance(node, ast.ImportFrom):
            continue
        for alias in node.names:
            if (alias.asname or alias.name) == name:
                return resolve_name("." * node.level + (node.module or ""), package), alias.name
    return None
