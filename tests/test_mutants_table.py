"""The table of defects that tests must find (`mutants/table.toml`) fits the sources: it is run now and then, and would
else fall behind unseen.
"""

from __future__ import annotations

import tomllib
from collections.abc import Callable
from pathlib import Path
from types import ModuleType

MUTANTS = Path(__file__).with_name("mutants")


def test_each_defect_has_its_place_in_the_sources_and_its_tests(module_at: Callable[[Path], ModuleType]) -> None:
    runner = module_at(MUTANTS / "run.py")
    defects = tomllib.loads((MUTANTS / "table.toml").read_text(encoding="utf-8"))["mutant"]

    assert [line for defect in defects for line in runner.problems(defect)] == []


def test_no_two_defects_have_one_name() -> None:
    names = [each["name"] for each in tomllib.loads((MUTANTS / "table.toml").read_text(encoding="utf-8"))["mutant"]]

    assert sorted(names) == sorted({*names})
