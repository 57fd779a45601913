"""What functions of users are given is theirs: whatever they do to it, the row is what it was."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

from penstock_batch.command import run_command

if TYPE_CHECKING:
    from contrib.batch.tests.conftest import Folder

pytestmark = pytest.mark.loopback

HEAD = """
[input]
path = "rows.jsonl"
[output]
path = "out/answers.jsonl"
"""
CHANGING = """
def changes(parts):
    parts.append("changed")
    parts[0]["n"] = "changed"
    return len(parts)

def judges(value, row, parts):
    row["parts"].clear()
    return not changes(parts) < 0

def splits(parts):
    changes(parts)
    return [1]

def stays(parts):
    return changes(parts) > 0
"""


def test_what_functions_do_to_their_arguments_changes_no_row(folder: Folder) -> None:
    rows = [{"id": 1, "parts": [{"n": 1}]}]
    folder.lines(*map(json.dumps, rows))
    module = f"changing_{folder.path.name.replace('-', '_')}"
    (folder.path / f"{module}.py").write_text(CHANGING, encoding="utf-8")
    python = f'[[steps]]\nname = "size"\nkind = "python"\nfunction = "{module}:changes"\nneeds = ["parts"]\n'
    split = f'[[steps]]\nname = "item"\nkind = "split"\nfunction = "{module}:splits"\nneeds = ["parts"]\n'
    stay = f'[[steps]]\nname = "stay"\nkind = "filter"\nfunction = "{module}:stays"\nneeds = ["parts"]\n'
    folder.write(toml=HEAD + python + f'accept = "{module}:judges"\n' + split + stay)
    assert run_command(folder.toml, limit=None, overwrite=False, plugins=(), progress="none") == 0
    assert folder.answers() == [{**rows[0], "size": 2, "item": 1}]
