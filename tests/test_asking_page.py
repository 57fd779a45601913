"""The examples of docs/batch/asking.md, run as they stand there."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest

PAGE = Path(__file__).parents[1] / "docs/batch/asking.md"
SECTION = re.compile(r"^## (.+)$", re.MULTILINE)
FENCE = re.compile(r"^```(\w+)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
LETTERS = [{"text": f"Please renew my book number {i}."} for i in range(3)]


def codes(section: str) -> list[str]:
    """The blocks of a section, in their order."""
    parts = SECTION.split(PAGE.read_text(encoding="utf-8"))
    return [code for _, code in FENCE.findall(parts[parts.index(section) + 1])]


def run(folder: Path, toml: str, rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """What a pipeline makes of these rows."""
    from penstock_batch.command import run_command

    source = re.search(r'path = "(\w+)\.jsonl"', toml)
    assert source is not None
    (folder / "pipeline.toml").write_text(toml, encoding="utf-8")
    (folder / f"{source[1]}.jsonl").write_text("".join(f"{json.dumps(row)}\n" for row in rows), encoding="utf-8")
    assert run_command(folder / "pipeline.toml", limit=None, overwrite=False, plugins=(), progress="none") == 0
    lines = (folder / f"out/{source[1]}.jsonl").read_text(encoding="utf-8").splitlines()
    return [json.loads(line) for line in lines]


def embedded(toml: str) -> str:
    """The pipeline with embedded providers, which are quick, in the place of its own."""
    models = re.findall(r"^\[providers\.\w+\.models\.(\w+)\]", toml, re.MULTILINE)
    quick = ", ".join(f"{model} = {{ latency = {{ mean = 0.01 }} }}" for model in models)
    return re.sub(r'(base_url = ".*"|kind = "mock")', f'kind = "mock"\noptions = {{ models = {{ {quick} }} }}', toml)


@pytest.mark.loopback
def test_prompts_in_files(tmp_path: Path) -> None:
    (tmp_path / "prompts").mkdir()
    (tmp_path / "prompts/clerk.txt").write_text("You answer letters.", encoding="utf-8")
    (tmp_path / "prompts/reply.txt").write_text("Answer: {{ text }}\n", encoding="utf-8")
    (toml,) = codes("Prompts in files")
    assert all(row["reply"] for row in run(tmp_path, embedded(toml), LETTERS))


@pytest.mark.loopback
def test_several_turns(tmp_path: Path) -> None:
    (toml,) = codes("Several turns")
    assert [list(row) for row in run(tmp_path, embedded(toml), LETTERS)] == [["text", "draft", "reply"]] * 3


@pytest.mark.loopback
def test_tools(tmp_path: Path) -> None:
    toml, value, library = codes("Tools")
    (tmp_path / "library.py").write_text(library, encoding="utf-8")
    for row in run(tmp_path, embedded(toml), LETTERS):  # the embedded provider calls none
        assert (list(row["wish"]), row["wish"]["tool_calls"], row["titles"]) == (["text", "tool_calls"], [], [])
    function: dict[str, Any] = {}
    exec(compile(library, "library.py", "exec"), function)
    assert function["titles"](json.loads(value)) == ["Emma"]


@pytest.mark.loopback
def test_another_model(tmp_path: Path) -> None:
    (toml,) = codes("Another model in the place of the first")
    assert all(row["reply"] for row in run(tmp_path, embedded(toml), LETTERS))


@pytest.mark.loopback
def test_images_and_documents(tmp_path: Path) -> None:
    toml, rows = codes("Images and documents")
    (tmp_path / "photos/hall").mkdir(parents=True)
    (tmp_path / "photos/hall/1.jpg").write_bytes(b"\xff\xd8\xff and more")
    (tmp_path / "photos/hall/1.pdf").write_bytes(b"%PDF-1.7 and more")
    (tmp_path / "photos/hall/2.txt").write_text("Emma", encoding="utf-8")
    assert all(row["books"] for row in run(tmp_path, embedded(toml), [json.loads(row) for row in rows.splitlines()]))
