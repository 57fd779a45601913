"""The public names of a package, as Sphinx is to explain them: one directive for each name of its `__all__`.

Some packages import their parts when they are asked for, which Sphinx does not see by itself; and what is said of a
constant stands below it in the module that it is made in.
"""

from __future__ import annotations

import ast
import importlib
import inspect
import re
from functools import cache
from itertools import pairwise
from typing import Any

import penstock

AUTOMODULE = re.compile(r"^\.\. automodule:: (\S+)\n   :members:\n   :undoc-members:\n", re.MULTILINE)


def spelt_out(text: str) -> str:
    """A page's text with a directive for each public name in place of one for all of a module."""
    return AUTOMODULE.sub(lambda found: "\n".join(_directives(found[1])), text)


def _directives(name: str) -> list[str]:
    module = importlib.import_module(name)
    lines = [f".. automodule:: {name}", ""]
    for entry in module.__all__:
        thing = getattr(module, entry)
        kind = "data"
        if inspect.isclass(thing) and thing.__name__ == entry:
            kind = "exception" if issubclass(thing, BaseException) else "class"
        elif inspect.isroutine(thing):
            kind = "function"
        members = ["   :members:", "   :undoc-members:"] if kind in ("class", "exception") else []
        if name != "penstock" and getattr(penstock, entry, None) is thing:  # explained once, where it comes from
            members.append("   :no-index:")
        lines += [f".. auto{kind}:: {name}.{entry}", *members, ""]
    return lines


@cache
def said_of_constant(module: str, name: str) -> tuple[str, ...]:
    """The lines that stand below a constant where it is made; none if nobody wrote some."""
    origin, made_as = _origin(module, name)
    source = inspect.getsource(importlib.import_module(origin))
    body = ast.parse(source).body
    for statement, after in pairwise(body):
        if made_as in _assigned(statement) and isinstance(after, ast.Expr) and isinstance(after.value, ast.Constant):
            return tuple(inspect.cleandoc(str(after.value.value)).splitlines())
    return ()


def _assigned(statement: ast.stmt) -> set[str]:
    targets: list[Any] = getattr(statement, "targets", [getattr(statement, "target", None)])
    return {target.id for target in targets if isinstance(target, ast.Name)}


def _origin(module: str, name: str) -> tuple[str, str]:
    """Where a name is made, through all modules that only pass it on."""
    tree = ast.parse(inspect.getsource(importlib.import_module(module)))
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and node.module:
            for alias in node.names:
                if (alias.asname or alias.name) == name:
                    return _origin(node.module, alias.name)
    return module, name
