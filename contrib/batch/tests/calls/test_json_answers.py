from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given, strategies as st

from penstock_batch.calls.json_answers import NoJson, json_in

VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=10,
)
PROSE = st.text(st.characters(exclude_characters="{}[]`~<", exclude_categories=["Cs"]), max_size=30)


@given(VALUES)
def test_what_is_json_is_taken_as_it_is(value: Any) -> None:
    assert json_in(json.dumps(value)) == value
    assert json_in(f"\ufeff {json.dumps(value, indent=2)}\n") == value


@given(VALUES, PROSE, PROSE)
def test_json_in_a_fence_is_found_whatever_stands_around_it(value: Any, before: str, after: str) -> None:
    assert json_in(f"{before}.\n```json\n{json.dumps(value, indent=1)}\n```\n{after}") == value


@given(st.dictionaries(st.text(), VALUES, max_size=3) | st.lists(VALUES, max_size=3), PROSE, PROSE)
def test_an_object_or_an_array_is_found_in_a_sentence(value: Any, before: str, after: str) -> None:
    assert json_in(f"Sure: {before} {json.dumps(value)} {after} so far") == value


@pytest.mark.parametrize(
    "text",
    [
        '~~~\n{"a": 1}\n~~~',
        '```JSON\n{"a": 1}```\n',
        '   ```\n   {"a": 1}\n   ```',
        '<think>{"a": 2}? Or {"a": 3}</think>\n{"a": 1}',
        '<think>\n```json\n{}\n```\n</think>\n\n```json\n{"a": 1}\n```',
        '```json {"a": 1} ```',
        '```json\n{"a": 1}\n',
    ],
)
def test_the_ways_in_which_models_write_json(text: str) -> None:
    assert json_in(text) == {"a": 1}


def test_a_value_that_speaks_of_thoughts_and_fences_is_whole() -> None:
    value = {"a": "</think> ```json\n{}\n```"}
    assert json_in(json.dumps(value)) == value


@pytest.mark.parametrize(
    "text",
    [
        "",
        "   ",
        "none",
        "I cannot do that.",
        '{"a": 1} or {"a": 2}',
        'As [1] says, {"a": 1}',
        '```json\n{"a": 1}\n```\nor\n```json\n{"a": 2}\n```',
        '```json\n{"a": 1} {"a": 2}\n```',
        "{'a': 1}",
        '{"a": 1',
        "{a: 1}",
        '{"a": NaN}',
        '{"a": 1e999}',
        '{"a": -Infinity}',
        '{"a": 1, "a": 2}',
        "1" * 5000,
        "[" * 101 + "]" * 101,
        "[" * 100_000,
        '{"a":' * 100_000 + "1" + "}" * 100_000,
    ],
)
def test_what_is_no_json_or_not_one_alone_is_none_and_says_why_in_one_line(text: str) -> None:
    with pytest.raises(NoJson) as caught:
        json_in(text)
    assert 0 < len(str(caught.value)) < 200
    assert "\n" not in str(caught.value)


def test_a_hundred_levels_are_taken() -> None:
    assert json_in("[" * 100 + "]" * 100) is not None


@given(st.text(st.sampled_from('{}[]"`\n:,1ajson<>/think '), max_size=60))
def test_no_text_gives_anything_but_a_value_or_a_reason(text: str) -> None:
    try:
        value = json_in(text)
    except NoJson:
        return
    json.dumps(value)
