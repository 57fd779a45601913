from __future__ import annotations

import gzip
import json

import pytest

from penstock import Ended, ErrorFields, Usage
from penstock_batch.calls.answers import Answered, BadAnswer, answer_of, error_line, vectors_in
from penstock_batch.calls.judging import Rejected, judge
from penstock_batch.pipeline.steps import Step
from penstock_batch.store.answer import Answer
from penstock_dialects import AnswerReader, Memory, find_dialect


def read(body: bytes, status: int = 200, encoding: str = "") -> AnswerReader:
    headers = {"content-encoding": encoding} if encoding else {}
    with AnswerReader(find_dialect("openai"), status, headers, memory=Memory(), strict=True) as reader:
        reader.feed(body)
        reader.end()
    return reader


def chat(content: object, finish: str = "length", **message: object) -> bytes:
    return json.dumps({"choices": [{"message": {"content": content, **message}, "finish_reason": finish}]}).encode()


def test_a_chat_answer_has_text_tokens_and_how_it_ended() -> None:
    body = json.loads(chat("Hi"))
    body["usage"] = {"prompt_tokens": 7, "completion_tokens": 2}
    assert answer_of("chat", read(json.dumps(body).encode())) == Answered("Hi", Usage(7, 2), "length")


@pytest.mark.parametrize(
    "usage", [None, [], {}, {"prompt_tokens": "7"}, {"prompt_tokens": -1}, {"prompt_tokens": True}]
)
def test_strange_usage_is_no_usage(usage: object) -> None:
    body = {**json.loads(chat("Hi")), "usage": usage}
    assert answer_of("chat", read(json.dumps(body).encode())).usage == Usage()


def test_a_text_in_parts_is_joined() -> None:
    parts = [{"type": "text", "text": "a"}, {"type": "thinking", "thinking": "hm"}, {"type": "text", "text": "b"}]
    assert answer_of("chat", read(chat(parts, "stop"))).value == "ab"


def test_the_calls_of_tools_are_kept_beside_the_text() -> None:
    calls = [{"id": "c", "type": "function", "function": {"name": "f", "arguments": "{}"}}]
    answered = answer_of("chat", read(chat(None, "tool_calls", tool_calls=calls)))
    assert answered.value == {"text": "", "tool_calls": [{"id": "c", "name": "f", "arguments": "{}"}]}
    assert answered.ended == "tool_calls"


@pytest.mark.parametrize(
    ("body", "complaint"),
    [
        (b"<html>", "is none"),
        (b"[]", "is none"),
        (b'{"choices": []}', "ended with"),
        (b'{"choices": [3]}', "ended with"),
    ],
)
def test_an_answer_without_text_is_reported_in_one_line(body: bytes, complaint: str) -> None:
    with pytest.raises(BadAnswer, match=complaint):
        answer_of("chat", read(body))


@pytest.mark.parametrize(
    ("body", "encoding", "complaint"),
    [
        (b"\x1f\x8b" + b"x" * 50, "gzip", "packed by 'gzip' and cannot be unpacked"),
        (b"\x0b\x02", "br", "packed by 'br' and cannot be unpacked"),
        (gzip.compress(chat("Hi"), mtime=0)[:-20], "gzip", "ended without being whole"),
    ],
)
def test_an_answer_that_cannot_be_unpacked_says_so(body: bytes, encoding: str, complaint: str) -> None:
    with pytest.raises(BadAnswer, match=complaint):
        answer_of("chat", read(body, encoding=encoding))


def test_vectors_that_cannot_be_unpacked_or_are_too_large_say_so() -> None:
    with pytest.raises(BadAnswer, match="packed by 'br' and cannot be unpacked"):
        vectors_in(read(b"\x0b\x02", encoding="br"), 2)
    with AnswerReader(find_dialect("openai"), 200, {}, memory=Memory(per_call=10)) as reader:
        reader.feed(b'{"data": [{"embedding": [1, 0.5]}]}')
        reader.end()
    with pytest.raises(BadAnswer, match="larger than it may be"):
        vectors_in(reader, 2)


@pytest.mark.parametrize(
    ("body", "value", "ended"),
    [
        (chat("half", "content_filter"), "half", "content_filter"),
        (chat(None, "stop", refusal="I\nwill not"), "I\nwill not", "refusal"),
    ],
)
def test_what_a_model_will_not_say_is_an_answer_that_is_judged(body: bytes, value: str, ended: Ended) -> None:
    answered = answer_of("chat", read(body))
    assert (answered.value, answered.ended) == (value, ended)
    step = Step(name="s", kind="chat", uses=frozenset())
    assert isinstance(judge(step, [Answer(value=value, text=value, ended=ended)], {}), Rejected)


def test_a_vector_is_a_list_of_numbers() -> None:
    assert answer_of("embedding", read(b'{"data": [{"embedding": [1, 0.5]}]}')).value == [1, 0.5]


@pytest.mark.parametrize("vector", ["[]", '"AAAA"', '["1"]', "[true]", "null"])
def test_anything_else_is_no_vector(vector: str) -> None:
    with pytest.raises(BadAnswer, match="no list of numbers"):
        answer_of("embedding", read(f'{{"data": [{{"embedding": {vector}}}]}}'.encode()))


@pytest.mark.parametrize(
    ("body", "line"),
    [
        (b'{"error": {"message": "Bad key\\n sk-1.", "code": "x"}}', "HTTP 401: Bad key ***."),
        (b'{"error": {"code": "x"}}', "HTTP 401: x"),
        (b'{"error": "no"}', "HTTP 401: no"),
        (b'{"message": "no"}', "HTTP 401: no"),
        (b"<html>", "HTTP 401"),
        (b"3", "HTTP 401"),
    ],
)
def test_an_error_is_reported_in_one_line_without_our_key(body: bytes, line: str) -> None:
    assert error_line(401, read(body, 401).error, "sk-1") == line


def test_a_long_error_is_cut() -> None:
    assert len(error_line(500, ErrorFields(message="x" * 5000))) < 230
