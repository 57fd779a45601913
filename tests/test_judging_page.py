"""The example of docs/batch/judging.md, run as it stands there."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

PAGE = Path(__file__).parents[1] / "docs/batch/judging.md"
FENCE = re.compile(r"^```(\w+)\n(.*?)^```$", re.MULTILINE | re.DOTALL)


@pytest.mark.loopback
def test_the_example_of_the_page_on_judging_runs(tmp_path: Path) -> None:
    from penstock_batch.command import run_command

    toml, checks, failed = (code for _, code in FENCE.findall(PAGE.read_text(encoding="utf-8"))[:3])
    (tmp_path / "pipeline.toml").write_text(toml, encoding="utf-8")
    (tmp_path / "checks.py").write_text(checks, encoding="utf-8")
    rows = [{"id": i, "text": f"My parcel {i} has not come. I have waited for two weeks."} for i in range(40)]
    (tmp_path / "tickets.jsonl").write_text("".join(f"{json.dumps(row)}\n" for row in rows), encoding="utf-8")
    assert run_command(tmp_path / "pipeline.toml", limit=None, overwrite=False, plugins=(), progress="none") == 0
    answers = [json.loads(line) for line in (tmp_path / "out/tickets.jsonl").read_text(encoding="utf-8").splitlines()]
    assert [list(answer) for answer in answers] == [["id", "text", "team", "urgency", "title", "apology"]] * 40
    assert {answer["apology"] is None for answer in answers if answer["urgency"] <= 3} == {True}
    assert {len(answer["apology"]) for answer in answers if answer["urgency"] > 3} == {2}
    assert list(json.loads(failed)["_failed"]) == ["line", "step", "error", "answer"]
