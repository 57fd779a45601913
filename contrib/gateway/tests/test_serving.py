"""A gateway over loopback: calls go through as they are, and wait their turn."""

from __future__ import annotations

import gzip
import json
from collections.abc import Callable
from typing import Any

import anthropic
import openai
import pytest
import trio

from penstock_gateway.testing import ANSWER, CHAT, KEYS, PROVIDER_KEY, Provider, World, whole

pytestmark = pytest.mark.loopback

TWO_KEYS = '[gateway.keys.a]\nenv = "A_KEY"\n[gateway.keys.b]\nenv = "B_KEY"\n'
EVENTS = (
    b'data: {"choices":[{"index":0,"delta":{"content":"hi"}}]}\n\n',
    b'data: {"choices":[{"index":0,"delta":{},"finish_reason":"stop"}]}\n\n',
    b'data: {"choices":[],"usage":{"prompt_tokens":3,"completion_tokens":2,"total_tokens":5}}\n\n',
    b"data: [DONE]\n\n",
)
STREAM = b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\nconnection: close\r\n\r\n"
OTHER = "[providers.acme.models.other]\nmax_parallel_requests = 1"
STREAMED = b'{"model": "small", "stream": true, "messages": []}'


def key(name: str) -> str:
    return f"authorization: Bearer {KEYS[f'{name.upper()}_KEY']}"


async def test_a_call_goes_through_as_it_is_but_for_its_model_and_its_key(world: World) -> None:
    await world.begin(TWO_KEYS)
    body = b'{ "messages":[ ],"model" :"small", "x":1.0e5 }'
    status, headers, answer = await world.ask(body, key("a"), "x-thing: 1", path="/v1/chat/completions?beta=true")
    assert (status, answer) == (200, ANSWER)
    assert headers["x-penstock-model"] == "acme/small"
    assert float(headers["x-penstock-waited"]) >= 0
    (request,) = world.provider.requests
    assert request.body == b'{ "messages":[ ],"model" :"acme-small-2", "x":1.0e5 }'
    assert request.target == b"/v1/chat/completions?beta=true"
    assert request.header(b"authorization") == f"Bearer {PROVIDER_KEY}"
    assert request.header(b"x-thing") == "1"


async def test_a_stream_goes_through_without_the_usage_that_nobody_asked_for(world: World) -> None:
    await world.begin(TWO_KEYS)
    world.provider.says(STREAM, *EVENTS, close=True)
    status, headers, answer = await world.ask(STREAMED, key("a"))
    assert (status, headers["transfer-encoding"]) == (200, "chunked")
    assert answer == b"".join((*EVENTS[:2], EVENTS[3]))
    assert json.loads(world.provider.requests[0].body)["stream_options"] == {"include_usage": True}
    assert world.gateway.front.metrics.tokens["a", "acme/small", "in"] == 3
    asked = b'{"model": "small", "stream": true, "stream_options": {"include_usage": true}}'
    assert (await world.ask(asked, key("a")))[2] == b"".join(EVENTS)


async def test_an_answer_in_gzip_passes_and_its_usage_is_read(world: World) -> None:
    await world.begin()
    packed = gzip.compress(ANSWER)
    world.provider.says(whole(packed, b"200 OK", b"content-encoding: gzip"))
    _, headers, answer = await world.ask(CHAT, "accept-encoding: gzip")
    assert (headers["content-encoding"], answer) == ("gzip", packed)
    assert world.gateway.front.metrics.tokens["anybody", "acme/small", "out"] == 2


REFUSED: list[tuple[tuple[str, ...], bytes, str, int, str]] = [
    ((), CHAT, "/v1/chat/completions", 401, "key_missing"),
    (("x-api-key: wrong",), CHAT, "/v1/chat/completions", 401, "key_unknown"),
    ((key("a"),), b"{", "/v1/chat/completions", 400, "invalid_body"),
    ((key("a"),), b'{"model": "small", "model": "large"}', "/v1/chat/completions", 400, "invalid_body"),
    ((key("a"),), b'{"model": "none"}', "/v1/chat/completions", 404, "model_not_found"),
    ((key("b"),), CHAT, "/v1/chat/completions", 403, "model_not_allowed"),
    ((key("a"),), CHAT, "/v1/messages", 400, "wrong_dialect"),
    ((key("a"),), CHAT, "/v1/nothing", 404, "not_found"),
    ((key("a"), "x-request-timeout: soon"), CHAT, "/v1/chat/completions", 400, "invalid_header"),
    ((key("a"), "x-request-timeout: 0"), CHAT, "/v1/chat/completions", 504, "deadline"),
]


