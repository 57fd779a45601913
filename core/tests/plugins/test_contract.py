"""What a plugin says of the contract it is written for is read before it is imported, and holds."""

from __future__ import annotations

import logging
import sys
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

import attrs
import pytest
from click.testing import CliRunner

from penstock import ConfigError, PluginError, PluginManager, hookimpl, load_config
from penstock.cli.main import cli
from penstock.plugins import hook_checks
from penstock.plugins.contract import CONTRACT, misfit
from penstock.plugins.discovery import installed
from penstock.plugins.hookspecs import HOOKS
from penstock.plugins.listing import list_plugins

if TYPE_CHECKING:
    from core.tests.conftest import MakeDistribution
    from core.tests.plugins.conftest import Managed

RULE = """
    @hookimpl
    def penstock_task_eligible(task): ...
"""


@pytest.mark.parametrize(
    ("written_for", "core", "told"),
    [
        (None, "1.2", None),
        ("1.2", "1.2", None),
        ("1.0", "1.2", None),
        ("1.3", "1.2", "pip install --upgrade penstock-core"),
        ("1.10", "1.9", "pip install --upgrade penstock-core"),
        ("1.9", "1.10", None),
        ("2.0", "1.2", "pip install --upgrade penstock-core"),
        ("1.9", "2.0", "pip install --upgrade their-rules"),
        ("1", "1.2", "must be a version of the contract"),
        ("1.02", "1.2", "must be a version of the contract"),
        ("1.0.0", "1.2", "must be a version of the contract"),
        ("", "1.2", "must be a version of the contract"),
        ("٣.١", "1.2", "must be a version of the contract"),
        ("9" * 5000 + ".0", "1.2", "must be a version of the contract"),
    ],
)
def test_a_plugin_goes_with_its_own_and_later_versions_of_the_contract(
    written_for: str | None, core: str, told: str | None
) -> None:
    said = misfit(written_for, "their-rules", core)
    assert (said is None) if told is None else (said is not None and told in said)


def test_a_plugin_of_a_later_contract_is_refused_before_it_is_imported(distribution: MakeDistribution) -> None:
    distribution("their-rules", {"rules_x.py": "raise SystemExit"}, plugins={"rules": "rules_x"}, contract="9.0")
    words = f"it is written for version 9.0 of the contract, and this core has {CONTRACT}"
    tables = {"plugins": {"task_policies": ["rules"]}}
    with pytest.raises(PluginError) as caught:
        PluginManager.from_config(load_config(tables).config, installed=installed())
    assert caught.value.plugin == "rules"
    assert words in str(caught.value)
    assert "pip install --upgrade penstock-core" in str(caught.value)
    (row,) = (row for row in list_plugins(load_config(tables).config, (), installed()).rows if row.name == "rules")
    assert (row.state, row.contract) == ("disabled", "9.0")
    assert words in row.why
    shown = CliRunner().invoke(cli, ["plugins", "show", "rules"])
    assert (shown.exit_code, words in shown.output) == (2, True)
    for command in (["doctor"], ["doctor", "--import"]):
        seen = CliRunner().invoke(cli, command)
        assert (seen.exit_code, words in " ".join(seen.output.split())) == (1, True)
    assert "rules_x" not in sys.modules


def test_what_a_plugin_is_written_for_is_shown(distribution: MakeDistribution) -> None:
    distribution("says-it", {"rules_x.py": RULE}, plugins={"says": "rules_x"}, contract=CONTRACT)
    distribution("says-nothing", {"rules_y.py": RULE}, plugins={"silent": "rules_y"})
    shown = [CliRunner().invoke(cli, ["plugins", "show", name]) for name in ("says", "silent")]
    assert [each.exit_code for each in shown] == [0, 0]
    assert f"written for version {CONTRACT} of the contract; this core has {CONTRACT}" in shown[0].output
    assert "written for" not in shown[1].output


def test_a_hook_that_is_deprecated_is_told_of_who_uses_it(
    alone: Managed, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Old:
        plugin_name = "old"

        @hookimpl
        def penstock_task_eligible(self, task: Any) -> None: ...

    facts = attrs.evolve(HOOKS["penstock_task_eligible"], deprecated="1.3: use penstock_task_policy")
    monkeypatch.setattr(hook_checks, "HOOKS", MappingProxyType({**HOOKS, "penstock_task_eligible": facts}))
    with caplog.at_level(logging.WARNING, "penstock.plugins"):
        alone({"plugins": {"task_policies": ["old"]}}, Old())
    told = "penstock_task_eligible is deprecated since 1.3: use penstock_task_policy"
    assert [record.getMessage() for record in caplog.records] == [f"plugin 'old' (given as an object): {told}"]


def test_every_hook_says_since_which_version_it_is_there() -> None:
    for hook, facts in HOOKS.items():
        assert misfit(facts.since, "", CONTRACT) is None, hook
        assert facts.deprecated is None or misfit(facts.deprecated.partition(":")[0], "", CONTRACT) is None, hook


def test_a_table_of_an_unused_plugin_that_does_not_go_with_the_core_ends_nothing(
    distribution: MakeDistribution,
) -> None:
    distribution("their-rules", {"rules_x.py": RULE}, plugins={"rules": "rules_x"}, contract="9.0")
    tables: dict[str, Any] = {"plugins": {"rules": {}}}
    try:
        manager = PluginManager.from_config(load_config(tables).config, installed=installed())
    except ConfigError as error:  # pragma: no cover - it would be told as the configuration's fault
        pytest.fail(str(error))
    assert "version 9.0" in manager.problems["rules"]
