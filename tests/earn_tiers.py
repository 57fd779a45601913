"""Earns the tiers of this repository's plugins anew, where their code has changed.

    python tests/earn_tiers.py [NAME ...]

Run are the tests of the contract suites and nothing else; each tier is written into the `pyproject.toml` of its plugin.
Names are those of distributions' folders, `aimd batch`; without any, all are looked at. A test says which are stale.
"""

from __future__ import annotations

import re
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

from penstock.plugins.discovery import PLUGIN_GROUP
from penstock.plugins.tiers import TIER_GROUP, source_digest, tier_in

ROOT: Final = Path(__file__).resolve().parents[1]
COMMAND: Final = "python tests/earn_tiers.py"
UNEARNED: Final = {"ray"}
"""Whose suite is passed where a real Ray is, which is not among the requirements."""
_SUITE: Final = re.compile(r"\b\w+(?:Contract|Scenarios)\b")
_NO_TESTS: Final = 5
"""The exit code of pytest where there are none: a plugin without suites is judged by its import."""


def stale(folder: Path, core: str) -> Iterator[str]:
    """The plugins of a distribution whose tier is not that of its code, and of this version of the core."""
    groups = _project(folder).get("entry-points", {})
    for name, value in groups.get(PLUGIN_GROUP, {}).items():
        tier = tier_in(groups.get(TIER_GROUP, {}).get(name, ""))
        if tier is None or (tier.core, tier.digest) != (core, source_digest(value.partition(":")[0])):
            yield name


def to_earn(names: list[str]) -> list[Path]:
    """The folders of distributions with a tier to be earned anew, of those that are named."""
    core = _project(ROOT / "core")["version"]
    folders = [file.parent for file in sorted(ROOT.glob("[cp]*/*/pyproject.toml"))]
    if unknown := set(names) - {folder.name for folder in folders}:
        raise SystemExit(f"there is no distribution {', '.join(sorted(unknown))} here")
    asked = names or {folder.name for folder in folders} - UNEARNED
    return [folder for folder in folders if folder.name in asked and any(stale(folder, core))]


def _project(folder: Path) -> dict[str, Any]:
    table: dict[str, Any] = tomllib.loads(folder.joinpath("pyproject.toml").read_text(encoding="utf-8"))["project"]
    return table


def _earn(folder: Path) -> bool:
    """Run the suites of a distribution, and say whether they passed."""
    suites = [str(file) for file in folder.rglob("test_*.py") if _SUITE.search(file.read_text(encoding="utf-8"))]
    earning = ["-p", "penstock.testing.tier", "--penstock-tier", str(folder / "pyproject.toml")]
    found = suites or ["--ignore-glob=*", str(folder)]
    done = subprocess.run([sys.executable, "-m", "pytest", "-q", *earning, *found], cwd=ROOT, check=False)
    return done.returncode == 0 or (not suites and done.returncode == _NO_TESTS)


def main(names: list[str]) -> int:
    """The exit code: 1 if a suite fails."""
    folders = to_earn(names)
    failed = [folder.name for folder in folders if not _earn(folder)]
    print(f"earned anew: {', '.join(each.name for each in folders if each.name not in failed) or 'none'}")
    if failed:
        print(f"not passed: {', '.join(failed)}")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
