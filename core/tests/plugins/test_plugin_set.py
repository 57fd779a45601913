"""Plugins that are given as objects or loaded from files: their names, their places, and which exclude each other."""

from __future__ import annotations

from types import ModuleType
from typing import TYPE_CHECKING, Any

import pytest

from penstock import PluginError, hookimpl

if TYPE_CHECKING:
    from core.tests.conftest import MakeDistribution, WriteFile
    from core.tests.plugins.conftest import Managed, Problems


RULE = "@hookimpl\ndef penstock_task_eligible(task): ...\n"
QUEUE = "@hookimpl\ndef penstock_ready_queue(settings): ...\n"


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


def test_a_given_plugin_is_asked_for_all_its_hooks_after_the_lists(
    distribution: MakeDistribution, managed: Managed
) -> None:
    distribution("d", {"b_x.py": RULE}, plugins={"strict-fair": "b_x"})
    manager = managed(None, Policy(), OtherPolicy())
    assert manager.chosen.asked["task_policies"] == ("strict-fair", "Policy", "OtherPolicy")


def test_a_list_puts_a_given_plugin_in_its_place(alone: Managed) -> None:
    manager = alone({"plugins": {"task_policies": ["OtherPolicy", "Policy"]}}, Policy(), OtherPolicy())
    assert manager.chosen.asked["task_policies"] == ("OtherPolicy", "Policy")
    assert manager.chosen.why("Policy") == "named in task_policies"


def test_a_given_queue_takes_the_place_of_the_default_one(distribution: MakeDistribution, managed: Managed) -> None:
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
def test_two_ready_queues_are_both_named(
    tables: dict[str, Any], extra: list[object], both: str, problems_alone: Problems
) -> None:
    (line,) = problems_alone(tables, *extra)
    assert line == (
        f"plugins.ready_queue: {both} would both be the ready_queue, and only one plugin can be; "
        "name it here, take the other out"
    )


def test_policies_that_exclude_each_other_are_both_named(alone: Managed, problems_alone: Problems) -> None:
    class One(Policy):
        exclusive = "order of tasks"

    class Two(Policy):
        exclusive = "order of tasks"

    class Three(Policy):
        exclusive = "something else"

    assert alone(None, One(), Three()).active == ("One", "Three")
    (line,) = problems_alone({}, One(), Two(), Three())
    assert line == "plugins: 'One' and 'Two' exclude each other, both being 'order of tasks'; take one of them out"


def test_a_module_is_a_plugin(alone: Managed) -> None:
    module = ModuleType("their.rules")

    @hookimpl
    def penstock_run_started(run: Any) -> None: ...

    module.penstock_run_started = penstock_run_started  # type: ignore[attr-defined]
    assert alone(None, module).active == ("rules",)


def test_a_file_of_functions_is_a_plugin_named_after_the_file(write: WriteFile, alone: Managed) -> None:
    path = write("rules/quiet.py", RULE)
    config = write("run.toml", '[plugins]\nload = ["rules/quiet.py"]\n')
    manager = alone(config)
    assert manager.active == ("quiet",)
    assert manager.plugin("quiet").loaded.origin == str(path)
    assert alone(None, path).active == ("quiet",)


def test_a_file_with_one_class_is_that_class_with_its_table(write: WriteFile, alone: Managed) -> None:
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
    ("source", "reported"),
    [
        ("def (", r"cannot be loaded from .*: SyntaxError: .* \(.*bad.py:2\)"),
        ("\n1 / 0\n", r"cannot be loaded from .*: ZeroDivisionError: division by zero \(bad.py:3\)"),
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
def test_a_file_that_makes_no_plugin_is_reported(write: WriteFile, source: str, reported: str, alone: Managed) -> None:
    path = write("bad.py", "")
    path.write_text(path.read_text(encoding="utf-8") + source, encoding="utf-8")
    with pytest.raises(PluginError, match=reported) as caught:
        alone(None, path)
    assert caught.value.plugin == "bad"


def test_a_file_that_cannot_be_loaded_is_reported_once_whatever_names_it(write: WriteFile, alone: Managed) -> None:
    tables = {"plugins": {"task_policies": ["bad"], "bad": {"a": 1}, "required": ["bad"]}}
    with pytest.raises(PluginError) as caught:
        alone(tables, write("bad.py", "1 / 0"))
    assert caught.value.plugin == "bad"


def test_a_file_that_is_not_there_is_reported(write: WriteFile, problems_alone: Problems) -> None:
    config = write("run.toml", '[plugins]\nload = ["none.py"]\n')
    (line,) = problems_alone(config)
    assert line == f"plugins.load: {config.with_name('none.py')}: there is no such file to load as a plugin"


def test_two_plugins_of_one_name_are_reported(
    distribution: MakeDistribution, write: WriteFile, problems: Problems
) -> None:
    distribution("d", {"a_x.py": RULE}, plugins={"mine": "a_x"})
    (line,) = problems(None, write("mine.py", RULE))
    assert line.startswith("two plugins are called 'mine': d 1.0, and ")
    assert line.endswith("mine.py; rename the file")
    (line,) = problems(None, Policy(), Policy())
    assert line.endswith(": given as an object, and given as an object; give it another plugin_name")


def test_the_cores_own_names_are_taken(write: WriteFile, problems_alone: Problems) -> None:
    (line,) = problems_alone({}, write("fifo.py", RULE))
    assert line == "a plugin cannot be called 'fifo': that is the core's own; rename the plugin"
