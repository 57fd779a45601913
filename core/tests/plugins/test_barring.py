"""Who must not be used: `[plugins] allow` and `disabled`, and `Without`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from penstock import ConfigError, Without, hookimpl

if TYPE_CHECKING:
    from core.tests.conftest import MakeDistribution, WriteFile
    from core.tests.plugins.conftest import Managed, Problems

RULE = "@hookimpl\ndef penstock_task_eligible(task): ...\n"
RUNNER = "@hookimpl\ndef penstock_task_runner(settings): ...\n"
EXPLODES = "raise RuntimeError('this must not be run')\n" + RULE


class Policy:
    @hookimpl
    def penstock_task_eligible(self, task: Any) -> None: ...


@pytest.fixture
def three(distribution: MakeDistribution) -> None:
    """`strict-fair`, which is a default, a rule `mine`, and `wild`, whose import fails."""
    modules = {"s_x.py": RULE, "m_x.py": RULE, "w_x.py": EXPLODES}
    distribution("d", modules, plugins={"strict-fair": "s_x", "mine": "m_x", "wild": "w_x"})


pytestmark = pytest.mark.usefixtures("three")


def test_what_is_disabled_takes_no_part_whatever_the_lists_name(managed: Managed) -> None:
    assert managed({"plugins": {"disabled": ["strict-fair"]}}).active == ()
    manager = managed({"plugins": {"task_policies": ["wild", "mine"], "disabled": ["wild"]}})
    assert manager.active == ("mine",)
    assert dict(manager.chosen.barred) == {"wild": "named in plugins.disabled"}


def test_the_table_of_what_is_disabled_is_not_looked_at(managed: Managed) -> None:
    assert managed({"plugins": {"disabled": ["wild"], "wild": {"anything": 1}}}).active == ("strict-fair",)


def test_what_is_left_out_of_one_run_is_so_after_a_reconfiguration_too(managed: Managed) -> None:
    manager = managed({"plugins": {"task_policies": ["mine", "strict-fair"]}}, Without("mine"))
    assert manager.active == ("strict-fair",)
    manager.freeze()
    manager.reconfigure(manager.config)
    assert manager.active == ("strict-fair",)
    assert dict(manager.chosen.barred) == {"mine": "left out of this run (--no-plugin)"}


def test_of_what_is_not_allowed_nothing_is_run(managed: Managed, problems: Problems, write: WriteFile) -> None:
    assert managed({"plugins": {"allow": ["mine"]}}).active == ()
    file = write("rules.py", EXPLODES)
    lists = {"allow": ["mine"], "task_policies": ["wild", "mine"], "required": ["wild"], "load": [str(file)]}
    two = "take it out of one of the two"
    assert problems({"plugins": {**lists, "wild": {"x": 1}}}) == [
        f"plugins.task_policies: 'wild' must not be used, being not named in plugins.allow; {two}",
        f"plugins.load: 'rules' must not be used, being not named in plugins.allow; {two}",
        f"plugins.required: 'wild' must not be used, being not named in plugins.allow; {two}",
        f"plugins.wild: 'wild' must not be used, being not named in plugins.allow; {two}",
    ]


def test_a_file_that_is_disabled_is_not_run(managed: Managed, write: WriteFile) -> None:
    file = write("rules.py", EXPLODES)
    given = {"plugins": {"load": [str(file)], "disabled": ["rules"], "task_policies": ["rules", "mine"]}}
    assert managed(given).active == ("mine",)
    assert managed({"plugins": {"task_policies": ["mine"]}}, file, Without("rules")).active == ("mine",)


def test_what_a_program_gives_as_an_object_is_its_own(managed: Managed, problems: Problems) -> None:
    assert managed({"plugins": {"allow": ["mine"]}}, Policy()).active == ("Policy",)
    assert problems({"plugins": {"disabled": ["Policy"]}}, Policy()) == [
        "plugins.disabled: 'Policy' is given by the program, and cannot be disabled"
    ]
    assert problems(None, Policy(), Without("Policy")) == ["'Policy' is given by the program, and cannot be left out"]


@pytest.mark.parametrize("key", ["allow", "disabled"])
def test_a_name_that_is_none_is_told_with_the_nearest(key: str, problems: Problems) -> None:
    assert problems({"plugins": {key: ["strict_fare"], "task_policies": []}}) == [
        f"plugins.{key}: no plugin 'strict_fare' is installed or loaded; did you mean 'strict-fair'?"
    ]
    done = {"allow": "allowed", "disabled": "disabled"}[key]
    assert problems({"plugins": {key: ["fifo"], "task_policies": []}}) == [
        f"plugins.{key}: 'fifo' is the core's own, and is no plugin that could be {done}"
    ]


def test_a_name_that_is_none_cannot_be_left_out(problems: Problems) -> None:
    assert problems(None, Without("mime")) == ["no plugin 'mime' is installed or loaded; did you mean 'mine'?"]
    with pytest.raises(ConfigError, match="the name of a plugin to be left out must be a non-empty string"):
        Without("")


def test_what_is_required_cannot_be_disabled(problems: Problems) -> None:
    assert problems({"plugins": {"required": ["mine"], "disabled": ["mine"]}}) == [
        "plugins.required: 'mine' must not be used, being named in plugins.disabled; take it out of one of the two"
    ]


def test_a_group_whose_runner_is_disabled_is_told_why_there_is_none(
    distribution: MakeDistribution, problems: Problems
) -> None:
    distribution("r", {"r_x.py": RUNNER}, plugins={"fast": "r_x"})
    tables = {
        "plugins": {"task_runners": ["fast"], "disabled": ["fast"]},
        "scheduler": {"runners": {"local/a": "fast"}},
    }
    assert problems(tables) == [
        "scheduler.runners.\"local/a\": no runner 'fast' is active; it is named in plugins.disabled"
    ]
