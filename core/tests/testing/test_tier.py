"""The tier that the tests of a plugin earn it, as its author's `pyproject.toml` has it afterwards."""

from __future__ import annotations

import os
import subprocess
import sys
import tomllib
from pathlib import Path

import attrs
import pytest

PROJECT = """\
# A project of somebody's.
[project]
name = "tiered"   # short
version = "1.0"

[project.entry-points."penstock.plugins"]
one = "tiered_x:Rule"

[project.entry-points."penstock.contract"]
hooks = "1.1"

[tool.other]
kept = [ 1,2 ]  # as it is
"""
RULE = """
from penstock import Denied, Released, hookimpl

class Rule:
    @hookimpl
    def penstock_task_eligible(self, task, admission):
        key = task.group.key
        return Denied("policy_denial", {Released(key)}, scope="group") if admission.running(key) else None
"""
SLEEPS = RULE.replace("Denied, Released,", "Denied, Signal,").replace("Released(key)", "Signal('never said')")
SUITE = """
from penstock.testing import TaskRuleContract
from tiered_x import Rule

class TestRule(TaskRuleContract):
    def make_plugin(self):
        return Rule()
"""


@attrs.frozen
class Author:
    """Somebody with a project, who runs its tests."""

    folder: Path

    @property
    def file(self) -> Path:
        return self.folder / "pyproject.toml"

    @property
    def text(self) -> str:
        return self.file.read_text(encoding="utf-8")

    @property
    def tiers(self) -> dict[str, str]:
        """Plugin to tier, without what stands behind it."""
        groups = tomllib.loads(self.text)["project"]["entry-points"]
        return {name: value.partition(":")[0] for name, value in groups.get("penstock.tier", {}).items()}

    def write(self, name: str, text: str) -> None:
        path = self.folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")

    def test(self, *args: str, earning: bool = True) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-m", "pytest", "-p", "penstock.testing.tier", "-p", "no:cacheprovider"]
        option = ["--penstock-tier", str(self.file)] if earning else []
        surroundings = {**os.environ, "PYTHONPATH": str(self.folder / "src")}
        return subprocess.run(
            [*command, *option, *args], cwd=self.folder, env=surroundings, capture_output=True, text=True, check=False
        )


@pytest.fixture
def author(tmp_path: Path) -> Author:
    made = Author(tmp_path)
    made.write("pyproject.toml", PROJECT)
    made.write("src/tiered_x/__init__.py", RULE)
    made.write("src/tiered_x/py.typed", "")
    made.write("tests/test_rule.py", SUITE)
    return made


def test_whose_suite_is_passed_is_lawful_and_nothing_else_in_the_file_changes(author: Author) -> None:
    assert "one: lawful (core " in author.test().stdout
    assert author.tiers == {"one": "lawful"}
    written = author.text
    kept = [line for line in written.splitlines() if "tier" not in line.replace("tiered", "") and "lawful" not in line]
    assert [line for line in kept if line] == [line for line in PROJECT.splitlines() if line]
    assert "\n\n[tool.other]" in written
    author.test()
    assert author.text == written, "the same run writes the same"


def test_a_suite_that_fails_takes_the_tier_away_and_says_where(author: Author) -> None:
    author.test()
    author.write("src/tiered_x/__init__.py", SLEEPS)
    done = author.test()
    assert done.returncode == 1
    assert "one: TestRule failed at test_nobody_sleeps_who_would_be_let_go" in done.stdout
    assert author.tiers == {"one": "loads"}


def test_a_plugin_whose_hook_has_no_suite_loads(author: Author) -> None:
    author.write("tests/test_rule.py", "def test_nothing(): ...\n")
    assert "one: penstock_task_eligible has no test by TaskRuleContract" in author.test().stdout
    assert author.tiers == {"one": "loads"}


def test_a_suite_that_was_not_run_whole_says_nothing(author: Author) -> None:
    author.test()
    before = author.text
    assert "one: no word on it, since of TestRule these were not run" in author.test("-k", "alone").stdout
    skips = f"import pytest\n{SUITE}\n    def test_a_task_alone_is_admitted(self):\n        pytest.skip('not now')\n"
    author.write("tests/test_rule.py", skips)
    assert "these were not run, or skipped: test_a_task_alone_is_admitted" in author.test().stdout
    assert author.text == before


def test_a_plugin_that_is_not_typed_or_not_imported_has_none(author: Author) -> None:
    author.test()
    (author.folder / "src/tiered_x/py.typed").unlink()
    assert "one: none, its package is not typed" in author.test().stdout
    assert author.text.count("tier]") == 0
    author.write("src/tiered_x/__init__.py", "import gone_x")
    assert "one: none, cannot be imported from tiered 1.0" in author.test().stdout


def test_of_two_plugins_with_one_hook_a_suite_says_whose_it_is(author: Author) -> None:
    author.write("pyproject.toml", PROJECT.replace('"tiered_x:Rule"\n', '"tiered_x:Rule"\ntwo = "tiered_x:Rule"\n'))
    assert "one: penstock_task_eligible has no test by TaskRuleContract" in author.test().stdout
    author.write("tests/test_rule.py", f"{SUITE}\n    plugin = 'two'\n")
    author.test()
    assert author.tiers == {"one": "loads", "two": "lawful"}


def test_nothing_is_written_unless_it_is_asked_for(author: Author) -> None:
    assert author.test(earning=False).returncode == 0
    assert author.text == PROJECT


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("[project\n", "is no TOML"),
        ("[project]\nname = 'x'\n", 'has no [project.entry-points."penstock.plugins"], so no plugin to judge'),
    ],
)
def test_a_file_that_is_none_is_told(author: Author, text: str, words: str) -> None:
    author.write("pyproject.toml", text)
    done = author.test("-c", os.devnull)
    assert done.returncode == 4
    assert words in done.stderr
    assert author.text == text
