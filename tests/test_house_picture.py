"""The picture of the core in docs/design/overview.md is that of the layers contract; its walks lead through files."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from types import ModuleType

import pytest

HOUSE = Path(__file__).parents[1]
OVERVIEW = HOUSE / "docs" / "design" / "overview.md"


@pytest.fixture(scope="module")
def drawing(module_at: Callable[[Path], ModuleType]) -> ModuleType:
    return module_at(HOUSE / "docs" / "make_house_picture.py")


def test_the_picture_is_up_to_date(drawing: ModuleType) -> None:
    assert OVERVIEW.read_text(encoding="utf-8") == drawing.page(), "run: python docs/make_house_picture.py"


def test_no_arrow_leads_up(drawing: ModuleType) -> None:
    floor = {name: number for number, names in enumerate(drawing.floors()) for name in names}

    assert [
        (above, below) for above, known in drawing.knows().items() for below in known if floor[below] <= floor[above]
    ] == []


def test_every_package_has_its_reason(drawing: ModuleType) -> None:
    named = re.findall(r"^\| `(\w+)` \|", OVERVIEW.read_text(encoding="utf-8"), re.MULTILINE)

    assert named == [name for floor in drawing.floors() for name in floor]


def test_each_step_of_the_walks_is_a_file() -> None:
    steps = re.findall(r"^\| \d+ \|.*\| `([\w/]+\.py)` \|$", OVERVIEW.read_text(encoding="utf-8"), re.MULTILINE)

    assert len(steps) == 20
    assert [step for step in steps if not (HOUSE / "core" / "src" / "penstock" / step).exists()] == []
