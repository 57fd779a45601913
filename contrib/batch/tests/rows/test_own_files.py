"""A run's own files: private, told from others by what they are, and never beside the wrong row."""

from __future__ import annotations

import json
import os
import threading
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from penstock import ConfigError
from penstock_batch.command import check_pipeline, run_command
from penstock_batch.pipeline.loading import load_pipeline
from penstock_batch.rows.own_files import OutputLost

if TYPE_CHECKING:
    from contrib.batch.tests.conftest import Folder

pytestmark = pytest.mark.loopback

PIPELINE = """
[input]
path = "rows.jsonl"
[output]
path = "out/answers.jsonl"
[[steps]]
name = "twice"
kind = "python"
function = "PYTHON_STEPS:twice"
needs = ["id"]
"""


@pytest.fixture
def local(folder: Folder) -> Folder:
    """A pipeline that calls nothing."""
    folder.write(toml=PIPELINE)
    (steps,) = folder.path.glob("steps_of_*.py")
    steps.write_text("def twice(id):\n    return 2 * id\n", encoding="utf-8")
    return folder


def run(folder: Folder, *, overwrite: bool = False) -> int:
    return run_command(folder.toml, limit=None, overwrite=overwrite, plugins=(), progress="none")


def refused(folder: Folder, *, overwrite: bool = True) -> str:
    with pytest.raises(ConfigError) as caught:
        run(folder, overwrite=overwrite)
    return str(caught.value)


def rewrite(folder: Folder, old: str, new: str) -> None:
    text = folder.toml.read_text(encoding="utf-8")
    assert old in text
    folder.toml.write_text(text.replace(old, new), encoding="utf-8")


def test_all_of_them_can_be_read_by_their_owner_alone(local: Folder) -> None:
    local.lines('{"id": 1}', "oops")
    assert run(local) == 1
    made = list(local.output.parent.iterdir())
    assert len(made) == 3
    assert {path.stat().st_mode & 0o777 for path in made} == {0o600}


@pytest.mark.parametrize("spelling", ["rows.jsonl", "out/../rows.jsonl", "./rows.jsonl", "link.jsonl", "hard.jsonl"])
def test_the_input_is_never_the_output_however_it_is_spelled(local: Folder, spelling: str) -> None:
    (local.path / "out").mkdir()
    source = local.path / "rows.jsonl"
    (local.path / "link.jsonl").symlink_to(source)
    (local.path / "hard.jsonl").hardlink_to(source)
    before = source.read_bytes()
    rewrite(local, "out/answers.jsonl", spelling)
    assert "is the input" in refused(local)
    assert source.read_bytes() == before


@pytest.mark.parametrize("suffix", [".failed.jsonl", ".store"])
def test_what_a_run_puts_beside_its_output_is_never_the_input(local: Folder, suffix: str) -> None:
    source = local.path / f"a.jsonl{suffix}"
    source.write_text('{"id": 1}\n', encoding="utf-8")
    rewrite(local, "out/answers.jsonl", "a.jsonl")
    rewrite(local, 'path = "rows.jsonl"', f'path = "{source.name}"\nformat = "jsonl"')
    assert "is the input" in refused(local)
    assert source.read_text(encoding="utf-8") == '{"id": 1}\n'


def test_the_toml_is_never_the_output(local: Folder) -> None:
    toml = local.path / "pipeline.jsonl"
    local.toml.rename(toml)
    toml.write_text(toml.read_text(encoding="utf-8").replace("out/answers.jsonl", "pipeline.jsonl"), encoding="utf-8")
    with pytest.raises(ConfigError, match="is the pipeline's TOML"):
        load_pipeline(toml)


def test_the_record_of_events_is_never_the_output(local: Folder) -> None:
    with local.toml.open("a", encoding="utf-8") as file:
        file.write('[plugins.jsonl]\npath = "out/answers.jsonl"\n')
    assert "is the file of [plugins.jsonl]" in refused(local)


