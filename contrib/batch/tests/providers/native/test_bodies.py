"""Bodies of OpenAI's protocol in the words of Anthropic and Gemini, by table."""

from __future__ import annotations

from typing import Any

import pytest

from penstock_batch.providers.native.bodies import Speaking
from penstock_batch.providers.native.conversation import NotSaid
from penstock_batch.providers.native.protocols import PROTOCOLS, Sent, param_problems, protocol_of

ASKED: dict[str, Any] = {"role": "user", "content": "?"}
SCHEMA = {"type": "object", "properties": {"a": {"type": "string"}}, "additionalProperties": False}
TOOL = {"type": "function", "function": {"name": "f", "description": "does it", "parameters": SCHEMA}}
BARE = {"type": "function", "function": {"name": "g"}}
FORMAT = {"type": "json_schema", "json_schema": {"name": "s", "schema": SCHEMA, "strict": True}}
PNG = "data:image/png;base64,iVBO"


def sent(speaks: str, body: dict[str, Any], kind: str = "chat", more: tuple[str, ...] = ()) -> Sent:
    before = repr(body)
    made = protocol_of(speaks).make[kind]({"model": "m", **body}, Speaking(speaks, "acme", more))
    assert repr(body) == before
    return made


def added(speaks: str, body: dict[str, Any], *, asked: dict[str, Any] = ASKED, more: tuple[str, ...] = ()) -> Any:
    """What of a call is there because of these keys."""
    whole = sent(speaks, {"messages": [asked], **body}, more=more).body
    plain = sent(speaks, {"messages": [asked]}).body
    return {key: value for key, value in whole.items() if plain.get(key) != value}


def parts(speaks: str, *given: dict[str, Any]) -> Any:
    body = sent(speaks, {"messages": [{"role": "user", "content": list(given)}]}).body
    return body["messages"][0]["content"] if speaks == "anthropic" else body["contents"][0]["parts"]


def test_a_plain_question_as_each_takes_it() -> None:
    asked = {"messages": [{"role": "system", "content": "Be brief."}, ASKED], "max_tokens": 9}
    assert sent("openai", asked) == Sent("chat/completions", {"model": "m", **asked})
    assert sent("anthropic", asked) == Sent(
        "v1/messages",
        {
            "model": "m",
            "max_tokens": 9,
            "system": "Be brief.",
            "messages": [{"role": "user", "content": [{"type": "text", "text": "?"}]}],
        },
    )
    assert sent("gemini", asked) == Sent(
        "v1beta/models/m:generateContent",
        {
            "systemInstruction": {"parts": [{"text": "Be brief."}]},
            "contents": [{"role": "user", "parts": [{"text": "?"}]}],
            "generationConfig": {"maxOutputTokens": 9},
        },
    )


def test_anthropic_is_told_a_bound_where_nothing_says_one() -> None:
    assert sent("anthropic", {"messages": [ASKED]}).body["max_tokens"] == 4096


PARAMS: list[tuple[dict[str, Any], dict[str, Any], dict[str, Any]]] = [
    ({"max_completion_tokens": 5}, {"max_tokens": 5}, {"generationConfig": {"maxOutputTokens": 5}}),
    ({"temperature": 0}, {"temperature": 0}, {"generationConfig": {"temperature": 0}}),
    ({"top_p": 0.5}, {"top_p": 0.5}, {"generationConfig": {"topP": 0.5}}),
    ({"stop": "x"}, {"stop_sequences": ["x"]}, {"generationConfig": {"stopSequences": ["x"]}}),
    ({"stop": ["x", "y"]}, {"stop_sequences": ["x", "y"]}, {"generationConfig": {"stopSequences": ["x", "y"]}}),
    ({"temperature": None, "stop": None, "tools": None}, {}, {}),
    (
        {"tools": [TOOL, BARE]},
        {
            "tools": [
                {"name": "f", "description": "does it", "input_schema": SCHEMA},
                {"name": "g", "input_schema": {"type": "object", "properties": {}}},
            ]
        },
        {
            "tools": [
                {
                    "functionDeclarations": [
                        {"name": "f", "description": "does it", "parametersJsonSchema": SCHEMA},
                        {"name": "g"},
                    ]
                }
            ]
        },
    ),
    ({"tool_choice": "auto"}, {"tool_choice": {"type": "auto"}}, {"mode": "AUTO"}),
    ({"tool_choice": "none"}, {"tool_choice": {"type": "none"}}, {"mode": "NONE"}),
    ({"tool_choice": "required"}, {"tool_choice": {"type": "any"}}, {"mode": "ANY"}),
    (
        {"tool_choice": {"type": "function", "function": {"name": "f"}}},
        {"tool_choice": {"type": "tool", "name": "f"}},
        {"mode": "ANY", "allowedFunctionNames": ["f"]},
    ),
    (
        {"response_format": FORMAT},
        {"output_config": {"format": {"type": "json_schema", "schema": SCHEMA}}},
        {"generationConfig": {"responseMimeType": "application/json", "responseJsonSchema": SCHEMA}},
    ),
    ({"response_format": {"type": "text"}}, {}, {}),
]


