"""Tables of SQLite: read in their order while others write, written beside what is not ours."""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import HealthCheck, given, settings, strategies as st

from penstock_batch.rows.formats import column_problem, table_name_problem
from penstock_batch.rows.lines import json_line
from penstock_batch.rows.own_files import OutputLost
from penstock_batch.rows.reader import InputProblem, Row, read_rows, survey
from penstock_batch.rows.spool import spooled
from penstock_batch.rows.sqlite_rows import SqliteReader
from penstock_batch.rows.sqlite_writer import sqlite_rows_to
from penstock_batch.rows.target import RowSource, Target

if TYPE_CHECKING:
    from contrib.batch.tests.rows.conftest import Files


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "data.db"


@pytest.fixture
def database(path: Path) -> Iterator[sqlite3.Connection]:
    with closing(sqlite3.connect(path, isolation_level=None)) as opened:
        yield opened


def values(path: Path, table: str = "t") -> list[dict[str, Any]]:
    found = []
    for row in read_rows(path, "sqlite", table=table):
        assert isinstance(row, Row), row
        found.append(row.values)
    return found


def problem(path: Path, table: str | None = "t") -> str:
    with pytest.raises(InputProblem) as caught:
        survey(path, "sqlite", table=table)
    return str(caught.value)


# -- in --


def test_rows_come_by_rowid_over_several_pages(path: Path, database: sqlite3.Connection) -> None:
    database.execute('CREATE TABLE t (a, "odd "" name")')
    rows = [(3 * i, i, f"text {i}") for i in range(1200)]
    database.executemany('INSERT INTO t (rowid, a, "odd "" name") VALUES (?, ?, ?)', reversed(rows))
    found = list(read_rows(path, "sqlite", table="t"))
    assert [(row.index, row.line) for row in found] == [(i, i + 1) for i in range(1200)]
    assert values(path)[1199] == {"a": 1199, 'odd " name': "text 1199"}


def test_rows_without_a_rowid_come_by_their_primary_key(path: Path, database: sqlite3.Connection) -> None:
    database.execute("CREATE TABLE t (b, a, c, PRIMARY KEY (a, b)) WITHOUT ROWID")
    pairs = [(a, f"{b:03}") for a in range(3) for b in range(400)]
    database.executemany("INSERT INTO t (a, b) VALUES (?, ?)", reversed(pairs))
    assert [(row["a"], row["b"]) for row in values(path)] == pairs


def test_a_column_may_be_called_rowid(path: Path, database: sqlite3.Connection) -> None:
    database.execute("CREATE TABLE t (rowid TEXT, _rowid_ TEXT)")
    database.execute("INSERT INTO t VALUES ('z', 'x'), ('a', 'y')")
    assert [row["rowid"] for row in values(path)] == ["z", "a"]
    database.execute("CREATE TABLE all_taken (rowid, _rowid_, oid)")
    assert "have no order" in problem(path, "all_taken")


def test_each_kind_of_value_has_its_place(path: Path, database: sqlite3.Connection) -> None:
    database.execute("CREATE TABLE t (v)")
    given = [None, 2**63 - 1, 1.5, float("inf"), -float("inf"), "a\0b", b"\x00\xff"]
    database.executemany("INSERT INTO t VALUES (?)", [(value,) for value in given])
    expected = [None, 2**63 - 1, 1.5, "Infinity", "-Infinity", "a\0b", "AP8="]
    assert [row["v"] for row in values(path)] == expected


def test_a_text_that_is_not_utf8_costs_its_row(path: Path, database: sqlite3.Connection) -> None:
    database.execute("CREATE TABLE t (v)")
    database.execute("INSERT INTO t VALUES ('a'), (CAST(x'ff' AS TEXT)), ('c')")
    facts = survey(path, "sqlite", table="t")
    assert (facts.rows, facts.bad_count, facts.bad[0].problem) == (3, 1, "'v' is not UTF-8")


def test_generated_columns_are_columns_too(path: Path, database: sqlite3.Connection) -> None:
    database.execute("CREATE TABLE t (a, twice AS (2 * a))")
    database.execute("INSERT INTO t VALUES (4)")
    assert values(path) == [{"a": 4, "twice": 8}]


