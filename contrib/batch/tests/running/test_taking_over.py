"""The journal of an earlier release: its cells are taken over once, under what their rows ask."""

from __future__ import annotations

import json
import zlib
from typing import TYPE_CHECKING, Any

import pytest

from penstock_batch.command import run_command
from penstock_batch.pipeline.loading import load_pipeline

if TYPE_CHECKING:
    from contrib.batch.tests.conftest import Folder

ROWS = 5
VECTOR = [0.1, 0.7]
"""Which 32-bit floats do not hold."""


def line(record: dict[str, Any], version: int) -> str:
    text = json.dumps(record, separators=(",", ":"))
    return text if version == 1 else f'{{"crc":"{zlib.crc32(f"{text[1:]}{chr(10)}".encode()):08x}",{text[1:]}'


def journal(folder: Folder, version: int, **identity: Any) -> None:
    """Put the journal of a whole run beside the output, by a release that wrote this version."""
    pipeline = load_pipeline(folder.toml)
    head = {"penstock_batch_journal": version, "identity": {**pipeline.identity, **identity}}
    cells = [
        {"row": row, "step": step, "value": value}
        for row in range(ROWS)
        for step, value in (("summary", f"Row {row}."), ("vector", VECTOR), ("length", 6))
    ]
    pipeline.journal.parent.mkdir()
    lines = [json.dumps(head), *(line(cell, version) for cell in cells), '{"row":1,"st']
    pipeline.journal.write_text("\n".join(lines), encoding="utf-8")


def run(folder: Folder) -> int:
    return run_command(folder.toml, limit=None, overwrite=False, plugins=(), progress="none")


@pytest.mark.parametrize("version", [1, 2])
def test_what_an_earlier_release_kept_is_not_asked_again(folder: Folder, version: int) -> None:
    folder.write()
    journal(folder, version)
    assert run(folder) == 0  # nobody would answer
    assert [(each["summary"], each["length"]) for each in folder.answers()] == [(f"Row {n}.", 6) for n in range(ROWS)]
    assert folder.answers()[0]["vector"] == pytest.approx(VECTOR)
    assert sorted(path.name for path in folder.output.parent.iterdir()) == [
        "answers.jsonl",
        "answers.jsonl.journal.taken-over",
        "answers.jsonl.store",
    ]
    folder.output.unlink()
    assert run(folder) == 0
    assert folder.cells() == ["summary", "vector", "length"] * ROWS


def test_the_journal_of_another_run_is_left_alone(folder: Folder) -> None:
    folder.write(
        ("[providers.p.models.writer]", "[batch]\ngive_up_failures = 1\ngive_up_start = 0\n[providers.p.models.writer]")
    )
    journal(folder, 2, input={"sha256": "another"})
    before = (folder.output.parent / "answers.jsonl.journal").read_bytes()
    assert run(folder) == 1
    assert (folder.output.parent / "answers.jsonl.journal").read_bytes() == before
