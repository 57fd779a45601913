"""The SDKs of OpenAI and Anthropic, and curl, against a gateway: each path, streamed and not."""

from __future__ import annotations

import json
import shutil
import subprocess
from collections.abc import Callable
from typing import Any

import anthropic
import openai
import pytest
import trio

from penstock_gateway.testing import KEYS, World, whole

pytestmark = pytest.mark.loopback

KEYED = '[gateway.keys.a]\nenv = "A_KEY"\n'
CHUNKED = b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n"
USAGE = {"prompt_tokens": 3, "completion_tokens": 2, "total_tokens": 5}
COMPLETION = {
    "id": "1",
    "object": "text_completion",
    "created": 1,
    "model": "m",
    "choices": [{"index": 0, "text": "hi", "finish_reason": "stop", "logprobs": None}],
}
RESPONSE = {
    "id": "1",
    "object": "response",
    "created_at": 1,
    "model": "m",
    "status": "completed",
    "parallel_tool_calls": True,
    "tool_choice": "auto",
    "tools": [],
    "output": [
        {
            "id": "2",
            "type": "message",
            "role": "assistant",
            "status": "completed",
            "content": [{"type": "output_text", "text": "hi", "annotations": []}],
        }
    ],
    "usage": {
        "input_tokens": 3,
        "output_tokens": 2,
        "total_tokens": 5,
        "input_tokens_details": {"cached_tokens": 0},
        "output_tokens_details": {"reasoning_tokens": 0},
    },
}
MESSAGE: dict[str, Any] = {
    "id": "1",
    "type": "message",
    "role": "assistant",
    "model": "m",
    "content": [],
    "stop_reason": None,
    "usage": {"input_tokens": 3, "output_tokens": 0},
}


def event(value: object, name: str = "") -> bytes:
    """An event of a stream, in a chunk of its own."""
    text = (f"event: {name}\n" if name else "") + f"data: {json.dumps(value)}\n\n"
    return f"{len(text):x}\r\n{text}\r\n".encode()


LAST = b"e\r\ndata: [DONE]\n\n\r\n0\r\n\r\n"


def in_thread(call: Callable[[], Any]) -> Any:
    return trio.to_thread.run_sync(call, abandon_on_cancel=True)


def says(world: World, value: object) -> None:
    world.provider.says(whole(json.dumps(value).encode()))


async def test_the_other_paths_of_openai(world: World) -> None:
    await world.begin(KEYED)
    client = openai.OpenAI(base_url=world.gateway.url, api_key=KEYS["A_KEY"], max_retries=0)
    says(world, COMPLETION)
    text = await in_thread(lambda: client.completions.create(model="small", prompt="p"))
    assert text.choices[0].text == "hi"
    world.provider.says(CHUNKED, event(COMPLETION), event({**COMPLETION, "choices": [], "usage": USAGE}), LAST)
    texts = await in_thread(lambda: list(client.completions.create(model="small", prompt="p", stream=True)))
    assert [each.choices[0].text for each in texts] == ["hi"], "the usage that nobody asked for is hidden"
    says(world, {"object": "list", "model": "m", "data": [{"object": "embedding", "index": 0, "embedding": [0.5]}]})
    vectors = await in_thread(lambda: client.embeddings.create(model="small", input="x", encoding_format="float"))
    assert vectors.data[0].embedding == [0.5]
    says(world, RESPONSE)
    response = await in_thread(lambda: client.responses.create(model="small", input="x"))
    assert response.output_text == "hi"
    completed = {"type": "response.completed", "sequence_number": 1, "response": RESPONSE}
    world.provider.says(CHUNKED, event(completed, "response.completed"), b"0\r\n\r\n")
    events = await in_thread(lambda: list(client.responses.create(model="small", input="x", stream=True)))
    assert [each.type for each in events] == ["response.completed"]
    assert world.gateway.front.metrics.tokens["a", "acme/small", "out"] == 6
    model = await in_thread(lambda: client.models.retrieve("small"))
    assert model.owned_by == "acme"
    world.provider.says(
        whole(b'{"error": {"message": "no", "type": "t", "code": "c"}}', b"429 Slow", b"retry-after: 7")
    )
    with pytest.raises(openai.RateLimitError) as caught:
        await in_thread(lambda: client.completions.create(model="small", prompt="p"))
    assert caught.value.response.headers["retry-after"] == "7"
    await in_thread(client.close)
    assert world.gateway.leases == (6, 6)


