"""A plugin that is left out of one run: nothing of it is run, whatever the pipeline names."""

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
load = ["broken.py"]
task_policies = ["broken", "strict-fair"]
[[steps]]
name = "length"
kind = "python"
function = "FUNCTIONS:length"
needs = ["text"]
"""


def penstock(*args: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, "-m", "penstock", *args], capture_output=True, text=True, check=False)


@pytest.mark.parametrize("before", [True, False], ids=["penstock --no-plugin … run", "penstock run … --no-plugin"])
def test_a_plugin_that_is_broken_is_left_out(folder: Folder, before: bool) -> None:
    folder.lines(json.dumps({"text": "abc"}))
    module = f"lengths_{folder.path.name.replace('-', '_')}"
    (folder.path / f"{module}.py").write_text("def length(text):\n    return len(text)\n", encoding="utf-8")
    folder.write(toml=PIPELINE.replace("FUNCTIONS", module))
    (folder.path / "broken.py").write_text("raise RuntimeError('broken')\n", encoding="utf-8")
    line = ["run", str(folder.toml), "--progress", "none"]
    refused = penstock(*line)
    assert (refused.returncode, "RuntimeError: broken" in refused.stderr) == (2, True)
    option = ["--no-plugin", "broken"]
    done = penstock(*option, *line) if before else penstock(*line, *option)
    assert done.returncode == 0, done.stderr
    assert folder.answers() == [{"text": "abc", "length": 3}]


@pytest.mark.parametrize("command", ["check", "plan"])
@pytest.mark.parametrize("before", [True, False], ids=["penstock --no-plugin …", "… --no-plugin"])
def test_a_pipeline_is_looked_at_without_what_its_run_is_to_do_without(
    folder: Folder, command: str, before: bool
) -> None:
    folder.lines(json.dumps({"text": "abc"}))
    module = f"looked_{folder.path.name.replace('-', '_')}"
    (folder.path / f"{module}.py").write_text("def length(text):\n    return len(text)\n", encoding="utf-8")
    folder.write(toml=PIPELINE.replace("FUNCTIONS", module))
    (folder.path / "broken.py").write_text("raise RuntimeError('broken')\n", encoding="utf-8")
    refused = penstock(command, str(folder.toml))
    assert (refused.returncode, "RuntimeError: broken" in refused.stderr) == (2, True)
    option = ["--no-plugin", "broken"]
    done = penstock(*option, command, str(folder.toml)) if before else penstock(command, str(folder.toml), *option)
    assert done.returncode == 0, done.stderr
