"""Rows through pipes: `-` in and out, with nothing but rows on standard output, and exit codes that say what came."""

from __future__ import annotations

import io
import json
import os
import subprocess
import sys
from pathlib import Path

import attrs
import pyarrow.parquet as pq
import pytest

pytestmark = pytest.mark.loopback

PIPELINE = """
[input]
path = "-"
format = "jsonl"

[output]
path = "-"
format = "FORMAT"
store = "kept"

[[steps]]
name = "said"
kind = "chat"
model = "p/m"
prompt = "{{ text }}"

[providers.p]
kind = "mock"

[providers.p.models.m]
max_parallel_requests = 8
"""
ROWS = "".join(f'{{"text": "row {i}"}}\n' for i in range(5)).encode()


@attrs.frozen
class Piped:
    path: Path

    def run(
        self, rows: bytes = ROWS, *, form: str = "jsonl", stdout: int = subprocess.PIPE
    ) -> subprocess.CompletedProcess[bytes]:
        toml = self.path / "pipeline.toml"
        toml.write_text(PIPELINE.replace("FORMAT", form), encoding="utf-8")
        command = [sys.executable, "-m", "penstock", "run", "--progress", "plain", str(toml)]
        return subprocess.run(command, input=rows, stdout=stdout, stderr=subprocess.PIPE, check=False)


@pytest.fixture
def piped(tmp_path: Path) -> Piped:
    return Piped(tmp_path)


def test_rows_go_through_and_the_summary_stands_elsewhere(piped: Piped) -> None:
    done = piped.run()
    assert done.returncode == 0, done.stderr
    assert [json.loads(line)["said"] for line in done.stdout.splitlines()] == [f"row {i}" for i in range(5)]
    assert b"5 rows: 5 done" in done.stderr
    assert sorted(os.listdir(piped.path)) == ["kept", "pipeline.toml"]


def test_rows_that_failed_stand_beside_the_store(piped: Piped) -> None:
    done = piped.run(ROWS + b"oops\n")
    assert done.returncode == 1
    assert len(done.stdout.splitlines()) == 5
    assert "kept.failed.jsonl" in os.listdir(piped.path)


def test_a_reader_that_is_gone_is_told_by_the_exit_code_and_costs_no_answer(piped: Piped) -> None:
    read, write = os.pipe()
    os.close(read)
    gone = piped.run(stdout=write)
    os.close(write)
    assert gone.returncode == 1
    assert b"standard output" in gone.stderr
    assert b"Traceback" not in gone.stderr
    again = piped.run()
    assert again.returncode == 0
    assert len(again.stdout.splitlines()) == 5
    assert b" calls" not in again.stderr  # nothing was paid again


def test_a_file_of_any_kind_may_be_piped(piped: Piped) -> None:
    done = piped.run(form="parquet")
    assert done.returncode == 0, done.stderr
    assert pq.read_table(io.BytesIO(done.stdout)).to_pylist()[4] == {"text": "row 4", "said": "row 4"}


def test_a_database_cannot_be_piped(piped: Piped) -> None:
    done = piped.run(form="sqlite")
    assert done.returncode == 2
    assert done.stdout == b""


@pytest.mark.parametrize("name", ["/dev/stdout", "/dev/fd/1", "/proc/self/fd/1"])
def test_the_file_that_is_standard_output_is_named_as_it_must_be(piped: Piped, name: str) -> None:
    pipeline = PIPELINE.replace('[output]\npath = "-"', f'[output]\npath = "{name}"')
    toml = piped.path / "pipeline.toml"
    toml.write_text(pipeline.replace("FORMAT", "jsonl"), encoding="utf-8")
    command = [sys.executable, "-m", "penstock", "run", "--progress", "plain", str(toml)]
    done = subprocess.run(command, input=ROWS, capture_output=True, check=False)
    assert (done.returncode, done.stdout) == (2, b"")
    assert b'to which rows go by path = "-"' in done.stderr
    assert b"is a link" not in done.stderr