@pytest.mark.parametrize(("params", "anthropic", "gemini"), PARAMS)
def test_what_both_have_is_translated(
    params: dict[str, Any], anthropic: dict[str, Any], gemini: dict[str, Any]
) -> None:
    assert added("anthropic", params) == anthropic
    wanted = {"toolConfig": {"functionCallingConfig": gemini}} if "mode" in gemini else gemini
    assert added("gemini", params) == wanted


def test_what_one_of_them_has_is_translated_there() -> None:
    assert added("anthropic", {"user": "u1"}) == {"metadata": {"user_id": "u1"}}
    alone = {"type": "auto", "disable_parallel_tool_use": True}
    assert added("anthropic", {"tools": [], "parallel_tool_calls": False}) == {"tools": []}
    assert added("anthropic", {"tools": [BARE], "parallel_tool_calls": False})["tool_choice"] == alone
    config = {"seed": 1, "frequencyPenalty": 0.1, "presencePenalty": 0.2, "responseLogprobs": True, "logprobs": 3}
    params = {"seed": 1, "frequency_penalty": 0.1, "presence_penalty": 0.2, "logprobs": True, "top_logprobs": 3}
    assert added("gemini", params) == {"generationConfig": config}
    assert added("gemini", {"response_format": {"type": "json_object"}}) == {
        "generationConfig": {"responseMimeType": "application/json"}
    }


def test_what_is_the_providers_own_goes_as_it_is() -> None:
    own: dict[str, Any] = {"thinking": {"type": "enabled", "budget_tokens": 1024}, "top_k": 5}
    assert added("anthropic", own) == own
    search = {"type": "web_search_20250305", "name": "web_search"}
    assert added("anthropic", {"tools": [search]}) == {"tools": [search]}
    safety: dict[str, Any] = {"safetySettings": [{"category": "C", "threshold": "BLOCK_NONE"}]}
    assert added("gemini", safety) == safety
    assert added("gemini", {"tools": [{"googleSearch": {}}, BARE]}) == {
        "tools": [{"functionDeclarations": [{"name": "g"}]}, {"googleSearch": {}}]
    }
    thinking = {"thinkingConfig": {"thinkingLevel": "low"}}
    body = {"generationConfig": thinking, "temperature": 1}
    assert added("gemini", body) == {"generationConfig": {**thinking, "temperature": 1}}
    effort = {"output_config": {"effort": "low"}, "response_format": FORMAT}
    assert added("anthropic", effort)["output_config"] == {
        "effort": "low",
        "format": {"type": "json_schema", "schema": SCHEMA},
    }


def test_a_key_that_is_newer_than_the_table_goes_if_the_providers_options_name_it() -> None:
    assert added("anthropic", {"speed": "fast"}, more=("speed",)) == {"speed": "fast"}
    assert added("gemini", {"newest": 1}, more=("newest",)) == {"newest": 1}


def test_calls_of_tools_and_what_they_answered() -> None:
    call = {
        "id": "c1",
        "type": "function",
        "function": {"name": "f", "arguments": '{"a": "b"}'},
        "extra_content": {"google": {"thought_signature": "sig"}},
    }
    messages = [
        ASKED,
        {"role": "assistant", "content": "Wait.", "tool_calls": [call]},
        {"role": "tool", "tool_call_id": "c1", "content": '{"x": 1}'},
        {"role": "tool", "tool_call_id": "c1", "content": "plain"},
    ]
    turns = sent("anthropic", {"messages": messages}).body["messages"]
    assert turns[1]["content"] == [
        {"type": "text", "text": "Wait."},
        {"type": "tool_use", "id": "c1", "name": "f", "input": {"a": "b"}},
    ]
    assert turns[2]["role"] == "user"
    assert turns[2]["content"][1] == {"type": "tool_result", "tool_use_id": "c1", "content": "plain"}
    contents = sent("gemini", {"messages": messages}).body["contents"]
    assert [turn["role"] for turn in contents] == ["user", "model", "user"]
    called = {"functionCall": {"id": "c1", "name": "f", "args": {"a": "b"}}, "thoughtSignature": "sig"}
    assert contents[1]["parts"] == [{"text": "Wait."}, called]
    answered = [part["functionResponse"]["response"] for part in contents[2]["parts"]]
    assert answered == [{"x": 1}, {"result": "plain"}]


