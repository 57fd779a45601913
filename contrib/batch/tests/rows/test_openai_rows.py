from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from penstock_batch.rows.reader import survey

if TYPE_CHECKING:
    from contrib.batch.tests.rows.conftest import Files

CALL = {"custom_id": "a", "method": "POST", "url": "/v1/chat/completions", "body": {"model": "m"}}


def lines(files: Files, *calls: Any) -> None:
    text = "".join(f"{json.dumps(call)}\n" for call in calls)
    files.path("openai-batch").write_text(text, encoding="utf-8")


def test_a_call_is_a_row_with_its_parts_as_columns(files: Files) -> None:
    lines(files, CALL, {**CALL, "custom_id": "b"})
    assert files.read("openai-batch") == [CALL, {**CALL, "custom_id": "b"}]


@pytest.mark.parametrize(
    ("changed", "complaint"),
    [
        ({"custom_id": None}, "custom_id"),
        ({"custom_id": ""}, "custom_id"),
        ({"custom_id": 7}, "custom_id"),
        ({"method": "GET"}, "method"),
        ({"url": "https://api.example/v1"}, "url"),
        ({"body": "text"}, "body"),
    ],
)
def test_a_line_that_is_no_call_costs_its_row(files: Files, changed: dict[str, Any], complaint: str) -> None:
    lines(files, {**CALL, **changed}, CALL, [])
    bad = files.bad("openai-batch")
    assert list(bad) == [1, 3]
    assert complaint in bad[1]


def test_a_custom_id_names_one_call(files: Files) -> None:
    lines(files, CALL, CALL, CALL)
    assert list(files.bad("openai-batch")) == [2, 3]


def test_a_file_without_calls_has_the_columns_of_one(files: Files) -> None:
    lines(files)
    assert survey(files.path("openai-batch"), "openai-batch").columns == tuple(CALL)
