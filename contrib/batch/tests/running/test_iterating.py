"""The week's jobs: a batch is mended, widened and run again, and only what is new is asked."""

from __future__ import annotations

import json
import sqlite3
import subprocess
import sys
from contextlib import closing
from typing import TYPE_CHECKING

import pytest

from penstock import ConfigError
from penstock_batch.command import check_command, run_command

if TYPE_CHECKING:
    from contrib.batch.tests.conftest import Folder, Provider

pytestmark = pytest.mark.loopback

COLUMN_MORE = """
[[steps]]
name = "title"
kind = "chat"
model = "p/writer"
prompt = "A title. For: {{ summary }}"
"""


def run(
    folder: Folder,
    *,
    limit: int | None = None,
    redo: str | None = None,
    where: str | None = None,
    overwrite: bool = False,
) -> int:
    return run_command(
        folder.toml, limit=limit, overwrite=overwrite, plugins=(), progress="none", redo=redo, where=where
    )


def problem(folder: Folder, redo: str, where: str | None = None) -> str:
    with pytest.raises(ConfigError) as caught:
        run(folder, redo=redo, where=where)
    return str(caught.value)


def checked(folder: Folder, capsys: pytest.CaptureFixture[str]) -> dict[str, str]:
    """What `check` says of each step's cells."""
    capsys.readouterr()
    check_command(folder.toml, plugins=())
    lines = [line.strip() for line in capsys.readouterr().out.splitlines() if line.startswith("  ")]
    return {line.partition(":")[0]: line.rpartition(": ")[2] for line in lines}


def test_the_prompt_of_the_last_step_is_changed_after_half_of_a_run(served: Folder, provider: Provider) -> None:
    served.write(more=COLUMN_MORE)
    before = provider.completed("writer")
    run(served, limit=15)
    served.write(more=COLUMN_MORE.replace("A title.", "A short title."))
    assert run(served) == 0
    assert provider.completed("writer") == before + 15 + 15 + 15 + 30  # 15 titles more than without the change
    assert len(served.answers()) == 30


def test_failed_rows_are_done_with_a_mended_function_and_nothing_else_is(
    served: Folder, provider: Provider, capsys: pytest.CaptureFixture[str]
) -> None:
    served.write(("PYTHON_STEPS:length", "PYTHON_STEPS:picky"))
    assert run(served) == 1
    before = provider.report()
    (steps,) = served.path.glob("steps_of_*.py")
    served.write(("PYTHON_STEPS:length", "PYTHON_STEPS:length"))
    assert checked(served, capsys)["length"] == "0 kept, 30 new, 29 of the store asked for no more"
    assert steps.exists()
    assert run(served) == 0
    assert provider.report() == before
    assert len(served.answers()) == 30


def test_a_column_is_added(served: Folder, provider: Provider, capsys: pytest.CaptureFixture[str]) -> None:
    served.write()
    run(served)
    before = provider.completed("writer")
    served.write(more=COLUMN_MORE)
    assert checked(served, capsys) == {
        "summary": "30 kept, 0 new",
        "vector": "30 kept, 0 new",
        "length": "30 kept, 0 new",
        "title": "0 kept, 30 new",
    }
    assert run(served) == 0
    assert provider.completed("writer") == before + 30
    assert list(served.answers()[3])[-1] == "title"


def test_rows_are_appended(served: Folder, provider: Provider, capsys: pytest.CaptureFixture[str]) -> None:
    served.write()
    run(served)
    before = provider.completed("writer")
    rows = (served.path / "rows.jsonl").read_text(encoding="utf-8").splitlines()
    served.lines(*rows[2:], *(json.dumps({"id": number, "text": f"New {number}. Yes."}) for number in range(3)))
    assert checked(served, capsys)["summary"] == "28 kept, 3 new, 2 of the store asked for no more"
    assert run(served) == 0
    assert provider.completed("writer") == before + 3


def test_an_input_that_gains_a_column_which_no_step_reads_costs_nothing(served: Folder, provider: Provider) -> None:
    served.write()
    run(served)
    before = provider.report()
    rows = [json.loads(line) for line in (served.path / "rows.jsonl").read_text(encoding="utf-8").splitlines()]
    served.lines(*(json.dumps({**row, "seen": True}) for row in rows))
    assert run(served) == 0
    assert provider.report() == before
    assert all(answer["seen"] for answer in served.answers())


