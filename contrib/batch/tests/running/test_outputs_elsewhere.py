"""Outputs that are not alone in their place: a table among others, a store that lies elsewhere."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from penstock import ConfigError
from penstock_batch.command import run_command

pytestmark = pytest.mark.loopback

PIPELINE = """
[input]
path = "data.db"
table = "texts"

[output]
OUTPUT

[providers.p]
kind = "mock"
models.m.max_parallel_requests = 8

[[steps]]
name = "said"
kind = "chat"
model = "p/m"
prompt = "{{ text }}"
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    with closing(sqlite3.connect(tmp_path / "data.db")) as database, database:
        database.execute("CREATE TABLE texts (text)")
        database.execute("CREATE TABLE theirs (x)")
        database.execute("INSERT INTO theirs VALUES (1)")
        database.executemany("INSERT INTO texts VALUES (?)", [(f"row {i}",) for i in range(5)])
    return tmp_path


def run(folder: Path, output: str, *, overwrite: bool = False) -> int:
    toml = folder / "pipeline.toml"
    toml.write_text(PIPELINE.replace("OUTPUT", output), encoding="utf-8")
    return run_command(toml, limit=None, overwrite=overwrite, plugins=(), progress="none")


def table(folder: Path, name: str) -> list[tuple[object, ...]]:
    with closing(sqlite3.connect(folder / "data.db")) as database:
        return database.execute(f"SELECT * FROM {name}").fetchall()


ANSWERS = 'path = "data.db"\ntable = "answers"'


def test_answers_stand_in_a_table_beside_the_input(folder: Path) -> None:
    assert run(folder, ANSWERS) == 0
    assert table(folder, "answers") == [(f"row {i}", f"row {i}") for i in range(5)]
    assert run(folder, ANSWERS) == 0  # a run replaces its own
    assert table(folder, "theirs") == [(1,)]


def test_a_table_of_somebody_else_is_replaced_only_on_purpose(folder: Path) -> None:
    assert run(folder, ANSWERS) == 0  # so there is a store beside the file, which is no licence
    theirs = 'path = "data.db"\ntable = "Theirs"'
    with pytest.raises(ConfigError, match="no run has made"):
        run(folder, theirs)
    assert table(folder, "theirs") == [(1,)]
    assert run(folder, theirs, overwrite=True) == 0
    assert len(table(folder, "theirs")) == 5
    assert len(table(folder, "answers")) == 5


def test_the_output_is_never_the_inputs_own_table(folder: Path) -> None:
    with pytest.raises(ConfigError, match="is the input"):
        run(folder, 'path = "data.db"\ntable = "TEXTS"', overwrite=True)
    assert len(table(folder, "texts")) == 5


def test_a_store_elsewhere_is_no_licence_for_another_output(folder: Path) -> None:
    (folder / "kept").mkdir()
    assert run(folder, 'path = "one.csv"\nstore = "kept/store"') == 0
    assert run(folder, 'path = "one.csv"\nstore = "kept/store"') == 0
    (folder / "two.csv").write_text("theirs", encoding="utf-8")
    with pytest.raises(ConfigError, match="exists"):
        run(folder, 'path = "two.csv"\nstore = "kept/store"')
    assert (folder / "two.csv").read_text(encoding="utf-8") == "theirs"


@pytest.mark.parametrize(
    ("output", "complaint"),
    [
        ('path = "answers.db"', r"output\.table: is missing"),
        ('path = "answers.csv"\ntable = "t"', r"output\.table: means nothing"),
        ('path = "-"\nstore = "s"', r"output\.format: must be one of"),
        ('path = "-"\nformat = "csv"', r"output\.store: is missing"),
        ('path = "answers.csv"\nformat = "xml"', r"output\.format"),
        ('path = "answers.csv"\nstore = "data.db"', "the store .* is the input"),
        ('path = "answers.csv"\nstore = "answers.csv"', "the store .* is the output"),
    ],
)
def test_places_that_make_no_sense_are_refused(folder: Path, output: str, complaint: str) -> None:
    with pytest.raises(ConfigError, match=complaint):
        run(folder, output)
