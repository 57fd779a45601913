"""Each line of the parent's as a task, or as what is wrong with it."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given, strategies as st

from penstock_worker.framing import LongLine
from penstock_worker.messages import BadLine, Message, read_message


def line(**fields: Any) -> bytes:
    return json.dumps({"task_id": "x1", "type": "demo", "payload": {"a": 1}, "queue": "q.default", **fields}).encode()


def test_a_task_has_id_type_payload_queue_and_size() -> None:
    text = line(retry_count=0, max_retry=2, something_new=[1])

    assert read_message(text) == Message("x1", "demo", {"a": 1}, "q.default", len(text))


def test_what_may_be_left_out_has_a_default() -> None:
    assert read_message(b'{"task_id":"x"}') == Message("x", None, {}, "default", 15)


def test_a_payload_that_was_no_json_is_none() -> None:
    found = read_message(line(payload=None))

    assert isinstance(found, Message)
    assert found.payload is None


@pytest.mark.parametrize("text", [b"", b"  ", b"\r", b"\xef\xbb\xbf"])
def test_an_empty_line_is_nothing(text: bytes) -> None:
    assert read_message(text) is None


@pytest.mark.parametrize("text", [b"\xef\xbb\xbf" + line(), line() + b"\r", b"  " + line()])
def test_a_mark_at_the_beginning_and_a_carriage_return_at_the_end_do_no_harm(text: bytes) -> None:
    assert isinstance(read_message(text), Message)


@pytest.mark.parametrize(
    "text",
    [
        b'{"task_id":"x1","payload":',
        b'{"task_id":"x1","payload":"\xff"}',
        b'{"task_id":"x1","payload":NaN}',
        b'{"task_id":"x1","payload":-Infinity}',
        b'{"task_id":"x1","payload":' + b"[" * 100_000,
        b'{"task_id":"x1","payload":' + b"9" * 5_000 + b"}",
        b'{"task_id":"x1"}{"task_id":"x2"}',
        b'{"task_id":"x1","type":7}',
        b'{"task_id":"x1","queue":7}',
        b'{"task_id":"x1","queue":"\\ud800"}',
        b' { "task_id" : "x1" , oops',
    ],
)
def test_a_bad_line_with_an_id_is_answered(text: bytes) -> None:
    found = read_message(text)

    assert isinstance(found, BadLine)
    assert found.task_id == "x1"
    assert found.error


def test_a_number_as_an_id_is_answered_by_its_digits() -> None:
    assert read_message(b'{"task_id":7}') == BadLine("7", "task_id must be a string")


@pytest.mark.parametrize(
    "text",
    [
        b"hello",
        b"[1]",
        b"null",
        b'"x1"',
        b"{}",
        b'{"task_id":null}',
        b'{"task_id":true}',
        b'{"task_id":["x1"]}',
        b'{"task_id":"x1',
        b'{"payload":{"task_id":"not the id"},',
        '{"task_id":"x1"}'.encode("utf-16"),
    ],
)
def test_a_bad_line_without_an_id_has_nobody_to_answer_to(text: bytes) -> None:
    found = read_message(text)

    assert isinstance(found, BadLine)
    assert found.task_id is None


def test_a_line_that_is_too_long_is_answered_by_the_id_at_its_beginning() -> None:
    found = read_message(LongLine(b'{"task_id":"x\\"1","payload":"aaaa', 70_000_000))

    assert isinstance(found, BadLine)
    assert found.task_id == 'x"1'
    assert "70,000,000" in found.error


@given(st.binary())
def test_any_bytes_give_a_task_a_bad_line_or_nothing(text: bytes) -> None:
    assert read_message(text) is None or isinstance(read_message(text), Message | BadLine)
