"""JSON as it is read and written: whatever does it, the bytes and the values are those of Python's own module."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given, strategies as st

from penstock_batch.rows.lines import json_bytes, json_value

SCALARS = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text()
VALUES = st.recursive(
    SCALARS, lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner), max_leaves=8
) | st.dictionaries(st.text(), SCALARS)


def as_python_writes_it(value: Any) -> bytes:
    return json.dumps(value, ensure_ascii=False, allow_nan=False, separators=(",", ":")).encode()


@given(VALUES)
def test_what_is_written_is_what_python_writes(value: Any) -> None:
    assert json_bytes(value) == as_python_writes_it(value)
    assert repr(json_value(json_bytes(value))) == repr(json.loads(json_bytes(value)))


@pytest.mark.parametrize(
    "value", [1e16, 1e-7, 0.00001, 2**200, "\x7f\u2028\x1b", {1: 2}, {True: 1}, {None: 1}, {1e16: 1}]
)
def test_numbers_and_names_are_written_as_python_does(value: Any) -> None:
    assert json_bytes({"a": value}) == as_python_writes_it({"a": value})
    assert json_bytes(value) == as_python_writes_it(value)


@pytest.mark.parametrize("value", [float("nan"), float("inf"), {1}, b"x", object(), 10**5000], ids=type)
def test_what_json_cannot_say_is_refused(value: object) -> None:
    with pytest.raises((TypeError, ValueError)):
        json_bytes({"a": value})


@pytest.mark.parametrize(
    "text", [b'"\\ud800"', b'{"\\udfff": 1}', b"-0", b'{"a": 1, "a": 2}', b"[1e400]", b"NaN", b"1" * 30]
)
def test_what_is_read_is_what_python_reads(text: bytes) -> None:
    assert repr(json_value(text)) == repr(json.loads(text))


def test_half_a_surrogate_pair_is_written_as_an_escape() -> None:
    assert json_bytes({"a": "\ud800"}) == b'{"a":"\\ud800"}'
    assert json_bytes({"\udc00": 1}) == b'{"\\udc00":1}'
