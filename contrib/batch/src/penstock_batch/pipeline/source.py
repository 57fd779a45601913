"""A module as its source says: which statements bind each name at its top, or may change what it is bound to."""

from __future__ import annotations

import ast
from collections.abc import Collection, Iterator, Sequence
from pathlib import Path

__all__ = ["Source"]


class Source:
    """The source in `file`. Raises `SyntaxError` if it is none."""

    def __init__(self, file: Path) -> None:
        self.tree = ast.parse(file.read_bytes())
        self.is_package = file.name == "__init__.py"
        self.stars: list[ast.ImportFrom] = []
        """`from module import *`"""
        self.modules: dict[str, str] = {}
        """The names that `import` gives to modules."""
        self._by_name: dict[str, list[ast.stmt]] = {}
        for statement in _flat(self.tree.body):
            if isinstance(statement, ast.ImportFrom) and statement.names[0].name == "*":
                self.stars.append(statement)
            if isinstance(statement, ast.Import):
                for alias in statement.names:
                    top = alias.name.partition(".")[0]
                    self.modules[alias.asname or top] = alias.name if alias.asname else top
            for name in set(_concerns(statement)):
                self._by_name.setdefault(name, []).append(statement)

    @property
    def names(self) -> Collection[str]:
        """All names of the module."""
        return self._by_name.keys()

    def statements(self, name: str) -> Sequence[ast.stmt]:
        """The statements that bind a name or may change what it is bound to."""
        return self._by_name.get(name, ())


def _flat(body: Sequence[ast.stmt]) -> Iterator[ast.stmt]:
    """The statements of a module, those inside conditions, blocks and loops too, each by itself."""
    for statement in body:
        yield statement
        if isinstance(statement, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            continue
        for field in ("body", "orelse", "finalbody"):
            yield from _flat(getattr(statement, field, ()))
        for part in (*getattr(statement, "handlers", ()), *getattr(statement, "cases", ())):
            yield from _flat(part.body)


def _concerns(statement: ast.stmt) -> Iterator[str]:
    if isinstance(statement, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
        yield statement.name
    elif isinstance(statement, ast.Import | ast.ImportFrom):
        for alias in statement.names:
            yield alias.asname or (alias.name if isinstance(statement, ast.ImportFrom) else alias.name.split(".")[0])
    else:
        # Assigned names alone say what a plain assignment does; a call, an item that is set or a loop may change
        # whatever it mentions.
        names = [part for part in ast.walk(statement) if isinstance(part, ast.Name)]
        plain = isinstance(statement, ast.Assign | ast.AnnAssign) and not any(
            isinstance(part, ast.Attribute | ast.Subscript) and isinstance(part.ctx, ast.Store)
            for part in ast.walk(statement)
        )
        yield from (part.id for part in names if not plain or isinstance(part.ctx, ast.Store))
