from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from penstock import ConfigError, Problem
from penstock_batch.store.journal import Journal

IDENTITY: dict[str, Any] = {"input": {"sha256": "abc"}, "steps": {"a": {"prompt": "Hi"}, "b": {}}}
STEPS = ("a", "b")


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "deep" / "rows.journal"


def refused(path: Path, identity: dict[str, Any] = IDENTITY, steps: tuple[str, ...] = STEPS) -> list[Problem]:
    """What is reported of a journal that cannot be used; its file first."""
    with pytest.raises(ConfigError) as caught:
        Journal(path, identity, steps)
    reported = caught.value.records
    assert (reported[0].source, reported[0].path) == (str(path), ())
    return list(reported)


def test_what_was_finished_is_there_when_the_journal_is_opened_again(path: Path) -> None:
    with Journal(path, IDENTITY, STEPS) as journal:
        assert not journal.resumed
        journal.finish(5, "a", {"text": "ü\n"})
        journal.finish(0, "a", None)
        journal.finish(5, "b", [1.5])
        assert journal.value(5, "a") == {"text": "ü\n"}
    with Journal(path, IDENTITY, STEPS) as journal:
        assert journal.resumed
        assert journal.value(5, "a") == {"text": "ü\n"}
        assert journal.value(0, "a") is None
        assert journal.done(5)
        assert not journal.done(0)
        assert journal.has(0, "a")
        assert not journal.has(0, "b")
        with pytest.raises(KeyError):
            journal.value(4, "a")


def test_the_latest_error_of_a_row_is_kept_and_makes_nothing_done(path: Path) -> None:
    with Journal(path, IDENTITY, STEPS) as journal:
        journal.fail(1, "a", "first")
        journal.fail(1, "b", "second")
    with Journal(path, IDENTITY, STEPS) as journal:
        assert journal.error(1) == ("b", "second")
        assert journal.error(0) is None
        assert not journal.done(1)


@pytest.mark.parametrize("torn", ['{"row":2,"st', '{"row":2,"step":"a","value":"x"}'])
def test_a_torn_last_line_is_cut_off_and_written_over(path: Path, torn: str) -> None:
    with Journal(path, IDENTITY, STEPS) as journal:
        journal.finish(1, "a", "kept")
        whole = journal.size
    with path.open("a", encoding="utf-8") as file:
        file.write(torn)
    with Journal(path, IDENTITY, STEPS) as journal:
        assert journal.size == whole == path.stat().st_size
        assert not journal.has(2, "a")
        journal.finish(2, "a", "again")
    with Journal(path, IDENTITY, STEPS) as journal:
        assert journal.value(1, "a") == "kept"
        assert journal.value(2, "a") == "again"
        assert journal.damaged_lines == 0


def test_every_possible_tear_leaves_a_journal_that_can_be_used(path: Path) -> None:
    with Journal(path, IDENTITY, STEPS) as journal:
        journal.finish(0, "a", "x")
    whole = path.read_bytes()
    for length in range(len(whole)):
        path.write_bytes(whole[:length])
        with Journal(path, IDENTITY, STEPS) as journal:
            assert not journal.has(0, "a")
            journal.finish(0, "a", "y")
            assert journal.value(0, "a") == "y"


def test_a_damaged_line_elsewhere_is_a_cell_that_was_not_done(path: Path) -> None:
    with Journal(path, IDENTITY, STEPS) as journal:
        journal.finish(0, "a", "x")
        journal.finish(1, "a", "y")
    damaged = path.read_bytes().replace(b'"value":"x"', b'"value\x00"x"')
    path.write_bytes(damaged + b'{"row":3,"step":"unknown","value":1}\n{"row":-1,"step":"a","value":1}\n[]\n')
    with Journal(path, IDENTITY, STEPS) as journal:
        assert journal.damaged_lines == 4
        assert not journal.has(0, "a")
        assert journal.value(1, "a") == "y"


def test_another_configuration_is_reported_by_what_differs(path: Path) -> None:
    with Journal(path, IDENTITY, STEPS) as journal:
        journal.fail(0, "a", "something was tried")
    changed = {"input": {"sha256": "def"}, "steps": {"a": {"prompt": "Ho"}, "c": {}}}
    whole, *differences = refused(path, changed, ("a", "c"))
    assert "--overwrite" in whole.what
    assert list(map(str, differences)) == [
        "input.sha256: was 'abc', is 'def'",
        "steps.a.prompt: was 'Hi', is 'Ho'",
        "steps.b: is gone",
        "steps.c: is new",
    ]


def test_a_journal_without_a_cell_binds_no_run(path: Path) -> None:
    Journal(path, IDENTITY, STEPS).close()
    with Journal(path, {"steps": {"c": {}}}, ("c",)) as journal:
        assert not journal.resumed
        journal.finish(0, "c", "x")
    with Journal(path, {"steps": {"c": {}}}, ("c",)) as journal:
        assert journal.value(0, "c") == "x"


def test_overwriting_begins_anew(path: Path) -> None:
    with Journal(path, IDENTITY, STEPS) as journal:
        journal.finish(0, "a", "old")
    with Journal(path, IDENTITY, STEPS, overwrite=True) as journal:
        assert not journal.has(0, "a")
        journal.finish(0, "a", "new")
        assert journal.value(0, "a") == "new"
    with Journal(path, IDENTITY, STEPS) as journal:
        assert journal.value(0, "a") == "new"


@pytest.mark.parametrize(
    ("head", "complaint"),
    [
        ('{"penstock_batch_journal":1,"ident\n', "has a damaged first line"),
        ('{"penstock_batch_journal":3,"identity":{}}\n', "has version 3, and this release reads 2"),
    ],
)
def test_a_first_line_that_cannot_be_used_is_reported(path: Path, head: str, complaint: str) -> None:
    path.parent.mkdir()
    path.write_text(head, encoding="utf-8")
    assert [problem.what for problem in refused(path)] == [f"{complaint}; --overwrite starts anew"]
    Journal(path, IDENTITY, STEPS, overwrite=True).close()


def test_a_file_that_is_no_journal_is_left_alone(path: Path) -> None:
    path.parent.mkdir()
    for content in ("precious\n", '{"a": 1}\n', "precious"):
        path.write_text(content, encoding="utf-8")
        (problem,) = refused(path)
        assert problem.what.startswith("is not a journal of penstock run")
        assert path.read_text(encoding="utf-8") == content


def test_two_runs_cannot_write_one_journal(path: Path) -> None:
    with Journal(path, IDENTITY, STEPS):
        (problem,) = refused(path)
        assert problem.what.startswith("is being written by another run")
    Journal(path, IDENTITY, STEPS).close()


def test_a_place_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("", encoding="utf-8")
    (problem,) = refused(tmp_path / "file" / "rows.journal")
    assert problem.what.startswith("cannot be opened: ")


def test_what_json_cannot_hold_leaves_no_trace(path: Path) -> None:
    with Journal(path, IDENTITY, STEPS) as journal:
        before = journal.size
        with pytest.raises(TypeError):
            journal.finish(0, "a", {1, 2})
        with pytest.raises(ValueError, match="JSON"):
            journal.finish(0, "a", float("nan"))
        assert journal.size == before
        assert not journal.has(0, "a")


def test_half_a_surrogate_pair_survives(path: Path) -> None:
    with Journal(path, IDENTITY, STEPS) as journal:
        journal.finish(0, "a", "x\ud800")
        assert journal.value(0, "a") == "x\ud800"