async def test_what_may_not_go_is_refused_in_the_form_of_its_dialect_and_uses_nothing(world: World) -> None:
    await world.begin(TWO_KEYS + 'models = ["other"]\n', more=OTHER)
    for headers, body, path, status, code in REFUSED:
        found, _, answer = await world.ask(body, *headers, path=path)
        error = json.loads(answer)["error"]
        assert (found, error["penstock"]["code"]) == (status, code)
        assert (json.loads(answer).get("type") == "error") == (path == "/v1/messages")
    assert not world.provider.requests
    assert world.gateway.leases == (0, 0)


async def test_a_client_keeps_its_connection_also_after_a_refusal(world: World) -> None:
    await world.begin(TWO_KEYS)
    client = await world.client()
    assert (await client.ask(b"{", key("a")))[0] == 400
    assert (await client.ask(CHAT, key("a")))[0] == 200
    assert (await client.ask(b"", key("a"), path="/v1/models", method="GET"))[0] == 200
    assert world.gateway.connections == 1


async def test_the_models_are_those_that_the_key_may_call(world: World) -> None:
    await world.begin(TWO_KEYS + 'models = ["small"]\n')
    _, _, answer = await world.ask(b"", key("b"), path="/v1/models", method="GET")
    assert [model["id"] for model in json.loads(answer)["data"]] == ["acme/small", "small"]
    status, _, answer = await world.ask(b"", key("b"), "anthropic-version: 1", path="/v1/models/small", method="GET")
    assert (status, json.loads(answer)["type"]) == (200, "model")
    assert (await world.ask(b"", key("b"), path="/v1/models/none", method="GET"))[0] == 404


async def test_calls_wait_for_their_turn_and_never_more_are_out_than_may_be(world: World) -> None:
    await world.begin(cap=2)
    statuses: list[int] = []

    async def one() -> None:
        statuses.append((await world.ask())[0])

    async with trio.open_nursery() as nursery:
        for _ in range(12):
            nursery.start_soon(one)
    assert statuses == [200] * 12
    assert world.provider.most_out <= 2


async def test_a_wait_that_is_too_long_ends_with_what_it_waited_for(world: World) -> None:
    await world.begin(
        'queue_wait_timeout = 0.05\n[gateway.keys.a]\nenv = "A_KEY"\ncalls = 1\n[gateway.keys.b]\nenv = "B_KEY"\n'
    )
    world.provider.hangs()
    first = await world.client()
    await first.send(CHAT, key("a"))
    await world.provider.until(lambda: world.provider.out == 1)
    status, headers, answer = await world.ask(CHAT, key("a"))
    error = json.loads(answer)["error"]
    assert (status, error["code"], int(headers["retry-after"])) == (429, "key_limit", 1)
    assert "the 1 places of group a are taken" in error["message"]
    assert error["penstock"]["waited_seconds"] >= 0.05
    second = await world.client()
    await second.send(CHAT, key("b"))
    await world.provider.until(lambda: world.provider.out == 2)
    assert (await world.ask(CHAT, key("b")))[0] == 503


async def test_requests_per_minute_of_a_key_are_told_with_the_moment(world: World) -> None:
    await world.begin('queue_wait_timeout = 0.0\n[gateway.keys.a]\nenv = "A_KEY"\nrequests_per_minute = 1\n')
    assert (await world.ask(CHAT, key("a")))[0] == 200
    status, headers, answer = await world.ask(CHAT, key("a"))
    assert (status, json.loads(answer)["error"]["code"]) == (429, "key_limit")
    assert 1 <= int(headers["retry-after"]) <= 60


