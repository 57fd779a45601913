"""Draws the core's packages, `docs/design/house.svg`: `python docs/make_house_picture.py`.

The floors are those of the layers contract in `pyproject.toml`, which import-linter holds; the arrows are the imports
between packages, less those that lead where another path leads as well. A test holds the picture against `picture()`.

Each package stands one row above the highest of those that it knows, and in a column that is chosen here. An arrow to
the next row is straight; a longer one leaves its package at the side, and goes down the column of the other, where
nothing may stand in its way.
"""

from __future__ import annotations

import ast
import tomllib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

HOUSE = Path(__file__).parents[1]
CORE = HOUSE / "core" / "src" / "penstock"
PICTURE = HOUSE / "docs" / "design" / "house.svg"
COLUMNS = {"mypy": 0, "views": 0, "events": 0, "cli": 2, "queueing": 2, "executor": 2, "readiness": 4, "sinks": 3}
"""Where a package stands that does not stand in the middle, column 1."""
WIDE, HIGH, ACROSS, DOWN, EDGE = 110, 30, 150, 64, 20
"""The size of a package, how far one is from the next, and the margin."""


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


def rows() -> dict[str, int]:
    """Package to its row: 0 for what knows of none, and each above all that it knows."""
    known: dict[str, list[str]] = {name: [] for floor in floors() for name in floor}
    for name, other in arrows():
        known[name].append(other)
    found: dict[str, int] = {}
    for floor in reversed(floors()):
        for name in floor:
            found[name] = 1 + max((found[other] for other in known[name]), default=-1)
    return found


def places() -> dict[str, tuple[int, int]]:
    """Package to its column and row. Raises `ValueError` for two at one place."""
    found = {name: (COLUMNS.get(name, 1), row) for name, row in rows().items()}
    if len(set(found.values())) < len(found):
        raise ValueError(f"two packages stand at one place: give one of them another column in COLUMNS: {found}")
    return found


def way(name: str, other: str, at: Mapping[str, tuple[int, int]]) -> list[tuple[int, int]]:
    """The corners of an arrow, as columns and rows. Raises `ValueError` if a package stands in its way."""
    (column, row), (to_column, to_row) = at[name], at[other]
    if row - to_row == 1:
        return [at[name], at[other]]
    step = 1 if to_column > column else -1
    passed = [(between, row) for between in range(column + step, to_column + step, step)]
    passed += [(to_column, between) for between in range(to_row + 1, row)]
    if column == to_column or set(passed) & set(at.values()):
        raise ValueError(f"the arrow from {name} to {other} runs into a package: give one another column in COLUMNS")
    return [at[name], (to_column, row), at[other]]


def picture() -> str:
    """The text of the SVG."""
    at = places()
    top = max(row for _, row in at.values())

    def middle(column: int, row: int) -> tuple[int, int]:
        return EDGE + WIDE // 2 + column * ACROSS, EDGE + HIGH // 2 + (top - row) * DOWN

    lines: list[str] = []
    for name, other in arrows():
        corners = [middle(*corner) for corner in way(name, other, at)]
        (x, y), (end, low) = corners[0], corners[-1]
        start = (x, y + HIGH // 2) if len(corners) == 2 else (x + (WIDE if end > x else -WIDE) // 2, y)
        points = " ".join(f"{a},{b}" for a, b in (start, *corners[1:-1], (end, low - HIGH // 2 - 1)))
        lines.append(f'<polyline points="{points}" fill="none" stroke="#666" marker-end="url(#tip)"/>')
    for name, place in at.items():
        x, y = middle(*place)
        colours = 'fill="#eef6ee" stroke="#4a7a4a"' if name in pure() else 'fill="#f4f4f8" stroke="#667"'
        box = f'x="{x - WIDE // 2}" y="{y - HIGH // 2}" width="{WIDE}" height="{HIGH}" rx="4"'
        lines.append(f"<rect {box} {colours}/>")
        lines.append(f'<text x="{x}" y="{y + 5}" text-anchor="middle">{name}</text>')
    across = 2 * EDGE + WIDE + ACROSS * max(column for column, _ in at.values())
    down = 2 * EDGE + HIGH + DOWN * top
    tip = (
        '<marker id="tip" viewBox="0 0 8 8" refX="7" refY="4" markerWidth="7" markerHeight="7" orient="auto">'
        '<path d="M0,0 L8,4 L0,8 z" fill="#666"/></marker>'
    )
    head = f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {across} {down}" width="{across}" height="{down}"'
    return "\n".join(
        [
            f'{head} font-family="sans-serif" font-size="14">',
            "<title>The packages of the core, and which of them imports which</title>",
            f"<defs>{tip}</defs>",
            f'<rect width="{across}" height="{down}" fill="#fff"/>',
            *lines,
            "</svg>",
            "",
        ]
    )


if __name__ == "__main__":
    PICTURE.write_text(picture(), encoding="utf-8")
