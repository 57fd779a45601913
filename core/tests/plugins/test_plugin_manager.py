"""Which plugins a run has, why, in which order, and what is told of those that cannot be used."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from pathlib import Path
from types import MappingProxyType, ModuleType
from typing import Any

import attrs
import pytest

from penstock.config import PenstockConfig, load_config
from penstock.discovery import Installed, installed
from penstock.errors import ConfigError, PluginError
from penstock.hookspecs import hookimpl
from penstock.plugins import PluginManager
from penstock.settings import WallClock
from penstock.sink_spec import SinkSpec

MakeDistribution = Callable[..., None]
WriteFile = Callable[[str, str], Path]

RULE = "@hookimpl\ndef penstock_task_eligible(task): ...\n"
LIMITER = "@hookimpl\ndef penstock_request_limiter(scope, cap): ...\n"
QUEUE = "@hookimpl\ndef penstock_ready_queue(settings): ...\n"
WAITERS = "@hookimpl\ndef penstock_request_waiters(settings): ...\n"
SINK = "@hookimpl\ndef penstock_scheduler_event(event): ...\n"
NOTE = "@hookimpl\ndef penstock_run_started(run): ...\n"


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


class OtherPolicy:
    @hookimpl
    def penstock_task_eligible(self, task: Any) -> None: ...


class Queue:
    @hookimpl
    def penstock_ready_queue(self, settings: Any) -> None: ...


class OtherQueue:
    @hookimpl
    def penstock_ready_queue(self, settings: Any) -> None: ...


class Note:
    @hookimpl
    def penstock_run_started(self, run: Any) -> None: ...


# ------------------------------------------------------------------------------------------------- what is active, and why


def test_the_default_stack_is_active_whatever_else_is_installed(distribution: MakeDistribution) -> None:
    distribution("d1", {"a_x.py": QUEUE + WAITERS}, plugins={"fair": "a_x"})
    distribution("d2", {"b_x.py": RULE}, plugins={"strict-fair": "b_x"})
    distribution("d3", {"c_x.py": LIMITER, "d_x.py": LIMITER}, plugins={"aimd": "c_x", "cooldown": "d_x"})
    distribution("d4", {"e_x.py": "raise RuntimeError('imported')"}, plugins={"other": "e_x"})
    manager = managed()
    assert manager.active == ("fair", "strict-fair", "cooldown", "aimd")
    assert manager.chosen.asked == {
        "ready_queue": ("fair",),
        "task_policies": ("strict-fair",),
        "task_runner": (),
        "request_waiters": ("fair",),
        "request_limiters": ("cooldown", "aimd"),
        "sinks": (),
    }
    assert manager.chosen.why("fair") == "default for ready_queue; default for request_waiters"
    assert manager.problems == {}


def test_a_default_that_is_not_installed_is_left_out(distribution: MakeDistribution) -> None:
    distribution("d", {"c_x.py": LIMITER}, plugins={"aimd": "c_x"})
    manager = managed()
    assert manager.active == ("aimd",)
    assert manager.chosen.missing["cooldown"] == "default for request_limiters, not installed"


def test_the_order_of_a_list_is_the_order(distribution: MakeDistribution) -> None:
    source = RULE + SINK
    distribution("d", {f"{n}_x.py": source for n in "abc"}, plugins={n: f"{n}_x" for n in "abc"})
    manager = managed({"plugins": {"task_policies": ["c", "a"], "sinks": ["a", "b", "c"]}})
    assert manager.chosen.asked["task_policies"] == ("c", "a")
    assert [sink.name for sink in manager.freeze().sinks] == ["a", "b", "c"]
    assert manager.chosen.places("c") == {"task_policies": 1, "sinks": 3}


def test_a_plugin_is_asked_only_for_what_its_lists_say(distribution: MakeDistribution) -> None:
    distribution("d", {"a_x.py": RULE + SINK + NOTE}, plugins={"both": "a_x"})
    hooks = managed({"plugins": {"sinks": ["both"]}}).freeze()
    assert hooks.task_eligible is None
    assert [sink.name for sink in hooks.sinks] == ["both"]


def test_empty_lists_and_the_cores_own_names_switch_the_defaults_off(distribution: MakeDistribution) -> None:
    distribution("d", {"a_x.py": QUEUE + WAITERS + LIMITER}, plugins={"fair": "a_x", "aimd": "a_x"})
    manager = managed(
        {
            "plugins": {
                "ready_queue": "fifo",
                "request_waiters": "fifo",
                "task_runner": "nursery",
                "request_limiters": [],
            }
        }
    )
    assert manager.active == ()


def test_what_is_required_is_active_without_a_list(distribution: MakeDistribution) -> None:
    distribution("d", {"a_x.py": NOTE}, plugins={"note": "a_x"})
    assert managed({"plugins": {"required": ["note"]}}).active == ("note",)
    assert managed().active == ()


@pytest.mark.parametrize(
    ("tables", "told"),
    [
        ({"sinks": ["jsnl"]}, "plugins.sinks: no plugin 'jsnl' is installed or loaded; did you mean 'jsonl'?"),
        ({"ready_queue": "fif"}, "plugins.ready_queue: no plugin 'fif' is installed or loaded; did you mean 'fifo'?"),
        ({"required": ["zz"]}, "plugins.required: no plugin 'zz' is installed or loaded; available are jsonl"),
        ({"zz": {"a": 1}}, "plugins.zz: no plugin 'zz' is installed or loaded; available are"),
        ({"snks": {"a": 1}}, "plugins.snks: no plugin 'snks' is installed or loaded; did you mean 'sinks'?"),
    ],
)
def test_a_plugin_that_is_not_there_is_told_with_what_there_is(
    distribution: MakeDistribution, tables: dict[str, Any], told: str
) -> None:
    distribution("d", {"a_x.py": SINK}, plugins={"jsonl": "a_x"})
    (line,) = problems({"plugins": tables})
    assert line.startswith(told)


def test_a_list_that_names_a_plugin_without_its_hooks_is_told() -> None:
    (line,) = problems({"plugins": {"sinks": ["Policy"]}}, Policy())
    assert line == (
        "plugins.sinks: 'Policy' has none of the hooks that this list is for (penstock_scheduler_event, "
        "penstock_request_event); it has penstock_task_eligible"
    )


def test_two_distributions_with_one_name_stop_everything(distribution: MakeDistribution) -> None:
    distribution("one", plugins={"x": "a:A"})
    distribution("two", plugins={"x": "b:B"})
    assert problems({}) == ["the plugin name 'x' is claimed by one 1.0 and two 1.0; uninstall all but one of them"]


# -------------------------------------------------------------------------------------------------- objects and files


def test_a_given_plugin_is_asked_for_all_its_hooks_after_the_lists(distribution: MakeDistribution) -> None:
    distribution("d", {"b_x.py": RULE}, plugins={"strict-fair": "b_x"})
    manager = managed(None, Policy(), OtherPolicy())
    assert manager.chosen.asked["task_policies"] == ("strict-fair", "Policy", "OtherPolicy")


def test_a_list_puts_a_given_plugin_in_its_place() -> None:
    manager = alone({"plugins": {"task_policies": ["OtherPolicy", "Policy"]}}, Policy(), OtherPolicy())
    assert manager.chosen.asked["task_policies"] == ("OtherPolicy", "Policy")
    assert manager.chosen.why("Policy") == "named in task_policies"


def test_a_given_queue_takes_the_place_of_the_default_one(distribution: MakeDistribution) -> None:
    distribution("d", {"a_x.py": QUEUE}, plugins={"fair": "a_x"})
    assert managed({"plugins": {"request_waiters": "fifo"}}, Queue()).active == ("Queue",)


@pytest.mark.parametrize(
    ("tables", "extra", "both"),
    [
        ({}, [Queue(), OtherQueue()], "'Queue' and 'OtherQueue'"),
        ({"plugins": {"ready_queue": "Queue"}}, [Queue(), OtherQueue()], "'Queue' and 'OtherQueue'"),
        ({"plugins": {"ready_queue": "fifo"}}, [Queue()], "'fifo' and 'Queue'"),
    ],
)
def test_two_ready_queues_are_told_both(tables: dict[str, Any], extra: list[object], both: str) -> None:
    (line,) = problems(tables, *extra, installed=Installed())
    assert line == (
        f"plugins.ready_queue: {both} would both be the ready_queue, and only one plugin can be; "
        "name it here, take the other out"
    )


def test_policies_that_exclude_each_other_are_told_both() -> None:
    class One(Policy):
        exclusive = "order of tasks"

    class Two(Policy):
        exclusive = "order of tasks"

    class Three(Policy):
        exclusive = "something else"

    assert alone(None, One(), Three()).active == ("One", "Three")
    (line,) = problems({}, One(), Two(), Three(), installed=Installed())
    assert line == "plugins: 'One' and 'Two' exclude each other, both being 'order of tasks'; take one of them out"


def test_a_module_is_a_plugin() -> None:
    module = ModuleType("their.rules")

    @hookimpl
    def penstock_run_started(run: Any) -> None: ...

    module.penstock_run_started = penstock_run_started  # type: ignore[attr-defined]
    assert alone(None, module).active == ("rules",)


def test_a_file_of_functions_is_a_plugin_named_after_the_file(write: WriteFile) -> None:
    path = write("rules/quiet.py", RULE)
    config = write("run.toml", '[plugins]\nload = ["rules/quiet.py"]\n')
    manager = PluginManager.from_config(load_config(config).config, installed=Installed())
    assert manager.active == ("quiet",)
    assert manager.plugin("quiet").loaded.origin == str(path)
    assert alone(None, path).active == ("quiet",)


def test_a_file_with_one_class_is_that_class_with_its_table(write: WriteFile) -> None:
    path = write(
        "quiet.py",
        """
        import attrs

        @attrs.frozen
        class Config:
            hour: int = 8

        class Quiet:
            Config = Config
            def __init__(self, config: Config) -> None:
                self.config = config
            @hookimpl
            def penstock_task_eligible(self, task): ...
        """,
    )
    manager = alone({"plugins": {"quiet": {"hour": 9}}}, path)
    assert manager.settings_for("quiet").section.hour == 9
    assert manager.plugin("quiet").config.hour == 9


@pytest.mark.parametrize(
    ("source", "told"),
    [
        ("def (", r"cannot be loaded from .*: SyntaxError: .* \(.*bad.py, line 2\)"),
        ("\n1 / 0\n", r"cannot be loaded from .*: ZeroDivisionError: division by zero \(bad.py, line 3\)"),
        ("import not_there_x\n", r"ModuleNotFoundError: No module named 'not_there_x'"),
        ("x = 1\n", "it has no hook; mark a function with @hookimpl"),
        (
            "class A:\n    @hookimpl\n    def penstock_cli(self, cli): ...\nclass B(A): ...\n",
            "several classes with hooks, A and B; one file makes one plugin",
        ),
        (
            "class A:\n    @hookimpl\n    def penstock_cli(self, cli): ...\n" + RULE,
            "has hook functions and the class A with hooks; keep one of the two",
        ),
    ],
)
def test_a_file_that_makes_no_plugin_is_told(write: WriteFile, source: str, told: str) -> None:
    path = write("bad.py", "")
    path.write_text(path.read_text() + source)
    with pytest.raises(PluginError, match=told) as caught:
        alone(None, path)
    assert caught.value.plugin == "bad"


def test_a_file_that_cannot_be_loaded_is_told_once_whatever_names_it(write: WriteFile) -> None:
    tables = {"plugins": {"task_policies": ["bad"], "bad": {"a": 1}, "required": ["bad"]}}
    with pytest.raises(PluginError, match="^plugin 'bad': cannot be loaded"):
        alone(tables, write("bad.py", "1 / 0"))


def test_a_file_that_is_not_there_is_told(tmp_path: Path) -> None:
    config = PenstockConfig(plugins=load_config({"plugins": {"load": ["none.py"]}}).config.plugins, folder=tmp_path)
    with pytest.raises(ConfigError, match=r"plugins.load: .*none.py: there is no such file to load as a plugin"):
        PluginManager.from_config(config, installed=Installed())


def test_two_plugins_of_one_name_are_told(distribution: MakeDistribution, write: WriteFile) -> None:
    distribution("d", {"a_x.py": RULE}, plugins={"mine": "a_x"})
    (line,) = problems(None, write("mine.py", RULE))
    assert line.startswith("<defaults>: two plugins are called 'mine': d 1.0, and ")
    assert line.endswith("mine.py; rename the file")
    (line,) = problems(None, Policy(), Policy())
    assert line.endswith(": given as an object, and given as an object; give it another plugin_name")


def test_the_cores_own_names_are_taken(write: WriteFile) -> None:
    (line,) = problems({}, write("fifo.py", RULE), installed=Installed())
    assert line == "a plugin cannot be called 'fifo': that is the core's own; rename the plugin"


# ------------------------------------------------------------------------------------------------------- configuration


def test_a_table_becomes_the_plugins_config() -> None:
    manager = alone({"plugins": {"configured": {"size": 4}}}, Configured)
    assert manager.settings_for("configured").section == Knobs(4)
    assert manager.plugin("configured").config == Knobs(4)
    assert alone(None, Configured).settings_for("configured").section == Knobs(1)


def test_problems_of_all_tables_are_told_together() -> None:
    class Plain(Policy):
        plugin_name = "plain"

    tables = {"configured": {"size": 0, "sise": 1}, "plain": {"a": 1, "b": 2}, "gone": {}}
    assert problems({"plugins": tables}, Configured, Plain(), installed=Installed()) == [
        "plugins.gone: no plugin 'gone' is installed or loaded; available are "
        "configured, load, plain, ready_queue, request_limiters, request_waiters, required, sinks, task_policies, task_runner",
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
    ("config", "told"),
    [
        (int, "Config must be an attrs class, not <class 'int'>"),
        (attrs.make_class("Raw", {"a": attrs.field(type=bytes)}), "Config cannot be read from TOML: a configuration"),
    ],
)
def test_a_config_that_toml_cannot_fill_is_the_plugins_fault(config: type, told: str) -> None:
    plugin = type("Odd", (Policy,), {"Config": config})
    with pytest.raises(PluginError, match=told):
        alone({"plugins": {"Odd": {"a": 1}}}, plugin)


def test_a_config_error_from_making_a_plugin_is_told_with_the_rest() -> None:
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


# -------------------------------------------------------------------------------------------------------- put aside


@pytest.mark.parametrize(
    ("source", "told"),
    [
        ("import not_there_x", "cannot be imported from d 1.0: ModuleNotFoundError: No module named 'not_there_x'"),
        (
            "class P:\n    def __init__(self):\n        1 / 0\n    "
            + "@hookimpl\n    def penstock_cli(self, cli): ...",
            "",
        ),
    ],
)
def test_a_default_that_cannot_be_imported_is_put_aside_and_named(
    distribution: MakeDistribution, caplog: pytest.LogCaptureFixture, source: str, told: str
) -> None:
    distribution("d", {"a_x.py": source}, plugins={"aimd": "a_x:P"})
    with caplog.at_level(logging.WARNING, "penstock.plugins"):
        manager = managed()
    assert manager.active == ()
    assert manager.problems["aimd"].startswith(told)
    assert [record.getMessage() for record in caplog.records] == [
        f"plugin 'aimd' is put aside: {manager.problems['aimd']}"
    ]


def test_a_named_sink_that_cannot_be_imported_is_put_aside(distribution: MakeDistribution) -> None:
    distribution("d", {"a_x.py": "1 / 0"}, plugins={"jsonl": "a_x"})
    manager = managed({"plugins": {"sinks": ["jsonl"]}})
    assert manager.freeze().sinks == []
    assert "ZeroDivisionError: division by zero (a_x.py, line 2)" in manager.problems["jsonl"]


@pytest.mark.parametrize("tables", [{"task_policies": ["x"]}, {"sinks": ["x"], "required": ["x"]}])
def test_what_the_configuration_insists_on_must_be_importable(
    distribution: MakeDistribution, tables: dict[str, Any]
) -> None:
    distribution("d", {"a_x.py": "1 / 0"}, plugins={"x": "a_x"})
    with pytest.raises(PluginError, match="cannot be imported from d 1.0: ZeroDivisionError") as caught:
        managed({"plugins": tables})
    assert caught.value.plugin == "x"


# ------------------------------------------------------------------------------------------------------ freezing


def test_settings_carry_limits_seed_and_clock() -> None:
    manager = alone({"scheduler": {"submission_capacity": 4, "resources": {"gpu": 1}, "seed": 3}}, Policy())
    settings = manager.settings_for("Policy")
    assert (settings.plugin, settings.limits, settings.seed) == ("Policy", {"submission": 4, "gpu": 1}, 3)
    clock = WallClock(started_at=5.0)
    manager.bind(limits=MappingProxyType({"submission": 9}), seed=4, clock=clock)
    settings = manager.settings_for("Policy")
    assert (settings.limits, settings.seed, settings.clock) == ({"submission": 9}, 4, clock)


def test_a_plugin_can_be_registered_until_the_plugins_are_frozen() -> None:
    manager = alone()
    manager.register(Policy())
    assert manager.active == ("Policy",)
    manager.freeze()
    with pytest.raises(ConfigError, match="frozen; they cannot be given more plugins; use reconfigure"):
        manager.register(OtherPolicy())
    with pytest.raises(ConfigError, match="frozen; they cannot be bound to a run"):
        manager.bind(seed=1)
    with pytest.raises(ConfigError, match="frozen; they cannot be frozen again"):
        manager.freeze()
    assert manager.active == ("Policy",)


def test_a_registration_that_is_refused_changes_nothing() -> None:
    manager = alone(None, Policy())
    with pytest.raises(ConfigError):
        manager.register(Policy())
    assert manager.active == ("Policy",)


def test_a_reconfiguration_keeps_what_did_not_change_and_makes_the_rest_anew() -> None:
    class Other(Configured):
        plugin_name = "other"

    manager = alone({"plugins": {"configured": {"size": 2}}}, Configured, Other)
    assert manager.freeze().generation == 1
    before = {name: manager.plugin(name).plugin for name in manager.active}
    tables = {"plugins": {"configured": {"size": 3}, "task_policies": ["other", "configured", "Policy"]}}
    hooks = manager.reconfigure(load_config(tables).config, extra=[Configured, Other, Policy()])
    assert hooks.generation == 2
    assert manager.active == ("other", "configured", "Policy")
    assert manager.plugin("other").plugin is before["other"]
    assert manager.plugin("configured").plugin is not before["configured"]
    assert manager.settings_for("configured").section == Knobs(3)


def test_a_reconfiguration_that_is_refused_changes_nothing() -> None:
    manager = alone(None, Configured)
    manager.freeze()
    with pytest.raises(ConfigError):
        manager.reconfigure(load_config({"plugins": {"configured": {"size": 0}}}).config)
    assert manager.active == ("configured",)
    assert manager.config == PenstockConfig()
    assert manager.reconfigure().generation == 2


def test_a_sink_is_bound_as_it_declares_itself() -> None:
    class Buffered:
        sink = SinkSpec(mode="buffered", on_full="wait", buffer=5)

        def __init__(self) -> None:
            self.seen: list[Any] = []

        @hookimpl
        def penstock_request_event(self, event: Any) -> None:
            self.seen.append(event)

        def flush(self) -> None:
            self.seen.append("flushed")

    class Inline:
        @hookimpl
        def penstock_scheduler_event(self, event: Any) -> None: ...

    buffered = Buffered()
    first, second = alone(None, buffered, Inline()).freeze().sinks
    assert (first.name, first.spec, first.scheduler_event) == (
        "Buffered",
        SinkSpec(mode="buffered", on_full="wait", buffer=5),
        None,
    )
    assert first.request_event is not None
    assert first.flush is not None
    first.request_event("event")  # type: ignore[arg-type]
    first.flush()
    assert buffered.seen == ["event", "flushed"]
    assert (second.spec, second.request_event, second.flush) == (SinkSpec(), None, None)


def test_asking_for_a_plugin_that_is_not_active_says_which_are() -> None:
    with pytest.raises(ConfigError, match="no plugin 'x' is active; active are Policy"):
        alone(None, Policy()).plugin("x")