def test_a_table_without_rows_has_columns(path: Path, database: sqlite3.Connection) -> None:
    database.execute("CREATE TABLE t (a, b)")
    assert survey(path, "sqlite", table="T").columns == ("a", "b")


def test_a_row_that_is_changed_meanwhile_is_found(path: Path, database: sqlite3.Connection) -> None:
    database.execute("CREATE TABLE t (a)")
    database.execute("INSERT INTO t VALUES (1), (2)")
    facts = survey(path, "sqlite", table="t")
    reading = read_rows(path, "sqlite", table="t")
    assert facts.unchanged(next(reading))
    database.execute("UPDATE t SET a = 7 WHERE a = 2")  # which nothing keeps from being written
    assert [facts.unchanged(row) for row in read_rows(path, "sqlite", table="t")] == [True, False]
    assert survey(path, "sqlite", table="t").sha256 != facts.sha256


def test_what_lies_in_the_write_ahead_log_is_read_and_copied(path: Path, database: sqlite3.Connection) -> None:
    database.execute("PRAGMA journal_mode = WAL")
    database.execute("PRAGMA wal_autocheckpoint = 0")
    database.execute("CREATE TABLE t (a)")
    database.execute("INSERT INTO t VALUES (1)")
    assert path.with_name("data.db-wal").stat().st_size > 0
    assert values(path) == [{"a": 1}]
    copy = spooled(path, "sqlite", always=True)
    assert copy is not None
    database.execute("INSERT INTO t VALUES (2)")
    assert values(copy.path) == [{"a": 1}]


def test_a_database_that_cannot_be_used_says_why(path: Path, database: sqlite3.Connection) -> None:
    assert "has no table 't'; it has none" in problem(path)
    database.execute("CREATE TABLE tickets (a)")
    database.execute("CREATE VIEW seen AS SELECT a FROM tickets")
    assert "did you mean 'tickets'" in problem(path, "tikets")
    assert "is a view" in problem(path, "seen")
    assert "say which of its tables" in problem(path, None)
    assert "No such file" in problem(path.with_name("missing.db"))
    other = path.with_name("other.db")
    other.write_text("a,b\n" * 400, encoding="utf-8")
    assert "is no SQLite database" in problem(other)
    database.executemany("INSERT INTO tickets VALUES (?)", [("x" * 1000,)] * 100)
    whole = path.read_bytes()
    other.write_bytes(whole[: len(whole) // 2])
    assert "damaged" in problem(other, "tickets")


def test_a_locked_database_is_waited_for_and_then_named(path: Path, database: sqlite3.Connection) -> None:
    database.execute("CREATE TABLE t (a)")
    database.execute("BEGIN EXCLUSIVE")
    with pytest.raises(InputProblem, match="locked by another program"):
        list(SqliteReader("t", patience=0).rows(path))


def test_nothing_is_written_where_rows_are_read(path: Path, database: sqlite3.Connection) -> None:
    database.execute("CREATE TABLE t (a)")
    before = path.read_bytes()
    values(path)
    assert path.read_bytes() == before
    assert os.listdir(path.parent) == [path.name]


# -- out --

SCALARS = (
    st.none()
    | st.integers(-(2**63), 2**63 - 1)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(max_size=5)
)
NAMES = st.lists(
    st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]), max_size=4),
    unique_by=lambda name: name.lower(),
    min_size=1,
    max_size=3,
)


@given(NAMES.flatmap(lambda names: st.lists(st.fixed_dictionaries(dict.fromkeys(names, SCALARS)), min_size=1)))
@settings(max_examples=30, suppress_health_check=[HealthCheck.too_slow], deadline=None)
def test_numbers_and_texts_come_back_as_they_were(files: Files, rows: list[dict[str, Any]]) -> None:
    files.write("sqlite", rows, list(rows[0]))
    assert files.read("sqlite") == rows


def test_what_is_neither_stands_as_json(files: Files) -> None:
    row = {"a": [1, {"b": None}], "yes": True, "huge": 2**64, "half": "\ud800x", "digits": "0012"}
    files.write("sqlite", [row], list(row))
    expected = {"a": '[1,{"b":null}]', "yes": 1, "huge": str(2**64), "half": "\\ud800x", "digits": "0012"}
    assert files.read("sqlite") == [expected]


