"""Answers in JSON, without a server."""

from __future__ import annotations

import json
from typing import Any

import jsonschema
import pytest

from penstock_mockprovider.json_answers import SPOILED, Spoiled, json_answer, spoiled, wanted_schema
from penstock_mockprovider.wire import ChatCall

SCHEMA: dict[str, Any] = {
    "type": "object",
    "properties": {
        "title": {"type": "string", "maxLength": 12},
        "team": {"enum": ["billing", "shipping"]},
        "urgency": {"type": "integer", "minimum": 1, "maximum": 5},
        "score": {"type": "number", "exclusiveMinimum": 0},
        "open": {"type": ["boolean", "null"]},
        "tags": {"type": "array", "items": {"$ref": "#/$defs/tag"}, "minItems": 2},
        "kind": {"anyOf": [{"const": "ticket"}, {"type": "null"}]},
        "nothing": {"type": "null"},
    },
    "required": ["title", "team", "urgency", "score", "open", "tags", "kind"],
    "additionalProperties": False,
    "$defs": {"tag": {"type": "string", "minLength": 40}},
}
FORMAT = {"type": "json_schema", "json_schema": {"name": "ticket", "schema": SCHEMA}}


def asked(text: str, **more: Any) -> dict[str, Any]:
    return {"model": "m", "messages": [{"role": "user", "content": text}], **more}


@pytest.mark.parametrize("text", ["A gate. It is shut.", "", "Another one?", "Zürich \ud800"])
def test_an_answer_fits_its_schema_and_follows_from_the_question(text: str) -> None:
    answer = json_answer(SCHEMA, text)
    jsonschema.validate(answer, SCHEMA)
    assert answer == json_answer(SCHEMA, text)


def test_different_questions_have_different_answers() -> None:
    assert len({json.dumps(json_answer(SCHEMA, f"Gate {i}.")) for i in range(20)}) == 20


@pytest.mark.parametrize("schema", [{"$ref": "#"}, {"$ref": "#/no/where"}, {"items": 3, "type": "array"}, {"enum": []}])
def test_a_strange_schema_has_some_answer(schema: dict[str, Any]) -> None:
    json.dumps(json_answer(schema, "text"))


@pytest.mark.parametrize("how", SPOILED)
def test_a_spoiled_answer_does_not_fit(how: Spoiled) -> None:
    for text in ("A gate.", "Another."):
        try:
            value = json.loads(spoiled(json_answer(SCHEMA, text), how))
        except ValueError:
            continue
        with pytest.raises(jsonschema.ValidationError):
            jsonschema.validate(value, {**SCHEMA, "required": list(SCHEMA["properties"])})


@pytest.mark.parametrize("response_format", [None, 3, {}, {"type": "text"}, {"type": "json_schema"}])
def test_no_json_is_said_where_none_is_asked_for(response_format: object) -> None:
    assert wanted_schema(response_format) is None
    assert ChatCall.parse(asked("A gate. So.", response_format=response_format)).answer == "A gate."


def test_a_call_that_wants_json_has_it() -> None:
    call = ChatCall.parse(asked("A gate. So.", response_format=FORMAT))
    jsonschema.validate(json.loads(call.answer), SCHEMA)
    any_object = ChatCall.parse(asked("A gate. So.", response_format={"type": "json_object"}))
    assert json.loads(any_object.answer) == {"answer": "A gate."}


def test_an_answer_that_was_wrong_is_about_the_same_the_second_time() -> None:
    once = asked("A gate. So.", response_format=FORMAT)
    again = {**once, "messages": [*once["messages"], {"role": "assistant", "content": "{"}, *asked("No.")["messages"]]}
    assert ChatCall.parse(again).answer == ChatCall.parse(once).answer


def test_a_share_is_spoiled() -> None:
    call = ChatCall.parse(asked("A gate. So.", response_format=FORMAT), lambda: "prose")
    assert "rather" in call.answer
    assert ChatCall.parse(asked("A gate. So."), lambda: "prose").answer == "A gate."


def test_keywords_are_the_items_of_an_array_of_texts() -> None:
    words = {"type": "array", "items": {"type": "string", "maxLength": 6}, "maxItems": 2}
    said = json_answer(words, "List three keywords of this text: gates and water, water and millers")
    assert said == ["water", "miller"]
    many = {**words, "minItems": 9, "maxItems": 9}
    assert len(json_answer(many, "List three keywords: a gate, a weir")) == 9