@pytest.mark.parametrize(
    ("places", "what"),
    [
        ('path = "STEPS.py"\nformat = "jsonl"', "is the function of the step 'twice'"),
        ('path = "p.failed.jsonl"\nstore = "p"', "is the output"),
        ('path = "s-wal"\nformat = "jsonl"\nstore = "s"', "lies beside the store as -wal"),
        ('path = "a\\u0000b.jsonl"', "its name holds a NUL"),
        (f'path = "{"a" * 250}.jsonl"', "File name too long"),
        ('path = "rows.jsonl/o.jsonl"', "Not a directory"),
    ],
)
def test_places_that_cannot_be_a_runs_own_are_refused(local: Folder, places: str, what: str) -> None:
    (steps,) = local.path.glob("steps_of_*.py")
    rewrite(local, 'path = "out/answers.jsonl"', places.replace("STEPS", steps.stem))
    before = files_in(local.path)
    assert what in refused(local)
    assert before == files_in(local.path)


def files_in(folder: Path) -> dict[Path, bytes]:
    """The files there with what they hold; the folder of compiled modules is Python's."""
    return {path: path.read_bytes() for path in folder.iterdir() if path.name != "__pycache__"}


@pytest.mark.parametrize("name", ["answers.jsonl", "answers.jsonl.failed.jsonl", "answers.jsonl.store"])
def test_no_link_is_followed(local: Folder, name: str) -> None:
    precious = local.path / "precious"
    precious.write_text("precious", encoding="utf-8")
    local.output.parent.mkdir()
    (local.output.parent / name).symlink_to(precious)
    assert "is a link" in refused(local)
    assert precious.read_text(encoding="utf-8") == "precious"


def test_a_device_is_no_output(local: Folder) -> None:
    local.output.parent.mkdir()
    os.mkfifo(local.output)
    assert "is no ordinary file" in refused(local)


@pytest.mark.parametrize("content", ["precious\n", '{"line": 1}\n', "[]\n", "\x00\n"])
def test_a_failed_file_that_is_none_is_left_alone(local: Folder, content: str) -> None:
    local.output.parent.mkdir()
    foreign = local.output.with_name("answers.jsonl.failed.jsonl")
    foreign.write_text(content, encoding="utf-8")
    assert "was not written by a run" in refused(local, overwrite=False)
    assert "was not written by a run" in refused(local)
    assert foreign.read_text(encoding="utf-8") == content


def test_a_foreign_part_is_left_alone(local: Folder) -> None:
    local.output.parent.mkdir()
    part = local.output.with_name("answers.jsonl.part")
    part.write_text("precious", encoding="utf-8")
    assert run(local) == 0
    assert part.read_text(encoding="utf-8") == "precious"


# -- rows keep their answers --


def changing(folder: Folder, content: str) -> None:
    """Make the first cell put other rows into the input's place."""
    (steps,) = folder.path.glob("steps_of_*.py")
    source = folder.path / "rows.jsonl"
    new = folder.path / "new.jsonl"
    new.write_text(content, encoding="utf-8")
    steps.write_text(
        f"import contextlib, os\ndef twice(id):\n    with contextlib.suppress(FileNotFoundError):\n"
        f"        os.replace({str(new)!r}, {str(source)!r})\n    return 2 * id\n",
        encoding="utf-8",
    )


def lines(*ids: int) -> str:
    return "".join(f'{{"id": {each}}}\n' for each in ids)


def test_a_row_that_is_another_at_the_end_fails_with_the_answers_of_the_first(local: Folder) -> None:
    local.lines(*lines(0, 1, 2, 3).splitlines())
    changing(local, lines(0, 2, 1, 3))
    assert run(local) == 1
    assert [(answer["id"], answer["twice"]) for answer in local.answers()] == [(0, 0), (3, 6)]
    told = [(failed["line"], failed["error"], failed["row"], failed["answers"]) for failed in local.failed()]
    assert told == [
        (2, "changed while it ran", {"id": 2}, {"twice": 2}),
        (3, "changed while it ran", {"id": 1}, {"twice": 4}),
    ]


def test_a_row_that_is_gone_at_the_end_fails_too(local: Folder) -> None:
    local.lines(*lines(0, 1, 2).splitlines())
    changing(local, lines(0))
    assert run(local) == 1
    assert [failed["answers"] for failed in local.failed()] == [{"twice": 2}, {"twice": 4}]


