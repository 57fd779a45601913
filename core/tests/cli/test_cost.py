"""`penstock plugins show NAME --cost`: a standard load in virtual time, and the plugin's figures."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import pytest
from click.testing import CliRunner

from penstock.cli.main import cli

if TYPE_CHECKING:
    from core.tests.conftest import MakeDistribution, WriteFile

pytestmark = pytest.mark.usefixtures("bare_environment")

RULE = """
    import attrs
    from penstock import Denied, Released

    @attrs.frozen
    class Config:
        most: int = 100

    class Rule:
        Config = Config
        def __init__(self, config):
            self.most = config.most
        @hookimpl
        def penstock_task_eligible(self, task, admission):
            key = task.group.key
            full = admission.running(key) >= self.most
            return Denied("policy_denial", {Released(key)}, scope="group") if full else None
        @hookimpl
        def penstock_request_eligible(self, item):
            return None
"""


def cost(*args: object) -> list[str]:
    result = CliRunner().invoke(cli, [*map(str, args), "--cost"])
    assert result.exit_code == 0, result.output
    lines = result.stdout.splitlines()
    return lines[lines.index("Cost") :]


def figures(line: str) -> list[int]:
    """Questions, refusals and errors."""
    return [int(number.replace(",", "")) for number in re.findall(r"[\d,]+(?= )", line)[:3]]


def test_what_a_plugin_is_asked_in_the_load_is_counted_and_timed(distribution: MakeDistribution) -> None:
    distribution("d", {"r_x.py": RULE}, plugins={"mine": "r_x:Rule"})
    _, load, head, task, call, note = cost("plugins", "show", "mine")
    assert "600 tasks" in load
    assert head.split() == ["HOOK", "QUESTIONS", "REFUSALS", "ERRORS", "MEAN", "SHORTEST"]
    assert task.split()[0] == "penstock_task_eligible"
    questions, refusals, errors = figures(task)
    assert (questions >= 600, refusals, errors) == (True, 0, 0)
    assert call.split()[0] == "penstock_request_eligible"
    assert figures(call)[0] >= 600
    assert task.endswith(" µs")
    assert "with the measuring in them" in note


def test_it_goes_by_the_plugins_table_and_takes_a_file_too(write: WriteFile) -> None:
    file = write("mine.py", RULE)
    config = write("run.toml", '[plugins]\nload = ["mine.py"]\n[plugins.mine]\nmost = 2\n')
    asked, refused, failed = figures(cost("plugins", "show", "mine", "--config", config)[3])
    assert (asked > 600, refused > 0, failed) == (True, True, 0)
    assert figures(cost("--plugin", file, "plugins", "show", "mine")[3])[1] == 0, "by its defaults"


def test_errors_are_counted(write: WriteFile) -> None:
    file = write("bad.py", "@hookimpl\ndef penstock_classify_outcome(response): 1 / 0\n")
    assert figures(cost("--plugin", file, "plugins", "show", "bad")[3]) == [600, 0, 600]


def test_who_is_asked_for_no_decision_has_nothing_to_measure(write: WriteFile) -> None:
    file = write("sink.py", "@hookimpl\ndef penstock_scheduler_event(event): ...\n")
    assert cost("--plugin", file, "plugins", "show", "sink")[1].startswith("  it is asked for no decision")
