"""Options of commands about plugins.

`--no-plugin NAME` leaves one out, whatever the pipeline names; by `--trace-decisions FILE` every question of the gates
is a line.
"""

from __future__ import annotations

import json
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from contrib.batch.tests.conftest import Folder

pytestmark = pytest.mark.loopback

PIPELINE = """
[input]
path = "rows.jsonl"
[output]
path = "out/answers.jsonl"
[plugins]
load = ["mine.py"]
task_policies = ["mine", "strict-fair"]
[[steps]]
name = "length"
kind = "python"
function = "FUNCTIONS:length"
needs = ["text"]
"""
RULE = "from penstock import hookimpl\n@hookimpl\ndef penstock_task_eligible(task): return None\n"


def written(folder: Folder, plugin: str, *texts: str) -> list[str]:
    """The command line of a run that counts the letters of texts, with this plugin."""
    folder.lines(*(json.dumps({"text": text}) for text in texts))
    module = f"lengths_{folder.path.name.replace('-', '_')}"
    (folder.path / f"{module}.py").write_text("def length(text):\n    return len(text)\n", encoding="utf-8")
    (folder.path / "mine.py").write_text(plugin, encoding="utf-8")
    folder.write(toml=PIPELINE.replace("FUNCTIONS", module))
    return ["run", str(folder.toml), "--progress", "none"]


def penstock(*args: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, "-m", "penstock", *args], capture_output=True, text=True, check=False)


@pytest.mark.parametrize("before", [True, False], ids=["penstock --no-plugin … run", "penstock run … --no-plugin"])
def test_a_plugin_that_is_broken_is_left_out(folder: Folder, before: bool) -> None:
    line = written(folder, "raise RuntimeError('broken')\n", "abc")
    refused = penstock(*line)
    assert (refused.returncode, "RuntimeError: broken" in refused.stderr) == (2, True)
    option = ["--no-plugin", "mine"]
    done = penstock(*option, *line) if before else penstock(*line, *option)
    assert done.returncode == 0, done.stderr
    assert folder.answers() == [{"text": "abc", "length": 3}]


@pytest.mark.parametrize("command", ["check", "plan"])
@pytest.mark.parametrize("before", [True, False], ids=["penstock --no-plugin …", "… --no-plugin"])
def test_a_pipeline_is_looked_at_without_what_its_run_is_to_do_without(
    folder: Folder, command: str, before: bool
) -> None:
    written(folder, "raise RuntimeError('broken')\n", "abc")
    line, option = [command, str(folder.toml)], ["--no-plugin", "mine"]
    refused = penstock(*line)
    assert (refused.returncode, "RuntimeError: broken" in refused.stderr) == (2, True)
    done = penstock(*option, *line) if before else penstock(*line, *option)
    assert done.returncode == 0, done.stderr


def test_a_run_writes_who_was_asked_about_each_task(folder: Folder) -> None:
    line, file = written(folder, RULE, "abc", "de"), folder.path / "trace.jsonl"
    done = penstock(*line, "--trace-decisions", str(file))
    assert done.returncode == 0, done.stderr
    lines = [json.loads(line) for line in file.read_text(encoding="utf-8").splitlines()]
    asked = [line for line in lines if line["plugin"] == "mine" and "answer" in line]
    assert len({line["task_id"] for line in asked}) == 2
    assert {line["hook"] for line in asked} == {"penstock_task_eligible"}
    assert lines[-1]["questions"] >= 2