def test_rows_that_came_while_it_ran_belong_to_the_next_run(local: Folder) -> None:
    local.lines(*lines(0, 1).splitlines())
    changing(local, lines(0, 1, 2))
    assert run(local) == 0
    assert [answer["id"] for answer in local.answers()] == [0, 1]


def test_a_copy_is_not_changed(local: Folder) -> None:
    rewrite(local, 'path = "rows.jsonl"', 'path = "rows.jsonl"\ncopy = true')
    local.lines(*lines(0, 1, 2).splitlines())
    changing(local, lines(2, 1, 0))
    assert run(local) == 0
    assert [(answer["id"], answer["twice"]) for answer in local.answers()] == [(0, 0), (1, 2), (2, 4)]


def test_an_input_that_is_gone_is_told_and_its_answers_are_kept(local: Folder) -> None:
    (steps,) = local.path.glob("steps_of_*.py")
    source = local.path / "rows.jsonl"
    steps.write_text(
        f"import pathlib\ndef twice(id):\n    pathlib.Path({str(source)!r}).unlink(missing_ok=True)\n    return id\n",
        encoding="utf-8",
    )
    with pytest.raises(OutputLost, match="the input cannot be read any more"):
        run(local)
    local.rows(5)
    assert run(local) == 0
    assert len(local.answers()) == 5


def test_a_store_that_is_gone_is_told(local: Folder) -> None:
    (steps,) = local.path.glob("steps_of_*.py")
    folder = local.output.parent
    steps.write_text(
        f"import shutil\ndef twice(id):\n    shutil.rmtree({str(folder)!r}, ignore_errors=True)\n    return id\n",
        encoding="utf-8",
    )
    with pytest.raises(OutputLost, match="the store is gone"):
        run(local)


def test_a_pipe_is_read_whole(local: Folder) -> None:
    source = local.path / "rows.jsonl"
    source.unlink()
    os.mkfifo(source)
    writer = threading.Thread(target=source.write_text, args=(lines(*range(7)),))
    writer.start()
    assert run(local) == 0
    writer.join()
    assert [answer["id"] for answer in local.answers()] == list(range(7))


# -- formats --


def test_csv_is_written_where_the_name_says_so(local: Folder) -> None:
    rewrite(local, "out/answers.jsonl", "out/o.csv")
    local.lines('{"id": 1, "text": "a \\"b\\",\\nc"}', '{"id": 2, "more": {"x": [1]}}', '{"id": 3, "text": null}')
    assert run(local) == 0
    written = (local.path / "out" / "o.csv").read_text(encoding="utf-8")
    assert written.splitlines()[0] == "id,text,more,twice"
    rewrite(local, 'path = "rows.jsonl"', 'path = "out/o.csv"')
    rewrite(local, 'path = "out/o.csv"\n[[', 'path = "again.jsonl"\n[[')
    rewrite(local, 'name = "twice"', 'name = "more_of_it"')
    assert run(local) == 0
    again = [json.loads(line) for line in (local.path / "again.jsonl").read_text(encoding="utf-8").splitlines()]
    assert [row["text"] for row in again] == ['a "b",\nc', "", ""]
    assert again[1]["more"] == '{"x":[1]}'


@pytest.mark.parametrize("name", ["answers.txt", "answers", "answers.json", "answers.xlsx"])
def test_a_name_that_says_nothing_is_refused(local: Folder, name: str) -> None:
    rewrite(local, "out/answers.jsonl", name)
    assert "must end in .jsonl, .ndjson, .csv" in refused(local)


@pytest.mark.parametrize("place", ["shut/answers.jsonl", "shut/to/come/answers.jsonl"])
def test_a_folder_into_which_nothing_may_be_written_is_told_before_the_run(
    local: Folder, place: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    shut = local.path / "shut"
    shut.mkdir()
    rewrite(local, "out/answers.jsonl", place)
    assert check_pipeline(local.toml, plugins=()).faulty is False
    monkeypatch.setattr(os, "access", lambda path, mode: Path(path) != shut)  # root may write everywhere
    with pytest.raises(ConfigError, match=r"output\.path: cannot be written: nothing may be written into .*shut"):
        check_pipeline(local.toml, plugins=())
