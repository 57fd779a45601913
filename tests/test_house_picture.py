"""The picture of the core in docs/design/overview.md is that of the layers contract; its walks lead through files."""

from __future__ import annotations

import re
import xml.etree.ElementTree as ElementTree
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
    drawn = OVERVIEW.with_name("house.svg").read_text(encoding="utf-8")
    assert drawn == drawing.picture(), "run: python docs/make_house_picture.py"
    assert "(house.svg)" in OVERVIEW.read_text(encoding="utf-8")


def test_every_package_and_every_import_is_drawn(drawing: ModuleType) -> None:
    drawn = ElementTree.fromstring(drawing.picture())
    texts = [each.text for each in drawn.iter("{http://www.w3.org/2000/svg}text")]
    assert sorted(filter(None, texts)) == sorted(name for floor in drawing.floors() for name in floor)
    assert len(list(drawn.iter("{http://www.w3.org/2000/svg}polyline"))) == len(drawing.arrows())


def test_an_arrow_runs_into_no_package(drawing: ModuleType) -> None:
    with pytest.raises(ValueError, match="runs into a package"):
        drawing.way("a", "b", {"a": (1, 3), "b": (1, 1), "between": (1, 2)})
    assert drawing.way("a", "b", {"a": (1, 3), "b": (2, 1)}) == [(1, 3), (2, 3), (2, 1)]


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