def fill(path: Path, table: str, *rows: dict[str, Any], source: RowSource | None = None) -> None:
    with Target(path, "sqlite", table).rows(["a"], path, source or RowSource(path, "sqlite", "t")) as put:
        for row in rows:
            put(json_line(row))


def test_other_tables_are_left_as_they_are(path: Path, database: sqlite3.Connection) -> None:
    database.execute("CREATE TABLE other (x)")
    database.execute("INSERT INTO other VALUES (1)")
    fill(path, "t", {"a": 1}, {"a": 2})
    fill(path, "t", {"a": 3})
    assert values(path) == [{"a": 3}]
    assert values(path, "other") == [{"x": 1}]


def test_rows_may_come_from_another_table_of_the_same_file(path: Path, database: sqlite3.Connection) -> None:
    database.execute("CREATE TABLE t (a)")
    database.executemany("INSERT INTO t VALUES (?)", [(i,) for i in range(1000)])
    with Target(path, "sqlite", "copy").rows(["a"], path, RowSource(path, "sqlite", "t")) as put:
        for row in read_rows(path, "sqlite", table="t"):
            assert isinstance(row, Row)
            put(json_line(row.values))
    assert values(path, "copy") == values(path, "t")


def test_a_new_database_is_its_owners_alone_and_nothing_lies_beside_it(path: Path) -> None:
    fill(path, "t", {"a": 1})
    assert path.stat().st_mode & 0o777 == 0o600
    assert os.listdir(path.parent) == [path.name]


def test_a_block_that_raises_leaves_everything_as_it_was(path: Path) -> None:
    fill(path, "t", {"a": 1})
    with pytest.raises(ValueError, match="JSON"):
        fill(path, "t", {"a": 2}, {"a": [float("nan")]})
    assert values(path) == [{"a": 1}]
    assert os.listdir(path.parent) == [path.name]


def test_a_database_that_cannot_be_written_loses_nothing_in_silence(path: Path) -> None:
    path.write_text("no database\n" * 100, encoding="utf-8")
    with pytest.raises(OutputLost, match="is no SQLite database"):
        fill(path, "t", {"a": 1})
    assert path.read_text(encoding="utf-8").startswith("no database")


def test_a_database_that_is_held_is_waited_for_and_then_named(path: Path, database: sqlite3.Connection) -> None:
    database.execute("CREATE TABLE other (a)")
    database.execute("BEGIN IMMEDIATE")
    with pytest.raises(OSError, match="locked by another program"), sqlite_rows_to(path, "t", ["a"], patience=0):
        pass
    database.execute("COMMIT")
    assert os.listdir(path.parent) == [path.name]


def test_a_table_that_no_run_made_is_replaced_only_on_purpose(path: Path, database: sqlite3.Connection) -> None:
    database.execute("CREATE TABLE t (a)")
    database.execute("CREATE VIEW seen AS SELECT 1")
    target = Target(path, "sqlite", "T")
    assert "that no run has made" in str(target.occupied(ours=False))
    assert target.occupied(ours=True) is None
    assert Target(path, "sqlite", "new").occupied(ours=False) is None
    assert "as view" in str(Target(path, "sqlite", "seen").occupied(ours=True))
    target.remove()
    assert values(path) == []


@pytest.mark.parametrize(
    ("names", "complaint"),
    [
        (["a", "A"], "both 'a' and 'A'"),
        (["a\0"], "holds a NUL"),
        (["\ud800"], "half a surrogate pair"),
        ([str(i) for i in range(2001)], "at most 2,000 columns"),
    ],
)
def test_names_that_a_table_cannot_have_are_found_before_anything_runs(names: list[str], complaint: str) -> None:
    assert complaint in str(column_problem("sqlite", names))
    assert column_problem("jsonl", names) is None


@pytest.mark.parametrize("name", ["sqlite_x", "SQLite_stat1", "a\0b"])
def test_names_that_no_table_can_have_are_known(name: str) -> None:
    assert table_name_problem(name) is not None
    assert table_name_problem("t") is None


def test_names_that_differ_beyond_ascii_are_two(files: Files) -> None:
    assert column_problem("sqlite", ["Ä", "ä", ""]) is None
    files.write("sqlite", [{"Ä": 1, "ä": 2, "": 3}], ["Ä", "ä", ""])
    assert files.read("sqlite") == [{"Ä": 1, "ä": 2, "": 3}]
