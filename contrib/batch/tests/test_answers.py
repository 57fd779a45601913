from __future__ import annotations

import json

import pytest

from penstock_batch.answers import BadAnswer, chat_answer, embedding_answer, error_line


def chat(content: object, **choice: object) -> bytes:
    return json.dumps({"choices": [{"message": {"content": content, **choice}, "finish_reason": "length"}]}).encode()


def test_a_chat_answer_has_text_tokens_and_whether_it_was_cut() -> None:
    body = json.loads(chat("Hi"))
    body["usage"] = {"prompt_tokens": 7, "completion_tokens": 2}
    answered = chat_answer(json.dumps(body).encode())
    assert (answered.value, answered.input_tokens, answered.output_tokens) == ("Hi", 7, 2)
    assert answered.cut_short


@pytest.mark.parametrize(
    "usage", [None, [], {}, {"prompt_tokens": "7"}, {"prompt_tokens": -1}, {"prompt_tokens": True}]
)
def test_strange_usage_is_no_usage(usage: object) -> None:
    body = {**json.loads(chat("Hi")), "usage": usage}
    assert chat_answer(json.dumps(body).encode()).input_tokens == 0


@pytest.mark.parametrize(
    ("body", "complaint"),
    [
        (b"<html>", "not JSON"),
        (b"[]", "no JSON object"),
        (b'{"choices": []}', "choices"),
        (b'{"choices": [3]}', "choices"),
        (chat(None), "holds no text"),
        (chat(None, refusal="I\nwill not"), "the model refused: I will not"),
    ],
)
def test_an_answer_without_text_is_reported_in_one_line(body: bytes, complaint: str) -> None:
    with pytest.raises(BadAnswer, match=complaint):
        chat_answer(body)


def test_a_vector_is_a_list_of_numbers() -> None:
    assert embedding_answer(b'{"data": [{"embedding": [1, 0.5]}]}').value == [1, 0.5]


@pytest.mark.parametrize("vector", ["[]", '"AAAA"', '["1"]', "[true]", "null"])
def test_anything_else_is_no_vector(vector: str) -> None:
    with pytest.raises(BadAnswer, match="no list of numbers"):
        embedding_answer(f'{{"data": [{{"embedding": {vector}}}]}}'.encode())


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
    assert error_line(401, body, "sk-1") == line


def test_a_long_error_is_cut() -> None:
    assert len(error_line(500, json.dumps({"error": "x" * 5000}).encode())) < 230