def test_a_run_to_which_nothing_is_new_says_so_and_looks_at_no_row(
    served: Folder, capsys: pytest.CaptureFixture[str]
) -> None:
    served.write()
    run(served)
    at = served.output.stat().st_mtime_ns
    capsys.readouterr()
    assert run(served) == 0
    said = "nothing has changed since the last run, which did all 30 rows"
    assert said in capsys.readouterr().out
    assert served.output.stat().st_mtime_ns == at
    for change in (
        lambda: served.toml.write_text(served.toml.read_text(encoding="utf-8") + "\n# a word\n", encoding="utf-8"),
        lambda: served.rows(29),
        lambda: served.output.write_text("", encoding="utf-8"),
    ):
        change()
        assert run(served) == 0
        assert said not in capsys.readouterr().out


def test_a_step_is_asked_again_on_purpose(served: Folder, provider: Provider) -> None:
    served.write()
    run(served)
    writer, embedder = provider.completed("writer"), provider.completed("embedder")
    assert run(served, redo="summary") == 0
    assert provider.completed("writer") == writer + 30
    assert provider.completed("embedder") == embedder  # this provider says the same again
    assert run(served, redo="summary", limit=4) == 0
    assert provider.completed("writer") == writer + 34


def test_only_the_cells_are_asked_again_of_which_an_expression_is_true(
    served: Folder, provider: Provider, capsys: pytest.CaptureFixture[str]
) -> None:
    served.write()
    run(served)
    before = provider.completed("writer")
    for where, count in (
        ('ended == "length"', 0),
        ("id < 3 and ended == 'stop'", 3),
        ("row['text'].startswith('Row 7 ')", 1),
        ("output_tokens > 0 and 'gate number 1' in text", 11),
    ):
        capsys.readouterr()
        assert run(served, redo="summary", where=where) == 0
        said = "1 cell of summary is" if count == 1 else f"{count} cells of summary are"
        assert f"{said} asked again\n" in capsys.readouterr().out
        before += count
        assert provider.completed("writer") == before


def test_what_is_wrong_with_redo_is_said_and_changes_nothing(served: Folder, provider: Provider) -> None:
    served.write()
    run(served)
    before = provider.report()
    assert "--redo: there is no step 'sumary'; did you mean 'summary'?" in problem(served, "sumary")
    assert "--where: is no expression: " in problem(served, "summary", "id <")
    assert 'as in templates: ended == "length"' in problem(served, "summary", "ended = 'length'")
    assert "--where: there is no 'endet'; did you mean 'ended'?" in problem(served, "summary", "endet == 'stop'")
    assert "--where: cannot be said of line 1: TypeError" in problem(served, "summary", "id < text")
    assert run(served) == 0
    assert provider.report() == before


def test_the_last_store_is_kept_until_all_rows_are_done_anew(served: Folder, provider: Provider) -> None:
    served.write()
    run(served)
    last = served.store.with_name("answers.jsonl.store.before")
    for limit in (3, 2):
        assert run(served, overwrite=True, limit=limit) == 0
        with closing(sqlite3.connect(last)) as store:
            assert store.execute("SELECT count(*) FROM answers").fetchone() == (90,)
    assert run(served) == 0
    assert not last.exists()


def test_a_foreign_file_in_the_place_of_the_last_store_is_left_alone(served: Folder) -> None:
    served.write()
    run(served)
    last = served.store.with_name("answers.jsonl.store.before")
    last.write_text("mine", encoding="utf-8")
    with pytest.raises(ConfigError):
        run(served, overwrite=True)
    assert last.read_text(encoding="utf-8") == "mine"
    assert len(served.answers()) == 30


def test_the_cores_check_says_of_a_pipeline_what_batch_says(folder: Folder, capsys: pytest.CaptureFixture[str]) -> None:
    folder.write()
    code = check_command(folder.toml, plugins=())
    said = capsys.readouterr()
    command = [sys.executable, "-m", "penstock", "check", str(folder.toml)]
    result = subprocess.run(command, capture_output=True, text=True, check=False)
    assert (result.returncode, result.stdout, result.stderr) == (code, said.out, said.err)
    assert "answers go to " in said.out
