from __future__ import annotations

import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from penstock_batch.rows.formats import Format
from penstock_batch.rows.reader import BadRow, InputFacts, InputProblem, Row, is_still, read_rows, survey


def bad_lines(path: Path, form: str) -> dict[int, str]:
    rows = read_rows(path, "csv" if form == "csv" else "jsonl")
    return {row.line: row.problem for row in rows if isinstance(row, BadRow)}


def test_rows_of_json_lines_know_the_line_they_stand_on(tmp_path: Path) -> None:
    path = tmp_path / "rows.jsonl"
    path.write_bytes('\ufeff{"a": 1}\n\n  \n{"a": "ü"}'.encode())
    assert list(read_rows(path, "jsonl")) == [Row(0, 1, {"a": 1}), Row(1, 4, {"a": "ü"})]


@pytest.mark.parametrize("form", ["jsonl", "csv"])
def test_whether_a_file_is_still_what_it_was_is_seen(tmp_path: Path, form: Format) -> None:
    path = tmp_path / "rows"
    path.write_text('{"a":1}\n', encoding="utf-8")
    facts = survey(path, form)
    assert is_still(path, form, facts)
    path.write_text('{"a":2}\n', encoding="utf-8")
    assert not is_still(path, form, facts)


def test_a_file_that_is_written_while_it_is_surveyed_is_never_what_it_was(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "rows.jsonl"
    path.write_text('{"a":1}\n', encoding="utf-8")

    def rows_and_more(*given: Any, **more: Any) -> Iterator[Row | BadRow]:
        yield from read_rows(*given, **more)
        path.write_text('{"a":2}\n', encoding="utf-8")

    monkeypatch.setattr("penstock_batch.rows.reader.read_rows", rows_and_more)
    facts = survey(path, "jsonl")
    assert not is_still(path, "jsonl", facts)


def test_a_malformed_line_costs_one_row(tmp_path: Path) -> None:
    path = tmp_path / "rows.jsonl"
    lines = [
        b'{"a": 1}',
        b'{"a": ',
        b"[1]",
        b'"x"',
        b'{"a": NaN}',
        b'{"a": 1e999}',
        b'{"a": "\xff"}',
        b"[" * 100_000,
        b"7",
    ]
    path.write_bytes(b"\n".join([*lines, b'{"a": 2}']))
    rows = list(read_rows(path, "jsonl"))
    assert [row.index for row in rows] == list(range(10))
    assert isinstance(rows[-1], Row)
    problems = bad_lines(path, "jsonl")
    assert list(problems) == [2, 3, 4, 5, 6, 7, 8, 9]
    for line, part in {
        2: "not JSON",
        3: "an array",
        4: "a string",
        5: "NaN",
        6: "too large",
        7: "not UTF-8",
        9: "a number",
    }.items():
        assert part in problems[line]


def test_rows_of_csv_know_the_line_they_begin_on(tmp_path: Path) -> None:
    path = tmp_path / "rows.csv"
    path.write_text('\ufeffname,text\nx,"two\nlines"\n\ny,z\n', encoding="utf-8")
    assert list(read_rows(path, "csv")) == [
        Row(0, 2, {"name": "x", "text": "two\nlines"}),
        Row(1, 5, {"name": "y", "text": "z"}),
    ]


def test_a_malformed_csv_record_costs_one_row(tmp_path: Path) -> None:
    path = tmp_path / "rows.csv"
    path.write_bytes(b'a,b\n1,2\n3\n4,\xff\n5,6,7\n8,9\n"x"y,1\n')
    assert [row.index for row in read_rows(path, "csv")] == list(range(6))
    problems = bad_lines(path, "csv")
    assert problems[3] == "has 1 field where the header names 2"
    assert problems[4] == "is not UTF-8"
    assert problems[5] == "has 3 fields where the header names 2"
    assert problems[7].startswith("is not CSV")


def test_a_field_may_be_longer_than_csvs_own_guard(tmp_path: Path) -> None:
    path = tmp_path / "rows.csv"
    path.write_text("a\n" + "x" * 200_000 + "\n", encoding="utf-8")
    (row,) = read_rows(path, "csv")
    assert isinstance(row, Row)
    assert len(row.values["a"]) == 200_000


@pytest.mark.parametrize(
    ("content", "complaint"),
    [
        ("", "must be a header"),
        ("a,a\n1,2\n", "'a' twice"),
        ("a,,b\n", "without a name"),
        ('"a\n', "line 1 is not CSV"),
    ],
)
def test_a_header_that_names_no_columns_is_the_files_fault(tmp_path: Path, content: str, complaint: str) -> None:
    path = tmp_path / "rows.csv"
    path.write_text(content, encoding="utf-8")
    with pytest.raises(InputProblem, match=complaint):
        list(read_rows(path, "csv"))


@pytest.mark.parametrize("name", ["missing.jsonl", ""])
def test_a_file_that_cannot_be_opened_is_named(tmp_path: Path, name: str) -> None:
    with pytest.raises(InputProblem, match=str(tmp_path)):
        survey(tmp_path / name, "jsonl")


def test_the_survey_knows_rows_columns_and_the_first_bad_lines(tmp_path: Path) -> None:
    path = tmp_path / "rows.jsonl"
    rows = [{"a": 1}, {"b": 2, "a": 3}] * 10
    path.write_text("".join(f"{json.dumps(row)}\noops\n" for row in rows), encoding="utf-8")
    facts = survey(path, "jsonl", most_bad=3)
    assert (facts.rows, facts.columns, facts.bad_count) == (40, ("a", "b"), 20)
    assert [row.line for row in facts.bad] == [2, 4, 6]


def test_a_csv_without_rows_still_has_columns(tmp_path: Path) -> None:
    path = tmp_path / "rows.csv"
    path.write_text("a,b\n", encoding="utf-8")
    assert survey(path, "csv").columns == ("a", "b")


def test_another_content_has_another_digest(tmp_path: Path) -> None:
    path = tmp_path / "rows.jsonl"
    path.write_text('{"a": 1}\n', encoding="utf-8")
    before = survey(path, "jsonl").sha256
    path.write_text('{"a": 2}\n', encoding="utf-8")
    assert survey(path, "jsonl").sha256 != before


@pytest.mark.parametrize(
    ("line", "problem"),
    [
        ('{"x": 1, "x": 2}', "is not JSON: the name 'x' twice in one object"),
        ('{"x" : {"y": 1, "\\u0079" : 2}}', "is not JSON: the name 'y' twice in one object"),
        ('{"x" : 1, "x":2}', "is not JSON: the name 'x' twice in one object"),
        ('{"x":{"y"\t: 1, "y" :2}, "z":3}', "is not JSON: the name 'y' twice in one object"),
        ('{"x": ' + "9" * 5000 + "}", "is not JSON: it has a number of more than 4,300 digits"),
    ],
)
def test_what_would_lose_a_value_costs_its_row(tmp_path: Path, line: str, problem: str) -> None:
    path = tmp_path / "rows.jsonl"
    path.write_text(f'{line}\n{{"x": "a: b", "y": {{"x": 1}}}}\n', encoding="utf-8")
    bad, good = read_rows(path, "jsonl")
    assert isinstance(bad, BadRow)
    assert bad.problem == problem
    assert isinstance(good, Row)


def test_a_record_of_csv_that_is_no_text_is_shown(tmp_path: Path) -> None:
    path = tmp_path / "rows.csv"
    path.write_bytes(b"a,b\n1,\xff\n")
    (bad,) = read_rows(path, "csv")
    assert isinstance(bad, BadRow)
    assert (bad.problem, bad.text) == ("is not UTF-8", "1,\ufffd")


@pytest.mark.parametrize("form", ["jsonl", "csv", "openai-batch"])
def test_what_is_no_file_any_more_is_not_read_as_an_empty_one(tmp_path: Path, form: Format) -> None:
    """A pipe that has come in the place of an input would be waited for, and a device read for ever."""
    path = tmp_path / "rows"
    path.symlink_to(os.devnull)
    with pytest.raises(InputProblem, match="is no ordinary file any more"):
        list(read_rows(path, form))
    with pytest.raises(InputProblem, match="is no ordinary file any more"):
        is_still(path, form, InputFacts(0, (), ""))
