"""What is installed is read from metadata; nothing is imported, and nothing shadows anything in silence."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from penstock.plugins.discovery import installed
from penstock.plugins.source_hooks import find_source, hooks_in_file, hooks_in_source

if TYPE_CHECKING:
    from core.tests.conftest import MakeDistribution, WriteFile


def test_a_plugin_is_found_without_being_imported(distribution: MakeDistribution) -> None:
    distribution("their-rules", {"rules_x.py": "raise RuntimeError"}, version="2.1", plugins={"rules": "rules_x:Rules"})
    (found,) = installed().plugins.values()
    assert (found.name, str(found), found.entry_point.value) == ("rules", "their-rules 2.1", "rules_x:Rules")
    assert "rules_x" not in sys.modules


def test_two_distributions_with_one_name_clash_and_both_are_named(distribution: MakeDistribution) -> None:
    distribution("one", plugins={"fair": "a:A", "other": "a:B"})
    distribution("two", version="2.0", plugins={"fair": "b:B"})
    found = installed()
    assert list(found.plugins) == ["other"]
    (clash,) = found.clashes
    assert (clash.kind, clash.name, clash.claimed_by) == ("plugin", "fair", ("one 1.0", "two 2.0"))
    assert str(clash) == "the plugin name 'fair' is claimed by one 1.0 and two 2.0; uninstall all but one of them"


def test_a_distribution_that_is_found_twice_counts_once(
    distribution: MakeDistribution, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    distribution("one", version="2.0", plugins={"fair": "a:A"})
    copy = tmp_path / "copy" / "one-1.0.dist-info"
    copy.mkdir(parents=True)
    (copy / "METADATA").write_text("Metadata-Version: 2.1\nName: one\nVersion: 1.0\n", encoding="utf-8")
    (copy / "entry_points.txt").write_text("[penstock.plugins]\nfair = a:A\n", encoding="utf-8")
    monkeypatch.setattr(sys, "path", [*sys.path, str(copy.parent)])
    found = installed()
    assert (str(found.plugins["fair"]), found.clashes) == ("one 2.0", ())


def test_what_comes_and_goes_meanwhile_is_seen_and_nothing_is_read_twice(
    distribution: MakeDistribution, tmp_path: Path
) -> None:
    distribution("one", plugins={"fair": "a:A"})
    site = Path(sys.path[0])
    first = installed()
    assert installed() is first

    other = site / "two-1.0.dist-info"
    other.mkdir()
    (other / "METADATA").write_text("Metadata-Version: 2.1\nName: two\nVersion: 1.0\n", encoding="utf-8")
    (other / "entry_points.txt").write_text("[penstock.plugins]\nother = b:B\n", encoding="utf-8")
    os.utime(site, (1, 1))  # the clock of a file system may stand still meanwhile
    assert list(installed().plugins) == ["fair", "other"]

    other.rename(tmp_path / "away")
    os.utime(site, (2, 2))
    assert list(installed().plugins) == ["fair"]


def test_a_command_belongs_to_the_plugin_with_the_same_object(distribution: MakeDistribution) -> None:
    distribution("d", plugins={"batch": "m:P", "x": "m:X"}, commands={"run": "m:P", "alone": "m:Q"})
    found = installed()
    assert found.plugin_of(found.commands["run"]) == "batch"
    assert found.plugin_of(found.commands["alone"]) == "alone"


def test_hooks_are_read_from_the_source_without_running_it(distribution: MakeDistribution) -> None:
    distribution(
        "d",
        {
            "pkg_x/__init__.py": "from .inner.deep import Renamed as Plugin\nraise RuntimeError",
            "pkg_x/inner/__init__.py": "",
            "pkg_x/inner/deep.py": """
                import penstock
                class Base:
                    @hookimpl
                    def penstock_run_started(self, run): ...
                class Renamed(Base):
                    @penstock.hookimpl
                    def penstock_task_eligible(self, task): ...
                    @hookimpl(specname="penstock_request_eligible")
                    def asked(self, item): ...
                    def penstock_cli(self, cli): ...
            """,
            "module_x.py": """
                @hookimpl
                def penstock_cli(cli): ...
            """,
        },
    )
    assert hooks_in_source("pkg_x", "Plugin") == (
        "penstock_task_eligible",
        "penstock_request_eligible",
        "penstock_run_started",
    )
    assert hooks_in_source("module_x") == ("penstock_cli",)
    assert not {"pkg_x", "module_x"} & set(sys.modules)


@pytest.mark.parametrize(
    ("module", "attribute"),
    [("not_there_x", ""), ("sys", ""), ("broken_x", ""), ("dynamic_x", "Plugin"), ("circle_x", "Plugin")],
)
def test_hooks_that_the_source_does_not_tell_are_not_guessed(
    distribution: MakeDistribution, module: str, attribute: str
) -> None:
    distribution(
        "d",
        {
            "broken_x.py": "def (",
            "dynamic_x.py": "Plugin = type('Plugin', (), {})",
            "circle_x.py": "from circle_x import Plugin",
        },
    )
    assert hooks_in_source(module, attribute) is None


def test_a_module_that_is_not_there_is_reported(distribution: MakeDistribution) -> None:
    distribution("d", {"single_x.py": ""})
    for missing in ("not_there_x", "single_x.below", "not_there_x.below"):
        with pytest.raises(ModuleNotFoundError) as caught:
            find_source(missing)
        assert caught.value.name == missing


def test_hooks_of_a_file_are_those_of_its_functions_and_classes(write: WriteFile) -> None:
    functions = write("f.py", "@hookimpl\ndef penstock_cli(cli): ...\ndef other(): ...\n")
    assert hooks_in_file(functions) == ("penstock_cli",)
    assert hooks_in_file(write("c.py", "class C:\n    @hookimpl\n    def penstock_cli(self, cli): ...\n")) == (
        "penstock_cli",
    )
    assert hooks_in_file(write("broken.py", "def (")) is None