async def test_a_client_that_leaves_in_the_middle_takes_its_call_along(world: World) -> None:
    await world.begin(cap=1)
    for begun in (b"", STREAM + EVENTS[0]):
        world.provider.hangs(*([begun] if begun else []))
        client = await world.client()
        await client.send(STREAMED if begun else CHAT)
        await world.provider.until(lambda: world.provider.out == 1)
        if begun:
            await client.stream.receive_some(1)
        await client.stream.aclose()
        await world.provider.until(lambda: world.provider.out == 0)
    world.provider.reply = world.provider.answer
    assert (await world.ask())[0] == 200


async def test_a_client_that_leaves_the_line_leaves_its_place(world: World) -> None:
    gateway = await world.begin(cap=1)
    world.provider.hangs()
    first, second = await world.client(), await world.client()
    await first.send()
    await world.provider.until(lambda: world.provider.out == 1)
    await second.send()
    await second.stream.aclose()
    world.provider.reply = world.provider.answer
    await first.stream.aclose()
    assert (await world.ask())[0] == 200
    assert "penstock_waiting{" in gateway.metrics()
    assert len(world.provider.requests) == 2


async def test_a_pipelined_request_is_one_of_its_own(world: World) -> None:
    await world.begin(TWO_KEYS)
    client = await world.client()
    await client.send(CHAT, key("a"))
    await client.send(CHAT, "x-api-key: wrong")
    assert (await client.answer())[0] == 200
    assert (await client.answer())[0] == 401
    assert len(world.provider.requests) == 1


async def test_who_has_no_key_is_not_listened_to(world: World) -> None:
    await world.begin(TWO_KEYS)
    client = await world.client()
    await client.stream.send_all(b"POST /v1/messages HTTP/1.1\r\nhost: x\r\ncontent-length: 1000000\r\n\r\n")
    status, _, answer = await client.answer()
    assert (status, json.loads(answer)["error"]["type"]) == (401, "authentication_error")


async def test_who_asks_before_sending_is_told_to_go_on(world: World) -> None:
    await world.begin()
    client = await world.client()
    head = "POST /v1/chat/completions HTTP/1.1\r\nhost: x\r\nexpect: 100-continue\r\n"
    await client.stream.send_all(f"{head}content-length: {len(CHAT)}\r\n\r\n".encode())
    assert bytes(await client.stream.receive_some(100)).startswith(b"HTTP/1.1 100 Continue\r\n\r\n")
    await client.stream.send_all(CHAT)
    assert (await client.answer())[0] == 200


async def test_what_is_no_request_is_told_and_ends_its_connection(world: World) -> None:
    await world.begin()
    client = await world.client()
    await client.stream.send_all(b"\x16\x03\x01\r\n\r\n")
    assert (await client.answer())[0] == 400


async def test_a_request_that_does_not_end_is_given_up(world: World) -> None:
    await world.begin("request_timeout = 0.05\n")
    client = await world.client()
    await client.stream.send_all(b"POST /v1/chat/completions HTTP/1.1\r\nhost: x\r\n")
    assert (await client.answer())[0] == 408


# -- at the end --


async def test_draining_lets_what_is_under_way_end_and_takes_nothing_new(world: World) -> None:
    gateway = await world.begin()
    go = trio.Event()

    async def reply(_: Provider, stream: trio.SocketStream, __: object) -> None:
        await go.wait()
        await stream.send_all(whole(ANSWER))

    world.provider.reply = reply
    idle, busy = await world.client(), await world.client()
    await idle.ask(b"", path="/healthz", method="GET")
    await busy.send()
    await world.provider.until(lambda: world.provider.out == 1)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(gateway.drain, 60.0)
        assert await idle.stream.receive_some(1) == b""
        go.set()
        status, headers, _ = await busy.answer()
    assert (status, headers["connection"]) == (200, "close")
    assert gateway.connections == 0
    with pytest.raises(OSError, match=r"."):
        await world.client()


async def test_draining_ends_what_takes_too_long(world: World) -> None:
    gateway = await world.begin()
    world.provider.hangs()
    await (await world.client()).send()
    await world.provider.until(lambda: world.provider.out == 1)
    await gateway.drain(0.05)
    assert gateway.connections == 1


