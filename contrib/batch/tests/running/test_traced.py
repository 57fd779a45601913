"""`penstock run --trace-decisions FILE`: every question of the gates is a line."""

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
load = ["watching.py"]
[[steps]]
name = "length"
kind = "python"
function = "FUNCTIONS:length"
needs = ["text"]
"""
RULE = "from penstock import hookimpl\n@hookimpl\ndef penstock_task_eligible(task): return None\n"


def test_a_run_writes_who_was_asked_about_each_task(folder: Folder) -> None:
    folder.lines(json.dumps({"text": "abc"}), json.dumps({"text": "de"}))
    module = f"traced_{folder.path.name.replace('-', '_')}"
    (folder.path / f"{module}.py").write_text("def length(text):\n    return len(text)\n", encoding="utf-8")
    (folder.path / "watching.py").write_text(RULE, encoding="utf-8")
    folder.write(toml=PIPELINE.replace("FUNCTIONS", module))
    file = folder.path / "trace.jsonl"
    command = [sys.executable, "-m", "penstock", "run", str(folder.toml), "--progress", "none"]
    done = subprocess.run(
        [*command, "--trace-decisions", str(file)], capture_output=True, text=True, check=False, cwd=folder.path
    )
    assert done.returncode == 0, done.stderr
    lines = [json.loads(line) for line in file.read_text(encoding="utf-8").splitlines()]
    asked = [line for line in lines if line["plugin"] == "watching" and "answer" in line]
    assert len({line["task_id"] for line in asked}) == 2
    assert {line["hook"] for line in asked} == {"penstock_task_eligible"}
    assert lines[-1]["questions"] >= 2
