"""What the distributions of this project say of the contract: for which version they are written, and which core they
need at least. What is tested here is the lowest core that they declare.
"""

from __future__ import annotations

import re
import tomllib
from pathlib import Path
from typing import Any

import pytest

from penstock.plugins.contract import CONTRACT
from penstock.plugins.tiers import tier_in

ROOT = Path(__file__).resolve().parents[1]
PROJECTS = sorted(ROOT.glob("[cp]*/*/pyproject.toml"))


def _project(file: Path) -> dict[str, Any]:
    table: dict[str, Any] = tomllib.loads(file.read_text(encoding="utf-8"))["project"]
    return table


CORE = _project(ROOT / "core" / "pyproject.toml")["version"]


@pytest.mark.parametrize("file", PROJECTS, ids=lambda file: file.parent.name)
def test_a_distribution_needs_at_least_the_core_that_it_is_tested_with(file: Path) -> None:
    needed = [each for each in _project(file).get("dependencies", ()) if re.match(r"penstock-core\b", each)]
    for each in needed:
        lowest = re.search(r">=([0-9.]+)", each)
        assert lowest is not None, each
        assert CORE.startswith(lowest[1]), f"{each}: tested is {CORE}, so nobody knows whether an older one would do"


@pytest.mark.parametrize("file", PROJECTS, ids=lambda file: file.parent.name)
def test_a_distribution_with_plugins_says_for_which_contract_it_is_written(file: Path) -> None:
    groups = _project(file).get("entry-points", {})
    if "penstock.plugins" in groups:
        assert groups["penstock.contract"] == {"hooks": CONTRACT}


@pytest.mark.parametrize("file", PROJECTS, ids=lambda file: file.parent.name)
def test_a_plugin_of_ours_carries_the_tier_that_its_tests_have_earned_it(file: Path) -> None:
    """`python -m pytest NAME -p penstock.testing.tier --penstock-tier NAME/pyproject.toml` writes it."""
    groups = _project(file).get("entry-points", {})
    tiers = groups.get("penstock.tier", {})
    if file.parent.name != "ray":  # its suite is passed where a real Ray is, which is not among the requirements
        assert tiers.keys() == groups.get("penstock.plugins", {}).keys()
    assert all(tier_in(value) for value in tiers.values())
