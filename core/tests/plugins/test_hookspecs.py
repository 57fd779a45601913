"""The contract is documented, and what the documentation shows works."""

from __future__ import annotations

import inspect
import re
import sys
import tomllib
from collections.abc import Callable
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import trio
import trio.testing

import penstock
from penstock import At, ConfigError, FileCheck, PenstockConfig, PluginManager, WallClock, load_config
from penstock.plugins.choice import EXTENSION_POINTS
from penstock.plugins.discovery import Installed
from penstock.plugins.file_checks import whose_file
from penstock.plugins.hookspecs import HOOKS, PenstockSpec

DOCS = Path(__file__).parents[3] / "docs"
GUIDE = (DOCS / "plugin-authors.md").read_text(encoding="utf-8")
SPECIFIED = [name for name in vars(PenstockSpec) if name.startswith("penstock_")]


def code(name: str) -> str:
    """The block of the guide that begins with this file's name."""
    found = re.search(rf"```python\n# {name}\n(.*?)```", GUIDE, re.DOTALL)
    assert found is not None, name
    return found[1]


def tables() -> list[dict[str, Any]]:
    return [tomllib.loads(block) for block in re.findall(r"```toml\n(.*?)```", GUIDE, re.DOTALL)]


@pytest.mark.parametrize("hook", SPECIFIED)
def test_every_hook_has_facts_and_words(hook: str) -> None:
    assert hook in HOOKS
    assert len(inspect.getdoc(getattr(PenstockSpec, hook)) or "") > 40
    assert HOOKS[hook].on_error
    assert HOOKS[hook].list_key is None or HOOKS[hook].list_key in EXTENSION_POINTS
    options = getattr(getattr(PenstockSpec, hook), "penstock_spec")  # noqa: B009
    assert bool(options["firstresult"]) is HOOKS[hook].first_result


def test_there_are_no_facts_of_hooks_that_do_not_exist() -> None:
    assert list(HOOKS) == SPECIFIED


def test_the_hooks_reference_says_what_the_specifications_say(module_at: Callable[[Path], ModuleType]) -> None:
    generator = module_at(DOCS / "make_hooks_reference.py")
    written = (DOCS / "reference" / "hooks.md").read_text(encoding="utf-8")
    assert written == generator.reference(), "run: python docs/make_hooks_reference.py"


def test_the_guides_rule_is_a_rule_in_ten_lines_that_refuses_until_morning(tmp_path: Path) -> None:
    source = code("quiet_hours.py")
    assert len([line for line in source.splitlines() if line]) <= 10
    path = tmp_path / "quiet_hours.py"
    path.write_text(source, encoding="utf-8")
    manager = PluginManager.from_config(PenstockConfig(), extra=[path], installed=Installed())
    manager.bind(clock=WallClock(epoch=datetime(2026, 1, 1, 7, tzinfo=UTC)))
    rule = manager.freeze().task_eligible
    assert rule is not None
    nothing: Any = None
    denied = rule(nothing, nothing, nothing, 10.0)
    assert denied is not None
    assert (denied.by, denied.detail, denied.until) == ("quiet_hours", "quiet hours", frozenset({At(3600.0)}))
    assert rule(nothing, nothing, nothing, 3600.0) is None


def test_the_guides_class_takes_its_table(tmp_path: Path) -> None:
    path = tmp_path / "business_hours.py"
    path.write_text(code("business_hours.py"), encoding="utf-8")
    table = next(table for table in tables() if "business_hours" in table.get("plugins", {}))
    config = load_config({"plugins": {"business_hours": table["plugins"]["business_hours"]}}).config
    manager = PluginManager.from_config(config, extra=[path], installed=Installed())
    assert (manager.plugin("business_hours").config.opens, manager.active) == (9, ("business_hours",))


def test_the_guides_lists_are_lists_that_exist() -> None:
    lists = next(table["plugins"] for table in tables() if "task_runners" in table.get("plugins", {}))
    assert set(lists) == {*EXTENSION_POINTS, "load", "required"}
    assert load_config({"plugins": lists}).config.plugins.task_policies == ["strict-fair", "quiet_hours"]


async def test_the_guides_tests_pass(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    autojump_clock: trio.testing.MockClock,
    module_at: Callable[[Path], ModuleType],
) -> None:
    (tmp_path / "quiet_hours.py").write_text(code("quiet_hours.py"), encoding="utf-8")
    (tmp_path / "test_quiet_hours.py").write_text(code("test_quiet_hours.py"), encoding="utf-8")
    monkeypatch.syspath_prepend(str(tmp_path))
    tests = module_at(tmp_path / "test_quiet_hours.py")
    monkeypatch.delitem(sys.modules, "quiet_hours")
    tests.test_nothing_starts_before_eight()
    await tests.test_a_run_begins_at_eight(autojump_clock)


async def test_a_rule_that_holds_a_run_back_is_named_when_everything_waits(
    tmp_path: Path, autojump_clock: trio.testing.MockClock
) -> None:
    path = tmp_path / "quiet_hours.py"
    path.write_text(code("quiet_hours.py"), encoding="utf-8")
    async with penstock.open_scheduler(plugins=[path]) as scheduler:
        handle = scheduler.start_soon(trio.sleep, 0)
        await trio.sleep(3600)
        assert "policy_denial by quiet_hours: quiet hours" in scheduler.explain()
        await handle


def test_the_guides_check_knows_its_own_files(tmp_path: Path) -> None:
    plugin, file = tmp_path / "rota.py", tmp_path / "a.toml"
    plugin.write_text(code("rota.py"), encoding="utf-8")
    asked = partial(whose_file, file, plugin_files=(plugin,), installed=Installed())
    assert asked({"rota": {"people": ["Ann"]}}).check() == FileCheck([f"{file}: a rota of 1"])
    assert isinstance(asked({"rota": {}}).says, ConfigError)
    assert asked({"pipeline": {}}).check() is None
