"""What a run that was killed has left: the next one takes its own away, and nothing else."""

from __future__ import annotations

import shutil
import sqlite3
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from penstock_batch.pipeline.loading import Pipeline, load_pipeline
from penstock_batch.rows.own_files import written
from penstock_batch.rows.sqlite_writer import sqlite_rows_to
from penstock_batch.running.workplaces import clear_before_anew, workplace_of
from penstock_batch.store.store import Store

if TYPE_CHECKING:
    from contrib.batch.tests.conftest import Folder


@pytest.fixture
def pipeline(folder: Folder) -> Pipeline:
    folder.write()
    return load_pipeline(folder.toml)


def left(pipeline: Pipeline) -> set[Path]:
    """What a run leaves that is killed while it writes."""
    output = pipeline.target.path
    with Store(pipeline.store) as store:
        place = workplace_of(pipeline, store)
        made = {place.new_file("stage")[1], place.new_file("gathered")[1]}
        before = set(output.parent.iterdir())
        with written(output, pipeline.store, mark=place.mark) as file:
            file.write(b"{}")
            for path in set(output.parent.iterdir()) - before:
                made.add(path.with_name(f"{path.stem}2.part"))
                path.with_name(f"{path.stem}2.part").write_bytes(b"{}")
        output.unlink()
        database = output.with_name("rows.db")
        before = set(output.parent.iterdir())
        with sqlite_rows_to(database, "t", ["a"], mark=place.mark):
            (folder,) = set(output.parent.iterdir()) - before
            shutil.copytree(folder, f"{folder.with_suffix('')}2.part")
            made.add(Path(f"{folder.with_suffix('')}2.part"))
        database.unlink()
    assert len(made) == 4
    assert all(path.exists() for path in made)
    return made


@pytest.mark.parametrize("anew", [False, True])
def test_the_next_run_takes_it_away_and_nothing_else(pipeline: Pipeline, anew: bool) -> None:
    ours = left(pipeline)
    folder = pipeline.store.parent
    others = {folder / name for name in (".stage.part", ".answers.jsonl.abc.part", ".stage-x.part", "mine.part")}
    for path in others:
        path.write_text("somebody's", encoding="utf-8")
    kept = folder / "kept"
    kept.write_text("somebody's", encoding="utf-8")
    link = min(path for path in ours if path.is_file())
    link.unlink()
    link.symlink_to(kept)
    if anew:
        clear_before_anew(pipeline)
    else:
        with Store(pipeline.store) as store:
            workplace_of(pipeline, store)
    assert {path.name for path in folder.iterdir() if not path.name.startswith("answers.jsonl.store")} == {
        path.name for path in (*others, kept, link)
    }


def test_a_copy_of_a_store_takes_nothing_away_of_the_other(pipeline: Pipeline) -> None:
    ours = left(pipeline)
    copy = pipeline.store.with_name("copy.store")
    shutil.copy(pipeline.store, copy)
    with Store(copy) as store:
        workplace_of(pipeline, store)
    assert all(path.exists() for path in ours)


def test_a_store_that_cannot_be_used_is_left_to_who_begins_anew(pipeline: Pipeline) -> None:
    pipeline.store.parent.mkdir()
    pipeline.store.write_bytes(sqlite3.sqlite_version.encode() * 100)
    clear_before_anew(pipeline)
    assert pipeline.store.exists()
