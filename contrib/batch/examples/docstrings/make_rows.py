"""Makes rows.jsonl: the docstrings of the public functions of Python's standard library.

    python make_rows.py > rows.jsonl

The sources are parsed and never imported, so nothing of them runs. The rows are in order of module and line, and hold
no path of this machine. The committed file was made with Python 3.11; another version has other docstrings.
"""

from __future__ import annotations

import ast
import inspect
import json
import sys
import sysconfig
from collections.abc import Iterator
from pathlib import Path

LEFT_OUT = frozenset({"test", "tests", "idlelib", "lib2to3", "turtledemo", "site-packages", "ensurepip", "__pycache__"})
SHORTEST = 100  # characters; below that there is little to summarise


def modules(library: Path) -> Iterator[tuple[str, Path]]:
    """Name and file of each public module, sorted by name."""
    found = []
    for file in library.rglob("*.py"):
        parts = file.relative_to(library).with_suffix("").parts
        parts = parts[:-1] if parts[-1] == "__init__" else parts
        if parts and not any(part.startswith("_") or part in LEFT_OUT or "-" in part for part in parts):
            found.append((".".join(parts), file))
    return iter(sorted(found))


def functions(module: str, source: bytes) -> Iterator[dict[str, str]]:
    """A row for each public function at the top of a module that has a docstring worth summarising."""
    for node in ast.parse(source).body:
        if not isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) or node.name.startswith("_"):
            continue
        docstring = inspect.cleandoc(ast.get_docstring(node) or "")
        if len(docstring) >= SHORTEST:
            yield {
                "name": f"{module}.{node.name}",
                "signature": f"{node.name}({ast.unparse(node.args)})",
                "docstring": docstring,
            }


def main() -> None:
    library = Path(sysconfig.get_path("stdlib"))
    for module, file in modules(library):
        for row in functions(module, file.read_bytes()):
            sys.stdout.write(json.dumps(row, ensure_ascii=True) + "\n")


if __name__ == "__main__":
    main()
