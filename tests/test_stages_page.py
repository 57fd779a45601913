"""The example of docs/batch/stages.md, run as it stands there."""

from __future__ import annotations

import json
import re
import shutil
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PAGE = ROOT / "docs/batch/stages.md"
FENCE = re.compile(r"^```(\w+)\n(.*?)^```$", re.MULTILINE | re.DOTALL)


@pytest.mark.loopback
def test_the_example_of_the_page_on_stages_runs_and_says_what_it_says(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    from penstock_batch.command import run_command

    fences = FENCE.findall(PAGE.read_text(encoding="utf-8"))
    toml, functions, said = (code for _, code in fences[:3])
    failed = next(code for language, code in fences if language == "json")
    (tmp_path / "pipeline.toml").write_text(toml, encoding="utf-8")
    (tmp_path / "passages.py").write_text(functions, encoding="utf-8")
    shutil.copy(ROOT / "contrib/batch/examples/reviews/documents.jsonl", tmp_path)
    assert run_command(tmp_path / "pipeline.toml", limit=None, overwrite=False, plugins=(), progress="none") == 0
    (answer,) = map(json.loads, (tmp_path / "out/answer.jsonl").read_text(encoding="utf-8").splitlines())
    assert list(answer) == ["documents", "answer"]
    assert [document["title"] for document in answer["documents"]] == ["Sluices", "Penstocks", "Locks"]
    assert said.splitlines()[1:] == capsys.readouterr().out.splitlines()[1:5]
    assert list(json.loads(failed)["_failed"]) == ["line", "step", "error", "answer", "items"]
