"""A plugin's table becomes its `Config`; a plugin that cannot be used is disabled or stops the run, and is named."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any

import attrs
import pytest

from penstock import ConfigError, PluginError, hookimpl

if TYPE_CHECKING:
    from core.tests.conftest import MakeDistribution
    from core.tests.plugins.conftest import Managed, Problems, Tabled


SINK = "@hookimpl\ndef penstock_scheduler_event(event): ...\n"


class Policy:
    @hookimpl
    def penstock_task_eligible(self, task: Any) -> None: ...


def test_a_table_becomes_the_plugins_config(alone: Managed, tabled: Tabled) -> None:
    configured = tabled("configured")
    manager = alone({"plugins": {"configured": {"size": 4}}}, configured)
    assert manager.settings_for("configured").section.size == 4
    assert manager.plugin("configured").config.size == 4
    assert alone(None, configured).settings_for("configured").section.size == 1


def test_problems_of_all_tables_are_reported_together(problems_alone: Problems, tabled: Tabled) -> None:
    class Plain(Policy):
        plugin_name = "plain"

    tables = {"configured": {"size": 0, "sise": 1}, "plain": {"a": 1, "b": 2}, "gone": {}}
    assert problems_alone({"plugins": tables}, tabled("configured"), Plain()) == [
        "plugins.gone: no plugin 'gone' is installed or loaded; available are "
        "allow, configured, disabled, load, plain, ready_queue, request_limiters, request_waiters, required, sinks, "
        "task_policies, task_runners, and 2 more",
        "plugins.configured.sise: unknown key; did you mean 'size'?",
        "plugins.configured.size: must be >= 1: 0",
        'plugins.plain: this plugin has no configuration; take out "a", "b"',
    ]


COMMAND = """
import attrs
@attrs.frozen
class Knobs:
    size: int = 1
class Plugin:
    Config = Knobs
    def __init__(self, config): ...
    @hookimpl
    def penstock_cli(self, cli): ...
"""


def test_the_table_of_a_plugin_that_has_commands_alone_is_checked_and_kept(
    distribution: MakeDistribution, managed: Managed, problems: Problems
) -> None:
    distribution("d", {"a_x.py": COMMAND}, plugins={"runner": "a_x:Plugin"})
    manager = managed({"plugins": {"runner": {"size": 3}}})
    assert manager.active == ()
    assert manager.settings_for("runner").section.size == 3
    assert problems({"plugins": {"runner": {"size": "3"}}}) == ['plugins.runner.size: must be a whole number, not "3"']


def test_the_table_of_a_plugin_that_nobody_asks_is_told_with_what_to_write(
    distribution: MakeDistribution, managed: Managed, problems: Problems
) -> None:
    started = "@hookimpl\ndef penstock_run_started(run): ...\n"
    runner = "@hookimpl\ndef penstock_task_runner(): ...\n"
    modules = {"a_x.py": SINK, "b_x.py": started, "c_x.py": runner}
    distribution("d", modules, plugins={"jsonl": "a_x", "note": "b_x", "threads": "c_x"})
    assert problems({"plugins": {"jsonl": {}, "note": {}, "threads": {}}}) == [
        'plugins.jsonl: this plugin is in no list, so nobody asks it; write sinks = [..., "jsonl"] under [plugins], '
        "or take the table out",
        'plugins.note: nobody asks this plugin; write required = [..., "note"] under [plugins], or take the table out',
        'plugins.threads: this plugin is in no list, so nobody asks it; write task_runners = [..., "threads"] under '
        "[plugins], or take the table out",
    ]
    assert managed({"plugins": {"sinks": ["jsonl"], "jsonl": {}}}).active == ("jsonl",)


@pytest.mark.parametrize(
    ("config", "reported"),
    [
        (int, "Config must be an attrs class, not <class 'int'>"),
        (attrs.make_class("Raw", {"a": attrs.field(type=bytes)}), "Config cannot be read from TOML: a configuration"),
    ],
)
def test_a_config_that_toml_cannot_fill_is_the_plugins_fault(config: type, reported: str, alone: Managed) -> None:
    plugin = type("Odd", (Policy,), {"Config": config})
    with pytest.raises(PluginError) as caught:
        alone({"plugins": {"Odd": {"a": 1}}}, plugin)
    assert caught.value.plugin == "Odd"
    assert caught.value.message.startswith(reported)


def test_a_default_that_raises_is_the_plugins_fault(alone: Managed) -> None:
    @attrs.frozen
    class Broken:
        size: float = attrs.field(factory=lambda: 1 / 0)

    class Plugin(Policy):
        plugin_name, Config = "broken", Broken

        def __init__(self, config: Broken) -> None: ...

    with pytest.raises(PluginError, match="Config cannot be made: ZeroDivisionError") as caught:
        alone(None, Plugin)
    assert caught.value.plugin == "broken"


@pytest.mark.parametrize(
    ("config", "said"), [(None, "since it has no Config"), (attrs.make_class("C", []), "its Config")]
)
def test_a_class_that_cannot_be_made_so_says_what_it_must_take(config: object, said: str, alone: Managed) -> None:
    class Plugin(Policy):
        plugin_name, Config = "unmade", config

        def __init__(self, one: object, other: object) -> None: ...

    with pytest.raises(PluginError, match=said):
        alone(None, Plugin)


def test_a_config_error_from_making_a_plugin_is_reported_with_the_rest(problems_alone: Problems) -> None:
    class Refusing(Policy):
        plugin_name = "refusing"

        def __init__(self) -> None:
            raise ConfigError("plugins.refusing.path: cannot be written to")

    assert problems_alone(None, Refusing) == ["plugins.refusing.path: cannot be written to"]


def test_a_sink_spec_that_is_none_is_refused(alone: Managed) -> None:
    class Odd:
        sink = "buffered"

        @hookimpl
        def penstock_scheduler_event(self, event: Any) -> None: ...

    with pytest.raises(PluginError) as caught:
        alone(None, Odd())
    assert (caught.value.plugin, caught.value.message) == ("Odd", "sink must be a SinkSpec, not str")


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
    distribution: MakeDistribution, caplog: pytest.LogCaptureFixture, source: str, reported: str, managed: Managed
) -> None:
    distribution("d", {"a_x.py": source}, plugins={"aimd": "a_x:P"})
    with caplog.at_level(logging.WARNING, "penstock.plugins"):
        manager = managed()
    assert manager.active == ()
    assert manager.problems["aimd"].startswith(reported)
    assert [record.getMessage() for record in caplog.records] == [
        f"plugin 'aimd' is disabled: {manager.problems['aimd']}"
    ]


def test_a_named_sink_that_cannot_be_imported_is_disabled(distribution: MakeDistribution, managed: Managed) -> None:
    distribution("d", {"a_x.py": "1 / 0"}, plugins={"jsonl": "a_x"})
    manager = managed({"plugins": {"sinks": ["jsonl"]}})
    assert manager.freeze().sinks == []
    assert "ZeroDivisionError: division by zero (a_x.py:2)" in manager.problems["jsonl"]


@pytest.mark.parametrize("tables", [{"task_policies": ["x"]}, {"sinks": ["x"], "required": ["x"]}])
def test_what_the_configuration_insists_on_must_be_importable(
    distribution: MakeDistribution, tables: dict[str, Any], managed: Managed
) -> None:
    distribution("d", {"a_x.py": "1 / 0"}, plugins={"x": "a_x"})
    with pytest.raises(PluginError) as caught:
        managed({"plugins": tables})
    assert caught.value.plugin == "x"
    assert isinstance(caught.value.__cause__, ZeroDivisionError)
