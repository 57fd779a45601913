"""The example of docs/batch/embedding.md, run as it stands there."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

PAGE = Path(__file__).parents[1] / "docs/batch/embedding.md"


@pytest.mark.loopback
def test_the_example_embeds_a_hundred_texts_in_a_call(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    from penstock_batch.command import check_command, run_command
    from penstock_batch.report.commands import plan_command

    (toml,) = re.findall(r"```toml\n(.*?)```", PAGE.read_text(encoding="utf-8"), re.DOTALL)
    pipeline = tmp_path / "pipeline.toml"
    pipeline.write_text(toml, encoding="utf-8")
    rows = [{"id": number, "title": f"Note {number}", "text": "Bring three keys."} for number in range(500)]
    lines = "".join(json.dumps(row) + "\n" for row in rows)
    (tmp_path / "notes.jsonl").write_text(lines, encoding="utf-8")
    assert check_command(pipeline, plugins=()) == 0
    assert plan_command(pipeline, rows=100) == 0
    assert run_command(pipeline, limit=None, overwrite=False, plugins=(), progress="none") == 0
    said = capsys.readouterr().out
    assert "each for 100 texts or fewer" in said
    assert "5 calls to acme/embed for 500 texts" in said
    assert "vector: 500 done by 5 calls" in said
