"""Writes the picture of the core's packages into `docs/design/overview.md`: `python docs/make_house_picture.py`.

The floors are those of the layers contract in `pyproject.toml`, which import-linter holds; the arrows are the imports
between packages, less those that lead where another path leads as well. A test holds the page against `picture()`.
"""

from __future__ import annotations

import ast
import tomllib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

HOUSE = Path(__file__).parents[1]
CORE = HOUSE / "core" / "src" / "penstock"
PAGE = HOUSE / "docs" / "design" / "overview.md"
BEGIN, END = "<!-- picture: docs/make_house_picture.py -->\n", "<!-- end of the picture -->\n"


def contracts() -> Iterator[Mapping[str, Any]]:
    """The import rules of `pyproject.toml`."""
    yield from tomllib.loads((HOUSE / "pyproject.toml").read_text(encoding="utf-8"))["tool"]["importlinter"][
        "contracts"
    ]


def floors() -> list[list[str]]:
    """The packages of the core, from the top floor down."""
    (layers,) = (each["layers"] for each in contracts() if each.get("containers") == ["penstock"])
    return [[name.strip() for name in layer.split("|")] for layer in layers]


def pure() -> set[str]:
    """The packages that neither wait nor look at a clock."""
    (sources,) = (each["source_modules"] for each in contracts() if "random" in each.get("forbidden_modules", ()))
    return {name.removeprefix("penstock.") for name in sources}


def knows() -> dict[str, set[str]]:
    """Package to the packages that its modules import, types included."""
    packages = {name for floor in floors() for name in floor}
    found: dict[str, set[str]] = {name: set() for name in packages}
    for name in packages:
        for path in (CORE / name).rglob("*.py"):
            for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
                if isinstance(node, ast.ImportFrom) and node.module and node.module.startswith("penstock."):
                    found[name].add(node.module.split(".")[1])
        found[name] = found[name] & packages - {name}
    return found


def arrows() -> list[tuple[str, str]]:
    """The imports between packages without those that lead where a longer way leads as well."""
    direct = knows()
    below: dict[str, set[str]] = {}
    for floor in reversed(floors()):
        for name in floor:
            below[name] = direct[name].union(*(below[known] for known in direct[name]))
    return [
        (name, known)
        for floor in floors()
        for name in floor
        for known in (each for lower in floors() for each in lower)
        if known in direct[name] and not any(known in below[other] for other in direct[name] - {known})
    ]


def picture() -> str:
    """The Mermaid source, fenced."""
    lines = ["```mermaid", "flowchart TB"]
    for number, floor in enumerate(floors()):
        if len(floor) == 1:
            lines.append(f"  {floor[0]}")
        else:
            lines += [f'  subgraph floor{number}[" "]', *(f"    {name}" for name in floor), "  end"]
    lines += [f"  {name} --> {known}" for name, known in arrows()]
    lines += [f"  class {','.join(name for floor in floors() for name in floor if name in pure())} pure"]
    return "\n".join([*lines, "  classDef pure fill:#eef6ee,stroke:#4a7a4a", "```", ""])


def page() -> str:
    """The page with the picture as it is to be."""
    before, _, rest = PAGE.read_text(encoding="utf-8").partition(BEGIN)
    return before + BEGIN + picture() + END + rest.partition(END)[2]


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")
