"""Answers and errors over real sockets, as an OpenAI client sees them."""

from __future__ import annotations

import json
import math
from typing import Any

import httpx2
import openai
import pytest

from penstock_mockprovider import serve

pytestmark = [
    pytest.mark.loopback,
    # The SDK stops reading a stream at [DONE] and leaves its own generators to the garbage collector.
    pytest.mark.filterwarnings("ignore:Async generator '(openai|httpx2|httpcore2):ResourceWarning"),
    pytest.mark.filterwarnings("ignore:Exception ignored in. <async_generator:pytest.PytestUnraisableExceptionWarning"),
]

# -- answers --


async def test_a_chat_completion_as_the_sdk_sees_it(served: Any) -> None:
    async with served() as mock:
        answer = await mock.ask()
    assert answer.choices[0].message.content == "A penstock is a gate."
    assert (answer.choices[0].finish_reason, answer.system_fingerprint) == ("stop", "penstock-mock")
    assert answer.usage is not None
    assert (answer.usage.prompt_tokens, answer.usage.completion_tokens, answer.usage.total_tokens) == (
        10,
        6,
        16,
    )


async def test_the_same_call_gets_the_same_bytes_from_another_server(served: Any) -> None:
    answers = []
    for _ in range(2):
        async with served() as mock:
            answers.append((await mock.post()).content)
    assert answers[0] == answers[1]


async def test_max_tokens_cut_the_answer_and_say_so(served: Any) -> None:
    async with served() as mock:
        answer = await mock.ask(max_completion_tokens=2)
    assert (answer.choices[0].message.content, answer.choices[0].finish_reason) == ("A pensto", "length")


async def test_a_stream_holds_the_same_words_and_the_usage_if_asked_for(served: Any) -> None:
    async with served() as mock:
        stream = await mock.ask(stream=True, stream_options={"include_usage": True})
        chunks = [chunk async for chunk in stream]
    text = "".join(chunk.choices[0].delta.content or "" for chunk in chunks if chunk.choices)
    assert text == "A penstock is a gate."
    assert chunks[-2].choices[0].finish_reason == "stop"
    assert all(chunk.usage is None for chunk in chunks[:-1])
    assert chunks[-1].usage is not None
    assert chunks[-1].usage.total_tokens == 16
    assert {chunk.system_fingerprint for chunk in chunks} == {"penstock-mock"}


async def test_a_stream_is_data_lines_that_end_with_done(served: Any) -> None:
    async with served() as mock:
        answer = await mock.post(stream=True)
    assert answer.headers["content-type"] == "text/event-stream; charset=utf-8"
    events = answer.text.split("\n\n")
    assert events[-2:] == ["data: [DONE]", ""]
    assert all("usage" not in json.loads(event.removeprefix("data: ")) for event in events[:-2])


async def test_the_sdk_reads_base64_vectors_and_they_are_those_sent_as_floats(served: Any) -> None:
    async with served() as mock:
        by_default = await mock.sdk.embeddings.create(model="m", input=["water and gates", "tokens"])
        as_floats = await mock.sdk.embeddings.create(model="m", input="water and gates", encoding_format="float")
    vector = by_default.data[0].embedding
    assert len(by_default.data) == 2
    assert len(vector) == 64
    assert math.hypot(*vector) == pytest.approx(1.0, abs=1e-6)
    assert vector == pytest.approx(as_floats.data[0].embedding, abs=0)
    assert by_default.usage.total_tokens == 6


async def test_the_length_of_a_vector_is_the_callers_or_the_configurations(served: Any) -> None:
    async with served(config={"dimensions": 7}) as mock:
        asked = await mock.sdk.embeddings.create(model="m", input="x", dimensions=256)
        unasked = await mock.sdk.embeddings.create(model="m", input="x")
    assert (len(asked.data[0].embedding), len(unasked.data[0].embedding)) == (256, 7)


async def test_the_models_are_listed_as_a_mocks() -> None:
    async with serve() as provider, httpx2.AsyncClient(base_url=provider.base_url) as http:
        listed = (await http.get("/models")).json()["data"]
    assert [(model["id"], model["owned_by"]) for model in listed] == [
        ("mock-chat", "penstock-mock"),
        ("mock-embedding", "penstock-mock"),
    ]


@pytest.mark.parametrize(
    ("method", "path"),
    [("POST", "/v1/chat/completions"), ("GET", "/v1/models"), ("GET", "/mock/report"), ("GET", "/nowhere")],
)
async def test_every_answer_says_that_it_comes_from_a_mock(served: Any, call: Any, method: str, path: str) -> None:
    async with served(slots=1) as mock:
        answer = await mock.http.request(method, path, json=call if method == "POST" else None)
    assert answer.headers["x-penstock-mock"] == "1"
    assert len(answer.headers.get_list("date")) == 1


