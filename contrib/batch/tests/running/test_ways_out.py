"""What a run says, and how it ends: in words that a terminal shows, to a reader that may be gone, with a true code."""

from __future__ import annotations

import os
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from penstock_batch.command import run_command

if TYPE_CHECKING:
    from contrib.batch.tests.conftest import Folder

pytestmark = pytest.mark.loopback

PIPELINE = """
[input]
path = "rows.jsonl"
[output]
path = "out/answers.jsonl"
[[steps]]
name = "made"
kind = "python"
function = "PYTHON_STEPS:f"
needs = ["id"]
"""


def command(folder: Folder, before: str = "") -> list[str]:
    run = f"{before}\nfrom penstock.cli.main import main; main()"
    return [sys.executable, "-c", run, "run", str(folder.toml)]


def making(folder: Folder, body: str) -> Folder:
    folder.write(toml=PIPELINE)
    (steps,) = folder.path.glob("steps_of_*.py")
    steps.write_text(f"def f(id):\n    {body}\n", encoding="utf-8")
    return folder


def test_foreign_text_is_made_safe_before_it_is_shown(folder: Folder) -> None:
    making(folder, r"raise ValueError('\udc80\x1b[31mred\x07\u202e')")
    ended = subprocess.run(command(folder), capture_output=True, check=False)
    assert ended.returncode == 1
    shown = ended.stdout.decode()
    assert "Traceback" not in shown + ended.stderr.decode()
    assert r"5 × made: ValueError: \udc80\x1b[31mred\x07\u202e" in shown


@pytest.mark.parametrize("gone", [(0,), (1,), (0, 1, 2)])
def test_no_file_of_a_run_has_the_number_of_a_standard_stream_that_was_closed(
    folder: Folder, gone: tuple[int, ...]
) -> None:
    """Else what a step, or a program that it starts, writes there would be written over the store."""
    making(folder, "import os; return [os.readlink(f'/proc/self/fd/{n}') for n in range(3)]")
    closing = f"import os\nfor number in {gone}: os.close(number)"
    subprocess.run(command(folder, closing), check=False, stdin=subprocess.DEVNULL, capture_output=True)
    assert len(folder.answers()) == 5
    assert {answer["made"][number] for answer in folder.answers() for number in gone} == {os.devnull}


def test_a_stream_that_code_has_closed_is_one_that_is_gone(folder: Folder, monkeypatch: pytest.MonkeyPatch) -> None:
    out, err = (open(os.devnull, "w", encoding="utf-8") for _ in range(2))  # noqa: SIM115  # closed by the step
    monkeypatch.setattr(sys, "stdout", out)
    monkeypatch.setattr(sys, "stderr", err)
    making(folder, "import sys; sys.stdout.close(); sys.stderr.close(); return 1 // id")
    assert run_command(folder.toml, limit=None, overwrite=False, plugins=(), progress="none") == 1
    assert len(folder.answers()) == 4


@pytest.mark.parametrize(("row", "code"), [(99, 0), (0, 1)])
@pytest.mark.parametrize("gone", ["closed", "full"])
def test_a_reader_that_is_gone_changes_no_exit_code(folder: Folder, row: int, code: int, gone: str) -> None:
    making(folder, f"return 1 // (id - {row})")
    if gone == "full":
        with open("/dev/full", "wb") as out:
            ended = subprocess.run(command(folder), stdout=out, stderr=subprocess.PIPE, check=False)
    else:
        reading, writing = os.pipe()
        os.close(reading)
        ended = subprocess.run(command(folder), stdout=writing, stderr=subprocess.PIPE, check=False)
        os.close(writing)
    assert ended.returncode == code, ended.stderr
    assert b"Traceback" not in ended.stderr


def test_a_disk_that_is_full_while_assembling_says_that_nothing_is_lost(folder: Folder) -> None:
    making(folder, "return 'x' * 100")
    full = "import os, penstock_batch.rows.own_files as f\ndef no(_): raise OSError(28, 'No space left on device')\n"
    fails = f"{full}f.os = type('os', (), dict(vars(os), fsync=staticmethod(no)))"
    ended = subprocess.run(command(folder, fails), capture_output=True, check=False)
    assert ended.returncode == 1
    (line,) = ended.stderr.decode().splitlines()
    assert "cannot be written: No space left on device; what the store holds is asked for no more" in line
    assert not folder.output.exists()
    assert subprocess.run(command(folder), capture_output=True, check=False).returncode == 0
    assert len(folder.answers()) == 5


def test_a_disk_that_refuses_a_sync_ends_the_run_in_one_line(folder: Folder) -> None:
    making(folder, "return id")
    fails = (
        "import sqlite3, penstock_batch.store.store as s\n"
        "def no(self, work): raise s.StoreLost(self.path, sqlite3.OperationalError('disk I/O error'))\n"
        "s.Store._write = no"
    )
    ended = subprocess.run(command(folder, fails), capture_output=True, check=False)
    assert ended.returncode == 1
    assert ended.stderr.decode().splitlines()[-1].endswith("answers.jsonl.store: cannot be written: disk I/O error")
    assert "Traceback" not in ended.stderr.decode()
    assert folder.output.exists()  # what was answered is assembled all the same


def test_a_column_named_row_hides_nothing(folder: Folder) -> None:
    folder.lines('{"id": 1, "row": "mine", "odd name": "x"}')
    toml = PIPELINE + (
        '[[steps]]\nname = "said"\nkind = "chat"\nmodel = "p/m"\n'
        "prompt = \"{{ row['odd name'] }} {{ row['row'] }}\"\n"
        '[providers.p]\nkind = "mock"\n[providers.p.models.m]\nmax_parallel_requests = 4\n'
    )
    folder.write(toml=toml)
    (steps,) = folder.path.glob("steps_of_*.py")
    steps.write_text("def f(id):\n    return id\n", encoding="utf-8")
    ended = subprocess.run(command(folder), capture_output=True, check=False)
    assert ended.returncode == 0, ended.stdout
    assert folder.answers()[0]["row"] == "mine"
