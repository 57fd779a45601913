from __future__ import annotations

from typing import Any

import pytest

from penstock_batch.calls.judged_calls import with_repair, with_schema
from penstock_batch.pipeline.answer_schema import AnswerSchema

OPEN = AnswerSchema({"type": "object", "properties": {"a": {}}})
CLOSED = AnswerSchema({"type": "object", "properties": {"a": {}}, "required": ["a"], "additionalProperties": False})
BODY: dict[str, Any] = {"model": "m", "messages": [{"role": "user", "content": "?"}]}


def added(schema: AnswerSchema, body: dict[str, Any] = BODY, name: str = "s", **how: str) -> dict[str, Any]:
    before = {**body}
    made = with_schema(body, schema, name, **{"speaks": "openai", **how})
    assert body == before
    return {key: value for key, value in made.items() if body.get(key) != value}


def test_a_schema_is_sent_as_openai_takes_it() -> None:
    wanted = {"name": "s", "schema": OPEN.contents, "strict": False}
    assert added(OPEN) == {"response_format": {"type": "json_schema", "json_schema": wanted}}
    assert added(CLOSED)["response_format"]["json_schema"]["strict"] is True


@pytest.mark.parametrize(("name", "sent"), [("Ärger & Lob", "_rger___Lob"), ("x" * 99, "x" * 64), ("", "answer")])
def test_its_name_is_one_that_is_taken(name: str, sent: str) -> None:
    assert added(OPEN, name=name)["response_format"]["json_schema"]["name"] == sent


def test_what_a_step_says_itself_stays() -> None:
    assert added(OPEN, {**BODY, "response_format": {"type": "json_object"}}) == {}
    assert added(CLOSED, {**BODY, "output_config": {"format": {}}}, speaks="anthropic") == {}
    assert added(OPEN, {**BODY, "generationConfig": {"responseSchema": {}}}, speaks="gemini") == {}


def test_a_schema_is_for_others_too_if_they_take_it() -> None:
    assert added(CLOSED, {**BODY, "output_config": {"effort": "low"}}, speaks="anthropic") == added(CLOSED)
    assert added(OPEN, speaks="anthropic") == {}
    assert added(OPEN, {**BODY, "generationConfig": {"topK": 3}}, speaks="gemini") == added(OPEN)


def test_an_answer_goes_back_with_what_is_wrong_with_it() -> None:
    messages = with_repair(BODY, "{", "it is no JSON")["messages"]
    assert [message["role"] for message in messages] == ["user", "assistant", "user"]
    assert messages[1]["content"] == "{"
    assert "it is no JSON" in messages[2]["content"]
    assert len(BODY["messages"]) == 1