async def test_the_streams_of_anthropic_and_its_errors(world: World) -> None:
    await world.begin(KEYED, kind="anthropic", cap=1)
    url = world.gateway.url.removesuffix("/v1")
    client = anthropic.Anthropic(base_url=url, api_key=KEYS["A_KEY"], max_retries=0)
    ask: Any = {"model": "small", "max_tokens": 8, "messages": [{"role": "user", "content": "hello"}]}
    events: list[dict[str, Any]] = [
        {"type": "message_start", "message": MESSAGE},
        {"type": "content_block_start", "index": 0, "content_block": {"type": "text", "text": ""}},
        {"type": "content_block_delta", "index": 0, "delta": {"type": "text_delta", "text": "hi"}},
        {"type": "content_block_stop", "index": 0},
        {"type": "message_delta", "delta": {"stop_reason": "end_turn"}, "usage": {"output_tokens": 2}},
        {"type": "message_stop"},
    ]
    world.provider.says(CHUNKED, *(event(each, each["type"]) for each in events), b"0\r\n\r\n")

    def stream() -> str:
        with client.messages.stream(**ask) as messages:
            return messages.get_final_text()

    assert await in_thread(stream) == "hi"
    tokens = world.gateway.front.metrics.tokens
    assert (tokens["a", "acme/small", "in"], tokens["a", "acme/small", "out"]) == (3, 2)
    error = {"type": "error", "error": {"type": "overloaded_error", "message": "no"}}
    world.provider.says(CHUNKED, event(events[0], "message_start"), event(error, "error"), b"0\r\n\r\n")
    with pytest.raises(anthropic.APIStatusError, match="no"):
        await in_thread(stream)
    world.provider.says(CHUNKED, event(events[0], "message_start"), b"zz\r\n", close=True)
    with pytest.raises(Exception, match=r"incomplete|closed|peer"):  # of its HTTP library
        await in_thread(stream)
    await in_thread(client.close)
    assert world.gateway.leases == (3, 3)


async def test_a_client_of_openai_that_breaks_a_stream_off_gives_its_place_back(world: World) -> None:
    await world.begin(KEYED, cap=1)
    world.provider.hangs(CHUNKED, event({**COMPLETION, "object": "chat.completion.chunk"}))

    client = openai.OpenAI(base_url=world.gateway.url, api_key=KEYS["A_KEY"], max_retries=0)

    def begin_and_leave() -> None:
        with client.completions.create(model="small", prompt="p", stream=True) as chunks:
            next(iter(chunks))

    for _ in range(3):
        await in_thread(begin_and_leave)
        await world.provider.until(lambda: world.provider.out == 0)
    await in_thread(client.close)
    assert world.gateway.leases == (3, 3)


async def test_curl(world: World) -> None:
    curl = shutil.which("curl")
    if curl is None:
        pytest.skip("there is no curl here")
    await world.begin(KEYED)

    async def run(*arguments: str) -> str:
        command = [curl, "-sS", "--noproxy", "*", "-H", f"authorization: Bearer {KEYS['A_KEY']}", *arguments]
        done = await trio.run_process(command, capture_stdout=True, stdin=b"")
        return bytes(done.stdout).decode()

    url = world.gateway.url
    body = '{"model": "small", "prompt": "p"}'
    says(world, COMPLETION)
    assert json.loads(await run(f"{url}/completions", "-d", body)) == COMPLETION
    assert json.loads(await run("-0", f"{url}/completions", "-d", body)) == COMPLETION
    large = body[:-1] + ', "x": "' + "y" * 2_000_000 + '"}'  # it waits for 100 Continue
    (path := world.log.with_name("large.json")).write_text(large, encoding="utf-8")
    assert json.loads(await run(f"{url}/completions", "-d", f"@{path}")) == COMPLETION
    assert (
        json.loads(await run("-H", "transfer-encoding: chunked", f"{url}/completions", "-d", f"@{path}")) == COMPLETION
    )
    world.provider.says(CHUNKED, event(COMPLETION), LAST)
    streamed = body[:-1] + ', "stream": true}'
    assert (await run("-N", f"{url}/completions", "-d", streamed)).endswith("data: [DONE]\n\n")
    assert (await run("-I", f"{url}/models")).startswith("HTTP/1.1 200 OK\r\n")
    world.provider.says(CHUNKED, event(COMPLETION), close=True)
    with pytest.raises(subprocess.CalledProcessError):  # 18: a partial file
        await run("-N", f"{url}/completions", "-d", streamed)