async def test_a_client_that_comes_while_a_gateway_drains_is_not_waited_for(world: World) -> None:
    gateway = await world.begin()
    gateway.front.draining = True  # it is accepted when the end has begun
    client = await world.client()
    assert await client.stream.receive_some(1) == b""
    assert gateway.connections == 0


# -- what one sees --


async def test_metrics_and_health_are_at_a_port_of_their_own(world: World) -> None:
    gateway = await world.begin(TWO_KEYS + "[gateway.admin]\nport = 0\n")
    await world.ask(CHAT, key("a"))
    port = int(gateway.admin_url.rpartition(":")[2])
    for path, status, text in (
        ("/metrics", 200, b'{key="a",model="acme/small",status="200"} 1'),
        ("/x", 404, b"/metrics"),
    ):
        async with await trio.open_tcp_stream("127.0.0.1", port) as stream:
            client = type(await world.client())(stream)
            found, _, page = await client.ask(b"", path=path, method="GET")
        assert found == status
        assert text in page


async def test_a_call_is_a_line_of_the_log_without_what_was_said(world: World) -> None:
    await world.begin(TWO_KEYS)
    await world.ask(b'{"model": "small", "messages": ["a secret"]}', key("a"))
    await world.ask(CHAT, "x-api-key: wrong")
    log = world.log
    await world.end()
    lines = [json.loads(line) for line in log.read_text(encoding="utf-8").splitlines()]
    assert [(line["status"], line.get("key"), line.get("refused")) for line in lines] == [
        (200, "a", None),
        (401, None, "key_unknown"),
    ]
    assert (lines[0]["input_tokens"], lines[0]["output_tokens"]) == (3, 2)
    assert "secret" not in log.read_text(encoding="utf-8")


# -- SDKs --


def in_thread(call: Callable[[], Any]) -> Any:
    return trio.to_thread.run_sync(call, abandon_on_cancel=True)


async def test_the_sdk_of_openai_is_served(world: World) -> None:
    await world.begin(TWO_KEYS)
    client = openai.OpenAI(base_url=world.gateway.url, api_key=KEYS["A_KEY"], max_retries=0)
    ask: Any = [{"role": "user", "content": "hello"}]
    answer = await in_thread(lambda: client.chat.completions.create(model="small", messages=ask))
    assert answer.choices[0].message.content == "hi"
    world.provider.says(STREAM, *EVENTS, close=True)
    chunks = await in_thread(lambda: list(client.chat.completions.create(model="small", messages=ask, stream=True)))
    assert [chunk.choices[0].delta.content for chunk in chunks] == ["hi", None]
    with pytest.raises(openai.NotFoundError, match="there is no such model here"):
        await in_thread(lambda: client.chat.completions.create(model="none", messages=ask))
    assert [model.id for model in await in_thread(lambda: list(client.models.list()))] == ["acme/small", "small"]
    await in_thread(client.close)


async def test_the_sdk_of_anthropic_is_served(world: World) -> None:
    await world.begin(TWO_KEYS, kind="anthropic")
    url = world.gateway.url.removesuffix("/v1")
    client = anthropic.Anthropic(base_url=url, api_key=KEYS["A_KEY"], max_retries=0)
    message = {
        "id": "1",
        "type": "message",
        "role": "assistant",
        "model": "m",
        "content": [{"type": "text", "text": "hi"}],
        "stop_reason": "end_turn",
        "usage": {"input_tokens": 3, "output_tokens": 2},
    }
    world.provider.says(whole(json.dumps(message).encode()))
    ask: Any = {"model": "small", "max_tokens": 8, "messages": [{"role": "user", "content": "hello"}]}
    answer = await in_thread(lambda: client.messages.create(**ask))
    assert answer.content[0].text == "hi"
    request = world.provider.requests[0]
    assert request.path == "/v1/messages"
    assert request.header(b"x-api-key") == PROVIDER_KEY
    assert request.header(b"anthropic-version")
    assert request.header(b"authorization") is None
    assert world.gateway.front.metrics.tokens["a", "acme/small", "out"] == 2
    with pytest.raises(anthropic.NotFoundError, match="there is no such model here"):
        await in_thread(lambda: client.messages.create(**{**ask, "model": "none"}))
    await in_thread(client.close)
