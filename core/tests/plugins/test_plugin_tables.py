"""A plugin's table becomes its `Config`; a plugin that cannot be used is disabled or stops the run, and is named."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import attrs
import pytest

from penstock.config.reading import load_config
from penstock.plugins.discovery import Installed, installed
from penstock.plugins.hookspecs import hookimpl
from penstock.plugins.manager import PluginManager
from penstock.words.errors import ConfigError, PluginError

MakeDistribution = Callable[..., None]
WriteFile = Callable[[str, str], Path]

SINK = "@hookimpl\ndef penstock_scheduler_event(event): ...\n"


def managed(tables: Mapping[str, Any] | None = None, *extra: object, **known: Any) -> PluginManager:
    known.setdefault("installed", installed())
    return PluginManager.from_config(load_config(tables).config, extra=extra, **known)


def alone(tables: Mapping[str, Any] | None = None, *extra: object) -> PluginManager:
    return managed(tables, *extra, installed=Installed())


def problems(tables: Mapping[str, Any] | None, *extra: object, **known: Any) -> list[str]:
    with pytest.raises(ConfigError) as caught:
        managed(tables, *extra, **known)
    return [line.removeprefix("<mapping>: ") for line in caught.value.problems]


@attrs.frozen
class Knobs:
    size: int = attrs.field(default=1, validator=attrs.validators.ge(1))


class Configured:
    """Has a table."""

    plugin_name = "configured"
    Config = Knobs

    def __init__(self, config: Knobs) -> None:
        self.config = config

    @hookimpl
    def penstock_task_eligible(self, task: Any) -> None: ...


class Policy:
    @hookimpl
    def penstock_task_eligible(self, task: Any) -> None: ...


def test_a_table_becomes_the_plugins_config() -> None:
    manager = alone({"plugins": {"configured": {"size": 4}}}, Configured)
    assert manager.settings_for("configured").section == Knobs(4)
    assert manager.plugin("configured").config == Knobs(4)
    assert alone(None, Configured).settings_for("configured").section == Knobs(1)


def test_problems_of_all_tables_are_reported_together() -> None:
    class Plain(Policy):
        plugin_name = "plain"

    tables = {"configured": {"size": 0, "sise": 1}, "plain": {"a": 1, "b": 2}, "gone": {}}
    assert problems({"plugins": tables}, Configured, Plain(), installed=Installed()) == [
        "plugins.gone: no plugin 'gone' is installed or loaded; available are "
        "configured, load, plain, ready_queue, request_limiters, request_waiters, required, sinks, task_policies, "
        "task_runner",
        "plugins.configured.sise: unknown key; did you mean 'size'?",
        "plugins.configured.size: must be >= 1: 0",
        'plugins.plain: this plugin has no configuration; take out "a", "b"',
    ]


def test_the_table_of_a_plugin_that_is_not_active_is_checked_and_kept(distribution: MakeDistribution) -> None:
    source = "import attrs\n@attrs.frozen\nclass Config:\n    size: int = 1\n" + SINK
    distribution("d", {"a_x.py": source}, plugins={"jsonl": "a_x"})
    manager = managed({"plugins": {"jsonl": {"size": 3}}})
    assert manager.active == ()
    assert manager.settings_for("jsonl").section.size == 3
    assert problems({"plugins": {"jsonl": {"size": "3"}}}) == ['plugins.jsonl.size: must be a whole number, not "3"']


@pytest.mark.parametrize(
    ("config", "reported"),
    [
        (int, "Config must be an attrs class, not <class 'int'>"),
        (attrs.make_class("Raw", {"a": attrs.field(type=bytes)}), "Config cannot be read from TOML: a configuration"),
    ],
)
def test_a_config_that_toml_cannot_fill_is_the_plugins_fault(config: type, reported: str) -> None:
    plugin = type("Odd", (Policy,), {"Config": config})
    with pytest.raises(PluginError, match=reported):
        alone({"plugins": {"Odd": {"a": 1}}}, plugin)


def test_a_config_error_from_making_a_plugin_is_reported_with_the_rest() -> None:
    class Refusing(Configured):
        plugin_name = "refusing"

        def __init__(self, config: Knobs) -> None:
            raise ConfigError("plugins.refusing.path: cannot be written to")

    assert problems(None, Refusing, installed=Installed()) == ["plugins.refusing.path: cannot be written to"]


def test_a_sink_spec_that_is_none_is_refused() -> None:
    class Odd:
        sink = "buffered"

        @hookimpl
        def penstock_scheduler_event(self, event: Any) -> None: ...

    with pytest.raises(PluginError, match="sink must be a SinkSpec, not str"):
        alone(None, Odd())


@pytest.mark.parametrize(
    ("source", "reported"),
    [
        ("import not_there_x", "cannot be imported from d 1.0: ModuleNotFoundError: No module named 'not_there_x'"),
        (
            "class P:\n    def __init__(self):\n        1 / 0\n    "
            + "@hookimpl\n    def penstock_cli(self, cli): ...",
            "",
        ),
    ],
)
def test_a_default_that_cannot_be_imported_is_disabled_and_named(
    distribution: MakeDistribution, caplog: pytest.LogCaptureFixture, source: str, reported: str
) -> None:
    distribution("d", {"a_x.py": source}, plugins={"aimd": "a_x:P"})
    with caplog.at_level(logging.WARNING, "penstock.plugins"):
        manager = managed()
    assert manager.active == ()
    assert manager.problems["aimd"].startswith(reported)
    assert [record.getMessage() for record in caplog.records] == [
        f"plugin 'aimd' is disabled: {manager.problems['aimd']}"
    ]


def test_a_named_sink_that_cannot_be_imported_is_disabled(distribution: MakeDistribution) -> None:
    distribution("d", {"a_x.py": "1 / 0"}, plugins={"jsonl": "a_x"})
    manager = managed({"plugins": {"sinks": ["jsonl"]}})
    assert manager.freeze().sinks == []
    assert "ZeroDivisionError: division by zero (a_x.py, line 2)" in manager.problems["jsonl"]


@pytest.mark.parametrize("tables", [{"task_policies": ["x"]}, {"sinks": ["x"], "required": ["x"]}])
def test_what_the_configuration_insists_on_must_be_importable(
    distribution: MakeDistribution, tables: dict[str, Any]
) -> None:
    distribution("d", {"a_x.py": "1 / 0"}, plugins={"x": "a_x"})
    with pytest.raises(PluginError, match=r"cannot be imported from d 1\.0: ZeroDivisionError") as caught:
        managed({"plugins": tables})
    assert caught.value.plugin == "x"