def test_images_and_files_as_each_takes_them() -> None:
    image = {"type": "image_url", "image_url": {"url": PNG, "detail": "low"}}
    linked = {"type": "image_url", "image_url": {"url": "https://a.example/b.png"}}
    pdf = {"type": "file", "file": {"filename": "a.pdf", "file_data": "data:application/pdf;base64,JVBE"}}
    text = {"type": "file", "file": {"filename": "a.txt", "file_data": "data:text/plain;base64,aMOk"}}
    known = {"type": "file", "file": {"file_id": "file_1", "filename": "a.pdf"}}
    assert parts("anthropic", image, linked, pdf, text, known) == [
        {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": "iVBO"}},
        {"type": "image", "source": {"type": "url", "url": "https://a.example/b.png"}},
        {
            "type": "document",
            "title": "a.pdf",
            "source": {"type": "base64", "media_type": "application/pdf", "data": "JVBE"},
        },
        {"type": "document", "title": "a.txt", "source": {"type": "text", "media_type": "text/plain", "data": "hä"}},
        {"type": "document", "title": "a.pdf", "source": {"type": "file", "file_id": "file_1"}},
    ]
    sound = {"type": "input_audio", "input_audio": {"data": "UklG", "format": "wav"}}
    assert parts("gemini", image, linked, pdf, known, sound) == [
        {"inlineData": {"mimeType": "image/png", "data": "iVBO"}},
        {"fileData": {"mimeType": "image/png", "fileUri": "https://a.example/b.png"}},
        {"inlineData": {"mimeType": "application/pdf", "data": "JVBE"}},
        {"fileData": {"mimeType": "application/pdf", "fileUri": "file_1"}},
        {"inlineData": {"mimeType": "audio/wav", "data": "UklG"}},
    ]


def test_parts_in_the_providers_own_words_go_as_they_are() -> None:
    cached = {"type": "text", "text": "long", "cache_control": {"type": "ephemeral"}}
    found = {"type": "search_result", "source": "s", "title": "t", "content": []}
    assert parts("anthropic", cached, found) == [cached, found]
    system = [{"role": "system", "content": [cached]}, ASKED]
    assert sent("anthropic", {"messages": system}).body["system"] == [cached]
    assert parts("gemini", {"fileData": {"fileUri": "x"}}) == [{"fileData": {"fileUri": "x"}}]


@pytest.mark.parametrize(
    ("speaks", "part", "says"),
    [
        ("anthropic", {"type": "input_audio", "input_audio": {"data": "", "format": "wav"}}, "is audio/wav"),
        ("anthropic", {"type": "file", "file": {"file_data": "data:application/zip;base64,AAAA"}}, "application/zip"),
        ("anthropic", {"type": "file", "file": {"file_data": "data:text/plain;base64,/w=="}}, "is no text in UTF-8"),
    ],
)
def test_a_part_that_a_provider_cannot_take_is_refused(speaks: str, part: dict[str, Any], says: str) -> None:
    with pytest.raises(NotSaid, match=says) as refused:
        parts(speaks, part)
    assert refused.value.path[:4] == ("messages", 0, "content", 0)


def test_embeddings_are_geminis_one_or_many() -> None:
    one = sent("gemini", {"input": "a", "dimensions": 8, "taskType": "CLUSTERING"}, "embedding")
    more = {"taskType": "CLUSTERING", "outputDimensionality": 8}
    assert one == Sent("v1beta/models/m:embedContent", {"content": {"parts": [{"text": "a"}]}, **more})
    many = sent("gemini", {"input": ["a", "b"]}, "embedding")
    assert many.path == "v1beta/models/m:batchEmbedContents"
    assert many.body["requests"][1] == {"model": "models/m", "content": {"parts": [{"text": "b"}]}}
    assert sent("gemini", {"model": "a b/c?", "messages": [ASKED]}).path == "v1beta/models/a%20b/c%3F:generateContent"


NO_PLACE: list[tuple[str, str, dict[str, Any], tuple[str | int, ...], str]] = [
    ("anthropic", "chat", {"seed": 1}, ("seed",), "acme, which speaks anthropic; Anthropic has nothing like it"),
    ("anthropic", "chat", {"stop_sequences": []}, ("stop_sequences",), "write stop"),
    ("anthropic", "chat", {"temprature": 1}, ("temprature",), "did you mean 'temperature'"),
    ("anthropic", "chat", {"safetySettings": []}, ("safetySettings",), "which speaks anthropic"),
    ("anthropic", "chat", {"reasoning_effort": "low"}, ("reasoning_effort",), "output_config"),
    ("anthropic", "chat", {"response_format": {"type": "json_object"}}, ("response_format",), "schema of the step"),
    ("anthropic", "chat", {"response_format": "json"}, ("response_format",), "must be an object"),
    ("anthropic", "chat", {"max_tokens": 1, "max_completion_tokens": 1}, ("max_completion_tokens",), "not both"),
    ("anthropic", "chat", {"max_tokens": 0}, ("max_tokens",), "from 1 on, not 0"),
    ("anthropic", "chat", {"max_tokens": "9"}, ("max_tokens",), "must be a number of tokens"),
    ("anthropic", "chat", {"stop": 3}, ("stop",), "must be a text or a list of texts"),
    ("anthropic", "chat", {"tools": {}}, ("tools",), "must be a list"),
    ("anthropic", "chat", {"tools": [1]}, ("tools", 0), "must be an object"),
    ("anthropic", "chat", {"tools": [{"type": "function"}]}, ("tools", 0, "function"), "with a name"),
    ("anthropic", "chat", {"tool_choice": "f"}, ("tool_choice",), 'must be "auto"'),
    (
        "anthropic",
        "chat",
        {"response_format": FORMAT, "output_config": {"format": {}}},
        ("response_format",),
        "write one of them",
    ),
    ("anthropic", "embedding", {}, (), "which has no embedding; name a model of one that speaks openai or gemini"),
    ("gemini", "chat", {"user": "u"}, ("user",), "acme, which speaks gemini; Gemini has nothing like it"),
    ("gemini", "chat", {"thinking": {}}, ("thinking",), "which speaks gemini"),
    ("gemini", "chat", {"generation_config": {}}, ("generation_config",), "did you mean 'generationConfig'"),
    ("gemini", "chat", {"generationConfig": 3}, ("generationConfig",), "must be a table"),
    ("gemini", "chat", {"generationConfig": {"topP": 1}}, ("generationConfig", "topP"), "is written top_p here"),
    ("gemini", "chat", {"generationConfig": {"candidateCount": 2}}, ("generationConfig", "candidateCount"), "samples"),
    (
        "gemini",
        "chat",
        {"response_format": FORMAT, "generationConfig": {"responseSchema": {}}},
        ("response_format",),
        "says the same",
    ),
    (
        "gemini",
        "chat",
        {"tool_choice": "auto", "toolConfig": {"functionCallingConfig": {}}},
        ("tool_choice",),
        "write one of them",
    ),
    ("gemini", "embedding", {"outputDimensionality": 8}, ("outputDimensionality",), "write dimensions"),
]


@pytest.mark.parametrize(("speaks", "kind", "params", "path", "says"), NO_PLACE)
def test_what_has_no_place_is_told_before_anything_is_called(
    speaks: str, kind: str, params: dict[str, Any], path: tuple[str | int, ...], says: str
) -> None:
    (problem,) = param_problems(kind, params, Speaking(speaks, "acme"))
    assert problem.path == (("params", *path) if path else ("model",))
    assert says in problem.what


def test_all_of_them_are_told_at_once() -> None:
    params = {"seed": 1, "logit_bias": {}, "thinking": {}}
    found = list(param_problems("chat", params, Speaking("anthropic", "acme")))
    assert [problem.path[1] for problem in found] == ["seed", "logit_bias"]
    params = {"user": "u", "generationConfig": {"seed": 1}}
    assert len(list(param_problems("chat", params, Speaking("gemini", "acme")))) == 2


def test_what_is_said_to_openai_is_its_own_affair() -> None:
    assert list(param_problems("chat", {"anything": 1}, Speaking("openai", "acme"))) == []
    assert list(param_problems("embedding", {"anything": 1}, Speaking("mock", "acme"))) == []


def test_a_body_that_is_passed_through_is_held_to_the_same() -> None:
    for speaks in ("anthropic", "gemini"):
        with pytest.raises(NotSaid, match="has no place"):
            sent(speaks, {"messages": [ASKED], "logit_bias": {}})


def test_every_kind_of_provider_has_a_way_to_chat() -> None:
    assert all("chat" in protocol.make for protocol in PROTOCOLS.values())
