"""What the distributions of this project say of the contract: for which version they are written, and which core they
need at least. What is tested here is the lowest core that they declare.
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from penstock.plugins.contract import CONTRACT
from penstock.plugins.tiers import Tier, tier_in

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


def test_the_tiers_of_our_plugins_were_earned_by_the_code_that_is_here(module_at: Callable[[Path], ModuleType]) -> None:
    earning = module_at(ROOT / "tests" / "earn_tiers.py")
    stale = [folder.name for folder in earning.to_earn([])]
    assert stale == [], f"run: {earning.COMMAND}"


def test_a_tier_of_other_code_or_of_another_core_is_stale(
    module_at: Callable[[Path], ModuleType], tmp_path: Path
) -> None:
    earning = module_at(ROOT / "tests" / "earn_tiers.py")
    text = ROOT.joinpath("policies/aimd/pyproject.toml").read_text(encoding="utf-8")
    (written,) = re.findall(r'^aimd = "(\w+:[^"]*\.sha\w+)"$', text, re.MULTILINE)
    tier = tier_in(written)
    assert tier is not None
    for line, core, stale in (
        (written, tier.core, []),
        (written, "99.0", ["aimd"]),
        (Tier(tier.name, tier.core, "0" * 12).written, tier.core, ["aimd"]),
        ("", tier.core, ["aimd"]),
    ):
        tmp_path.joinpath("pyproject.toml").write_text(text.replace(written, line), encoding="utf-8")
        assert list(earning.stale(tmp_path, core)) == stale
