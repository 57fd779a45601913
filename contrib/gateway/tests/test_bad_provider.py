"""A provider that misbehaves hurts the call that meets it, and neither the next one nor the gateway."""

from __future__ import annotations

import gzip
import json
from contextlib import suppress
from typing import Any

import pytest
import trio
import trio.testing

from penstock_dialects import Answer, Dialect, Shape
from penstock_gateway import exchange, upstream_spec
from penstock_gateway.request_parser import ClientRequest
from penstock_gateway.testing import ANSWER, CHAT, PROVIDER_KEY, Provider, World, whole
from penstock_wire import ConnectionLost

pytestmark = pytest.mark.loopback

OK = b"HTTP/1.1 200 OK\r\n"
EVENT = b'data: {"choices":[{"delta":{"content":"hi"}}]}\n\n'
STREAMED = b'{"model": "small", "stream": true, "messages": []}'
CHUNKED = OK + b"content-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n"


def error(status: bytes, text: bytes, *headers: bytes) -> bytes:
    return whole(b'{"error": {"message": "%s", "type": "t", "code": "c"}}' % text, status, *headers)


BEFORE_THE_FIRST_BYTE = {
    "closes without a word": (b"",),
    "no HTTP": (b"SSH-2.0-OpenSSH_9.6\r\n",),
    "HTTP/2's preface": (b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",),
    "a head that breaks off": (OK + b"content-type: appl",),
    "a head without an end": (OK + b"x: " + b"y" * 200_000,),
    "too many headers": (OK + b"x: y\r\n" * 300 + b"\r\n",),
    "two lengths": (OK + b"content-length: 2\r\ncontent-length: 3\r\n\r\n{} ",),
    "a length and chunks": (OK + b"content-length: 2\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n",),
    "a length that is none": (OK + b"content-length: -2\r\n\r\n{}",),
    "another protocol": (b"HTTP/1.1 101 Switching Protocols\r\nupgrade: x\r\nconnection: upgrade\r\n\r\n",),
    "only interim answers": (b"HTTP/1.1 100 Continue\r\n\r\n" * 3,),
    "a status that is none": (b"HTTP/1.1 abc OK\r\n\r\n",),
    "a header that is two": (OK + b"x: a\r\n b: c\r\nbad header\r\n\r\n",),
}


async def test_what_is_no_answer_is_a_bad_gateway_and_the_next_call_goes_well(world: World) -> None:
    await world.begin(cap=1)
    client = await world.client()
    for what, said in BEFORE_THE_FIRST_BYTE.items():
        world.provider.says(*said, close=True)
        status, headers, answer = await client.ask()
        assert (status, json.loads(answer)["error"]["code"]) == (502, "provider_failed"), what
        assert headers["retry-after"] == "1", what
        world.provider.reply = world.provider.answer
        assert (await client.ask())[0] == 200, what


AFTER_IT = {
    "a length that is too long": (OK + b"content-length: 1000\r\n\r\n" + ANSWER, b""),
    "chunks that break off": (CHUNKED + b"%x\r\n" % len(EVENT) + EVENT + b"\r\n", b""),
    "chunks that are none": (CHUNKED + b"%x\r\n" % len(EVENT) + EVENT + b"\r\n", b"zz\r\n"),
    "a chunk that breaks off": (CHUNKED + b"fff\r\n" + EVENT, b""),
}
"""What the client has seen something of, and what follows before the provider closes."""


async def test_an_answer_that_breaks_off_is_not_ended_as_if_it_were_whole(world: World) -> None:
    await world.begin(cap=1)
    for what, (seen, after) in AFTER_IT.items():
        client = await world.client()

        async def breaks_off(
            _: Provider,
            stream: trio.SocketStream,
            __: ClientRequest,
            *,
            seen: bytes = seen,
            after: bytes = after,
            began: trio.Event = client.began,
        ) -> None:
            await stream.send_all(seen)
            await began.wait()
            await stream.send_all(after)
            await stream.aclose()

        world.provider.reply = breaks_off
        await client.send()
        with pytest.raises(ConnectionLost):
            await client.answer()
        world.provider.reply = world.provider.answer
        assert (await world.ask())[0] == 200, what


PASSES = {
    "a 400 of its own": (error(b"400 Bad Request", b"no"), 400),
    "a 500": (error(b"500 Internal Server Error", b"no"), 500),
    "an overload": (error(b"529 Overloaded", b"no"), 529),
    "a page": (whole(b"<html>", b"503 Service Unavailable"), 503),
    "nothing at all": (whole(b"", b"502 Bad Gateway"), 502),
    "an error in a 200": (whole(b'{"error": {"message": "no"}}'), 200),
    "a body that is no JSON": (whole(b"\xff\x00{"), 200),
    "a packed body that is none": (whole(b"not gzip", b"200 OK", b"content-encoding: gzip"), 200),
    "an encoding that nobody knows": (whole(b"?", b"200 OK", b"content-encoding: x-nobody"), 200),
    "usage that is none": (whole(b'{"choices": [{"finish_reason": "stop"}], "usage": {"prompt_tokens": "9"}}'), 200),
    "usage beyond all reason": (whole(b'{"choices": [], "usage": {"prompt_tokens": 99999999999999999999}}'), 200),
    "more behind its end": (whole(b"{}") + b"HTTP/1.1 200 OK\r\n\r\n", 200),
    "a redirect": (whole(b"", b"307 Temporary Redirect", b"location: http://elsewhere/"), 307),
    "a body that unpacks without end": (
        whole(gzip.compress(b'{"choices": "' + b" " * 1_000_000), b"200 OK", b"content-encoding: gzip"),
        200,
    ),
}


async def test_whatever_a_provider_says_passes_as_it_is(world: World) -> None:
    await world.begin(cap=1, cooldown=False)
    for number, (what, (said, status)) in enumerate(PASSES.items(), 1):
        world.provider.says(said)
        found, _, body = await world.ask(CHAT, "accept-encoding: gzip")
        meant = said.partition(b"\r\n\r\n")[2].removesuffix(b"HTTP/1.1 200 OK\r\n\r\n")
        assert (found, body) == (status, meant), what
        assert world.gateway.leases == (number, number), what


def streamed(*events: bytes) -> bytes:
    pieces = (*(b"data: %s\n\n" % event for event in events), b"")
    return CHUNKED + b"".join(b"%x\r\n%s\r\n" % (len(piece), piece) for piece in pieces)


LIMITED = b'{"error": {"message": "slow down", "code": 429, "type": "rate_limit_error"}}'
ENDS = [
    (whole(ANSWER), None, 0),
    (whole(b'{"error": {"message": "no", "code": 500}}'), "error", 0),
    (whole(LIMITED), "error", 1),
    (streamed(b'{"choices": [{"delta": {"content": "hi"}}]}', b'{"error": {"message": "no"}}'), "error", 0),
    (streamed(LIMITED), "error", 1),
    (whole(b'{"choices": [{"message": {"content": "hi"}, "finish_reason": "length"}]}'), "length", 0),
    (whole(b'{"choices": [{"message": {"content": "h'), "cut", 0),
]


@pytest.mark.parametrize(("said", "ended", "limits"), ENDS)
async def test_the_log_says_of_a_200_that_it_holds_an_error(
    world: World, said: bytes, ended: str | None, limits: int
) -> None:
    await world.begin(cooldown=False)
    world.provider.says(said)
    status, _, _ = await world.ask(STREAMED if b"event-stream" in said else CHAT)
    assert status == 200
    assert sum(world.gateway.front.metrics.limited.values()) == limits
    await world.end()
    (line,) = world.log.read_text(encoding="utf-8").splitlines()
    assert json.loads(line).get("ended") == ended
    assert "failed" not in line


async def test_a_length_of_thousands_of_digits_is_read_as_what_it_says(world: World) -> None:
    await world.begin()
    world.provider.says(OK + b"content-length: " + b"0" * 5000 + b"2\r\n\r\n{}")
    status, headers, body = await world.ask()
    assert (status, body) == (200, b"{}")
    assert headers["content-length"] == "2"


async def test_a_rate_limit_passes_and_the_next_call_waits_for_it(world: World) -> None:
    await world.begin("queue_wait_timeout = 0.0\n")
    world.provider.says(error(b"429 Too Many Requests", b"slow down", b"retry-after: 30"))
    status, headers, _ = await world.ask()
    assert (status, headers["retry-after"]) == (429, "30")
    assert world.gateway.front.metrics.limited == {("acme/small", "acme"): 1}
    status, headers, _ = await world.ask()
    assert status == 503
    assert 1 <= int(headers["retry-after"]) <= 31
    assert len(world.provider.requests) == 1


async def test_the_refusal_of_the_gateways_own_key_is_not_passed_on(world: World) -> None:
    await world.begin()
    world.provider.says(error(b"401 Unauthorized", b"Incorrect API key provided: " + PROVIDER_KEY.encode()))
    status, _, answer = await world.ask()
    assert (status, json.loads(answer)["error"]["code"]) == (502, "provider_refused_key")
    assert PROVIDER_KEY.encode() not in answer


async def test_a_provider_that_is_not_there_is_told(world: World) -> None:
    world.provider.url = "http://127.0.0.1:1/v1"
    await world.begin()
    status, _, answer = await world.ask()
    assert (status, json.loads(answer)["error"]["code"]) == (502, "provider_unreachable")


async def test_an_answer_that_does_not_come_is_a_timeout(world: World) -> None:
    await world.begin("first_byte_timeout = 0.05\n", cap=1)
    for begun in ((), (b"HTTP/1.1 200 OK\r\n",)):
        world.provider.hangs(*begun)
        status, _, answer = await world.ask()
        assert (status, json.loads(answer)["error"]["code"]) == (504, "provider_timeout")
        world.provider.reply = world.provider.answer
        assert (await world.ask())[0] == 200


async def test_an_answer_that_stands_still_is_broken_off(world: World) -> None:
    await world.begin("idle_timeout = 0.05\n", cap=1)
    world.provider.hangs(CHUNKED + b"%x\r\n%s\r\n" % (len(EVENT), EVENT))
    client = await world.client()
    await client.send(STREAMED)
    with pytest.raises(ConnectionLost):
        await client.answer()
    world.provider.reply = world.provider.answer
    assert (await world.ask())[0] == 200


async def without_end(_: object, stream: trio.SocketStream, __: object) -> None:
    with suppress(trio.BrokenResourceError):
        await stream.send_all(CHUNKED)
        for _ in range(2000):
            await stream.send_all(b"%x\r\n%s\r\n" % (50_000, b"x" * 50_000))


async def test_who_takes_an_answer_slowly_gets_it_and_who_takes_nothing_is_left(
    world: World, mock_clock: trio.testing.MockClock
) -> None:
    await world.begin("idle_timeout = 30.0\n", cap=1)
    world.provider.reply = without_end
    client = await world.client()
    await client.send(STREAMED)
    await client.stream.receive_some(1)
    for _ in range(6):
        await trio.testing.wait_all_tasks_blocked()
        mock_clock.jump(20.0)
        for _ in range(5):
            assert await client.stream.receive_some(65536)
    assert world.provider.out == 1
    await trio.testing.wait_all_tasks_blocked()
    mock_clock.jump(31.0)  # in which the last that it has taken is seen
    await trio.testing.wait_all_tasks_blocked()
    mock_clock.jump(31.0)
    await world.provider.until(lambda: world.provider.out == 0)
    assert world.gateway.leases == (1, 1)


async def test_a_call_ends_by_its_clients_deadline(world: World) -> None:
    await world.begin(cap=1)
    world.provider.hangs()
    status, _, answer = await world.ask(CHAT, "x-request-timeout: 0.05")
    assert (status, json.loads(answer)["error"]["code"]) == (504, "deadline")
    await world.provider.until(lambda: world.provider.out == 0)


async def test_a_client_that_reads_nothing_holds_back_its_own_stream_alone(world: World) -> None:
    await world.begin(cap=2)
    sent = 0

    async def flood(_: object, stream: trio.SocketStream, __: object) -> None:
        nonlocal sent
        await stream.send_all(CHUNKED)
        for _ in range(2000):
            await stream.send_all(b"%x\r\n%s\r\n" % (50_000, b"x" * 50_000))
            sent += 50_000

    world.provider.reply = flood
    slow = await world.client()
    await slow.send(STREAMED)
    await slow.stream.receive_some(1)
    world.provider.reply = world.provider.answer
    assert (await world.ask())[0] == 200
    assert sent < 100_000_000
    await slow.stream.aclose()
    await world.provider.until(lambda: world.provider.out == 0)
    assert sent < 100_000_000


async def test_an_answer_that_a_dialect_makes_nonsense_of_takes_no_memory_and_no_place_for_ever(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    def read(_: dict[str, Any], answer: Answer) -> None:
        setattr(answer, "finish", 5)  # noqa: B010  # a mistake that the types know of

    odd = Dialect(name="odd", shapes=(Shape("odd", lambda _: True, read),))
    monkeypatch.setattr(upstream_spec, "dialect_at", lambda _: odd)
    await world.begin(cap=1)
    for _ in range(2):
        await world.ask()
    assert world.gateway.leases == (2, 2)
    assert exchange.READ.taken == 0
