"""What can be read in the end of an answer."""

from __future__ import annotations

import gzip
import json
import zlib
from collections.abc import Callable

import pytest

from penstock import Usage
from penstock_httpx.usage import KEPT, AnswerTail

USAGE = {"prompt_tokens": 11, "completion_tokens": 5, "total_tokens": 16, "prompt_tokens_details": {"cached_tokens": 2}}
CHAT = {"id": "1", "choices": [{"message": {"content": 'he said "usage": {"prompt_tokens": 99}'}}], "usage": USAGE}


def tail(*chunks: bytes, encoding: str = "") -> AnswerTail:
    end = AnswerTail(encoding)
    for chunk in chunks:
        end.feed(chunk)
    return end


def test_usage_is_read_from_a_json_answer() -> None:
    assert tail(json.dumps(CHAT).encode()).usage() == Usage(11, 5)


def test_usage_is_read_when_the_answer_came_in_single_bytes() -> None:
    assert tail(*(bytes([byte]) for byte in json.dumps(CHAT).encode())).usage() == Usage(11, 5)


def test_usage_is_read_from_an_indented_answer_with_more_behind_it() -> None:
    assert tail(json.dumps({**CHAT, "service_tier": "usage"}, indent=2).encode()).usage() == Usage(11, 5)


def test_other_names_of_the_counts_are_known() -> None:
    assert tail(b'{"usage":{"input_tokens":3,"output_tokens":4}}').usage() == Usage(3, 4)


def test_an_embedding_has_no_output() -> None:
    assert tail(b'{"data":[],"usage":{"prompt_tokens":3,"total_tokens":3}}').usage() == Usage(3, 0)


def test_usage_is_read_from_the_last_event_of_a_stream_that_has_one() -> None:
    events = [{"choices": [], "usage": None}, {"choices": [{}], "usage": None}, {"choices": [], "usage": USAGE}]
    stream = [f"data: {json.dumps(event)}\n\n".encode() for event in events]

    assert tail(*stream, b"data: [DONE]\n\n").usage() == Usage(11, 5)
    assert tail(*stream[:2], b"data: [DONE]\n\n").usage() is None


def test_a_text_that_speaks_of_usage_is_not_taken_for_it() -> None:
    assert tail(json.dumps({"content": '"usage": {"prompt_tokens": 99}'}).encode()).usage() is None


def test_usage_at_the_end_of_a_long_answer_is_found() -> None:
    vector = json.dumps([0.125] * KEPT)

    assert tail(f'{{"data":{vector},"usage":{{"prompt_tokens":8}}}}'.encode()).usage() == Usage(8, 0)


@pytest.mark.parametrize(
    ("encoding", "pack"),
    [("gzip", gzip.compress), ("deflate", zlib.compress), ("identity", bytes)],
    ids=["gzip", "deflate", "not at all"],
)
def test_usage_is_read_from_a_packed_answer(encoding: str, pack: Callable[[bytes], bytes]) -> None:
    packed = pack(json.dumps(CHAT).encode())

    assert tail(packed[:20], packed[20:], encoding=encoding).usage() == Usage(11, 5)


@pytest.mark.parametrize("encoding", ["br", "zstd", "gzip, br"])
def test_nothing_is_read_in_an_unknown_encoding(encoding: str) -> None:
    assert tail(json.dumps(CHAT).encode(), encoding=encoding).usage() is None


def test_nothing_is_read_in_an_answer_that_is_not_packed_as_it_says() -> None:
    assert tail(b"plain", b" and simple", encoding="gzip").usage() is None


@pytest.mark.parametrize(
    "answer", [b"", b'{"usage"', b'{"usage": ', b'{"usage": 7}', b'{"usage": {"prompt', b'["usage", "of"]', b"\xff\xfe"]
)
def test_nothing_is_read_in_nonsense(answer: bytes) -> None:
    assert tail(answer).usage() is None


def test_counts_that_are_none_count_nothing() -> None:
    assert tail(b'{"usage": {"prompt_tokens": "many", "completion_tokens": true}}').usage() == Usage(0, 0)


@pytest.mark.parametrize(
    ("answer", "word"),
    [
        (b'{"error": {"type": "insufficient_quota", "message": "pay"}}', "insufficient_quota"),
        (b'{"error": {"code": "rate_limit_exceeded", "type": "tokens"}}', "rate_limit_exceeded"),
        (b'{"error": {"code": 429}}', None),
        (b'{"error": "no"}', None),
        (b"[1]", None),
        (b"<html>", None),
    ],
)
def test_the_providers_word_for_an_error_is_read(answer: bytes, word: str | None) -> None:
    assert tail(answer).error_type() == word


@pytest.mark.parametrize(
    ("stream", "ended"),
    [
        (b'data: {"choices": []}\n\ndata: [DONE]\n\n', True),
        (b'data: {"choices": []}\r\n\r\ndata: [DONE]\r\n\r\n', True),
        (b'event: message_stop\ndata: {"type": "message_stop"}\n\n', True),
        (b'event: response.completed\ndata: {"response": {}}\n\n', True),
        (b"data: [DONE]", False),
        (b'data: {"text": "data: [DONE]"}\n\n', False),
        (b"data: [DONE]\n\ndata: {}\n\n", False),
        (b"", False),
    ],
)
def test_the_last_event_of_a_stream_is_known(stream: bytes, ended: bool) -> None:
    assert tail(stream).last_event is ended
