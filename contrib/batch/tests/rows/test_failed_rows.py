"""What failed is an input as it stands, once and again."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, strategies as st

from penstock_batch.rows.failed_rows import FAILED, failed_line, row_without_failure
from penstock_batch.rows.lines import json_line
from penstock_batch.rows.own_files import looks_like_failed_rows
from penstock_batch.rows.reader import BadRow, InputProblem, Row, read_rows, survey

FAILURE = {"line": 3, "step": "summary", "error": "HTTP 400", "answer": "I cannot"}


def read(tmp_path: Path, *lines: Any) -> list[Row | BadRow]:
    path = tmp_path / "rows.jsonl"
    path.write_bytes(b"".join(map(json_line, lines)))
    return list(read_rows(path, "jsonl"))


def test_the_columns_of_a_row_that_failed_are_read_without_the_reason(tmp_path: Path) -> None:
    (row,) = read(tmp_path, failed_line({"id": 1, "text": "a"}, FAILURE))
    assert isinstance(row, Row)
    assert row.values == {"id": 1, "text": "a"}
    assert FAILED not in survey(tmp_path / "rows.jsonl", "jsonl").columns


def test_a_row_that_could_not_be_read_cannot_be_read_the_second_time(tmp_path: Path) -> None:
    failure = {"line": 3, "step": None, "error": "line 3: is not JSON", "text": '{"id":'}
    (bad,) = read(tmp_path, failed_line(None, failure))
    assert isinstance(bad, BadRow)
    assert (bad.line, bad.problem, bad.text) == (1, "line 3: is not JSON", '{"id":')


def test_a_row_without_columns_may_fail_too(tmp_path: Path) -> None:
    (row,) = read(tmp_path, failed_line({}, FAILURE))
    assert isinstance(row, Row)
    assert row.values == {}


@pytest.mark.parametrize("value", ["yes", None, {}, {"line": 1}, [1]])
def test_a_column_of_that_name_that_is_somebody_elses_is_refused(tmp_path: Path, value: object) -> None:
    (bad,) = read(tmp_path, {"id": 1, FAILED: value})
    assert isinstance(bad, BadRow)
    assert "'_failed'" in bad.problem
    assert "rename it" in bad.problem


def test_a_csv_with_a_column_of_that_name_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "rows.csv"
    path.write_text("id,_failed\n1,x\n", encoding="utf-8")
    with pytest.raises(InputProblem, match="_failed"):
        list(read_rows(path, "csv"))


@given(st.dictionaries(st.text(max_size=5), st.integers(), max_size=3), st.integers(1, 3))
def test_whatever_fails_again_and_again_keeps_its_columns(columns: dict[str, int], times: int) -> None:
    row: dict[str, Any] = {name: value for name, value in columns.items() if name != FAILED}
    read_again = row
    for _ in range(times):
        read_again = row_without_failure(failed_line(read_again, FAILURE))
    assert read_again == row


@pytest.mark.parametrize(
    "line", [failed_line({"id": 1}, FAILURE), failed_line(None, {**FAILURE, "text": ""}), {**FAILURE, "row": {"id": 1}}]
)
def test_the_failed_rows_of_a_run_are_known_as_such(tmp_path: Path, line: dict[str, Any]) -> None:
    path = tmp_path / "out.jsonl.failed.jsonl"
    path.write_bytes(json_line(line))
    assert looks_like_failed_rows(path)


def test_rows_of_others_are_not_taken_for_failed_ones(tmp_path: Path) -> None:
    path = tmp_path / "out.jsonl.failed.jsonl"
    path.write_bytes(json_line({"id": 1, FAILED: "no"}))
    assert not looks_like_failed_rows(path)