# -- errors --


@pytest.mark.parametrize("raw", [b"{", b"[]", b"\xff", b"[" * 100_000])
async def test_a_call_that_is_no_json_object_gets_openais_error(served: Any, raw: bytes) -> None:
    async with served() as mock:
        answer = await mock.http.post("/v1/chat/completions", content=raw)
        assert mock.provider.report().rejected == {"invalid_json": 1}
    error = answer.json()["error"]
    assert (answer.status_code, error["code"], error["param"]) == (400, "invalid_json", None)


@pytest.mark.parametrize(
    ("more", "status", "code", "param"),
    [
        ({"model": None}, 400, "missing_required_parameter", "model"),
        ({"model": 7}, 400, "invalid_value", "model"),
        ({"messages": None}, 400, "missing_required_parameter", "messages"),
        ({"messages": []}, 400, "invalid_value", "messages"),
        ({"messages": ["hi"]}, 400, "invalid_value", "messages[0]"),
        ({"messages": [{"role": "user", "content": 7}]}, 400, "invalid_value", "messages[0].content"),
        ({"stream": "yes"}, 400, "invalid_value", "stream"),
        ({"stream": True, "stream_options": 3}, 400, "invalid_value", "stream_options"),
        ({"stream_options": {"include_usage": True}}, 400, "invalid_value", "stream_options"),
        ({"n": 2}, 400, "invalid_value", "n"),
        ({"max_tokens": 0}, 400, "invalid_value", "max_tokens"),
        ({"model": "other"}, 404, "model_not_found", "model"),
    ],
)
async def test_a_wrong_chat_call_gets_openais_error(
    served: Any, more: dict[str, object], status: int, code: str, param: str
) -> None:
    async with served(slots=1) as mock:
        answer = await mock.post(**more)
        report = mock.provider.report()
    error = answer.json()["error"]
    assert (answer.status_code, error["code"], error["param"]) == (status, code, param)
    assert error["type"] == "invalid_request_error"
    assert error["message"]
    assert report.rejected == {code: 1}
    assert report.models["m"].total.arrived == 0


@pytest.mark.parametrize(
    ("more", "code"),
    [
        ({}, "missing_required_parameter"),
        ({"input": []}, "invalid_value"),
        ({"input": ["a", ""]}, "invalid_value"),
        ({"input": [1, 2]}, "invalid_value"),
        ({"input": "a", "encoding_format": "int8"}, "invalid_value"),
        ({"input": "a", "dimensions": 10_000}, "invalid_value"),
    ],
)
async def test_a_wrong_embedding_call_gets_openais_error(served: Any, more: dict[str, object], code: str) -> None:
    async with served() as mock:
        answer = await mock.http.post("/v1/embeddings", json={"model": "m", **more})
    assert (answer.status_code, answer.json()["error"]["code"]) == (400, code)


async def test_text_in_parts_is_read_as_text(served: Any) -> None:
    parts = [{"type": "text", "text": "First. Second."}, {"type": "image_url", "image_url": {"url": "x"}}]
    async with served() as mock:
        answer = await mock.post(messages=[{"role": "user", "content": parts}])
    assert answer.json()["choices"][0]["message"]["content"] == "First."


@pytest.mark.parametrize(("key", "accepted"), [("right", True), ("wrong", False)])
async def test_only_the_keys_of_the_configuration_are_accepted(served: Any, key: str, accepted: bool) -> None:
    async with served(config={"keys": ("right",)}, key=key) as mock:
        if accepted:
            await mock.sdk.models.list()
        else:
            with pytest.raises(openai.AuthenticationError) as refused:
                await mock.ask()
            assert refused.value.code == "invalid_api_key"


async def test_a_missing_key_is_not_called_a_wrong_one(served: Any) -> None:
    async with served(config={"keys": ("right",)}) as mock:
        answer = await mock.http.get("/v1/models")
    assert answer.status_code == 401
    assert answer.json()["error"]["message"] == "You did not provide an API key."


@pytest.mark.parametrize(("method", "path", "status"), [("GET", "/v1/files", 404), ("GET", "/v1/embeddings", 405)])
async def test_an_unknown_path_or_method_gets_openais_error_too(
    served: Any, method: str, path: str, status: int
) -> None:
    async with served() as mock:
        answer = await mock.http.request(method, path)
    assert answer.status_code == status
    assert answer.json()["error"]["type"] == "invalid_request_error"
