"""What a provider says beside the point, whatever way it finds: its call ends as it must, and nobody else's does."""

from __future__ import annotations

import errno
import gzip
import json
import re
from typing import Any

import pytest
import trio
import trio.testing

from penstock_gateway import ClientRequest
from penstock_gateway.testing import ANSWER, CHAT, KEYS, Provider, World, whole
from penstock_wire import ConnectionLost

pytestmark = pytest.mark.loopback

OK = b"HTTP/1.1 200 OK\r\n"
SSE = OK + b"content-type: text/event-stream\r\n"
CHUNKED = SSE + b"transfer-encoding: chunked\r\n\r\n"
STREAMED = b'{"model": "small", "stream": true, "messages": []}'
TWO = '[endpoints.acme]\nfirst = { api_key_env = "A_KEY" }\nsecond = { api_key_env = "B_KEY" }\n'


def chunk(data: bytes) -> bytes:
    return b"%x\r\n%s\r\n" % (len(data), data)


EVENT = b'data: {"choices":[{"delta":{"content":"hi"}}]}\n\n'
DONE = b"data: [DONE]\n\n"
EVIL = whole(b'{"evil": true}')

NO_ANSWER = {
    "a status below 100, whose body would be the next one's": b"HTTP/1.1 099 X\r\ncontent-length: 5\r\n\r\nEVIL!"
    + EVIL,
    "an interim answer with a body": b"HTTP/1.1 100 X\r\ncontent-length: 5\r\n\r\nEVIL!" + EVIL,
    "interim answers without end": b"HTTP/1.1 103 Early Hints\r\nx: y\r\n\r\n" * 6000,
    "a header that goes on": OK + b"x: a\r\n b: c\r\ncontent-length: 2\r\n\r\n{}",
    "a header within a header": OK + b"x: a\rset-cookie: b\r\ncontent-length: 2\r\n\r\n{}",
    "a NUL in a header": OK + b"x: a\0b\r\ncontent-length: 2\r\n\r\n{}",
    "lines that end with LF": b"HTTP/1.1 200 OK\ncontent-length: 2\n\n{}",
    "the same length twice": OK + b"content-length: 2\r\ncontent-length: 2\r\n\r\n{}",
    "a list of lengths": OK + b"content-length: 2, 2\r\n\r\n{}",
    "a length beyond all": OK + b"content-length: 99999999999999999999999\r\n\r\n{}",
    "packed in a way that nobody asked for": OK
    + b"transfer-encoding: gzip, chunked\r\n\r\n"
    + chunk(b"x")
    + b"0\r\n\r\n",
    "in chunks that it does not say": OK + b"transfer-encoding: xchunked\r\n\r\n" + chunk(b"{}") + b"0\r\n\r\n",
    "bytes of another protocol": b"\x16\x03\x01\x02\x00\x01",
}


async def test_what_can_be_read_in_two_ways_is_no_answer(world: World) -> None:
    await world.begin(cap=1)
    client = await world.client()
    for what, said in NO_ANSWER.items():
        world.provider.says(said, close=True)
        status, _, answer = await client.ask()
        assert (status, json.loads(answer)["error"]["code"]) == (502, "provider_failed"), what
        world.provider.reply = world.provider.answer
        assert (await client.ask())[2] == ANSWER, what


WITHOUT_END = {
    "a trailer": b"0\r\nx: " + b"y" * 300_000,
    "trailers": b"0\r\n" + b"x: y\r\n" * 50_000,
    "an extension of a chunk": b"1;" + b"x" * 300_000,
}


async def test_what_is_beside_the_body_has_an_end_or_the_answer_breaks_off(world: World) -> None:
    await world.begin(cap=1)
    for what, said in WITHOUT_END.items():
        world.provider.hangs(CHUNKED + chunk(EVENT), said)
        client = await world.client()
        await client.send()
        with pytest.raises(ConnectionLost):
            await client.answer()
        await world.provider.until(lambda: world.provider.out == 0)
        assert world.gateway.leases[0] == world.gateway.leases[1], what


WHOLE = {
    "a 204 with a body": (b"HTTP/1.1 204 No Content\r\ncontent-length: 5\r\n\r\nEVIL!", 204, b""),
    "a 304 with a body": (b"HTTP/1.1 304 Not Modified\r\ncontent-length: 5\r\n\r\nEVIL!", 304, b""),
    "chunks with extensions and trailers": (CHUNKED + b"2;a=b\r\n{}\r\n0\r\nx: y\r\n\r\n", 200, b"{}"),
    "interim answers before it": (b"HTTP/1.1 103 Early Hints\r\nlink: x\r\n\r\n" * 3 + whole(b"{}"), 200, b"{}"),
    "two answers": (whole(b"{}") + EVIL, 200, b"{}"),
    "stray bytes": (whole(b"{}") + b"\0\r\n", 200, b"{}"),
    "HTTP/1.0": (b"HTTP/1.0 200 OK\r\ncontent-length: 2\r\n\r\n{}", 200, b"{}"),
    "HTTP/1.0 that lasts": (b"HTTP/1.0 200 OK\r\nconnection: keep-alive\r\ncontent-length: 2\r\n\r\n{}", 200, b"{}"),
    "an upgrade that nobody asked for": (whole(b"{}", b"200 OK", b"connection: upgrade", b"upgrade: h2c"), 200, b"{}"),
    "its end by a word": (whole(b"{}", b"200 OK", b"connection: close"), 200, b"{}"),
    "a status that is new": (whole(b"{}", b"299 ?"), 299, b"{}"),
    "no reason": (b"HTTP/1.1 200\r\ncontent-length: 2\r\n\r\n{}", 200, b"{}"),
    "a wait of a date": (whole(b"{}", b"503 No", b"retry-after: Wed, 21 Oct 2015 07:28:00 GMT"), 503, b"{}"),
    "a wait of nonsense": (whole(b"{}", b"429 No", b"retry-after: -1e999, soon"), 429, b"{}"),
    "a wait of a year": (whole(b"{}", b"400 No", b"retry-after: 31536000"), 400, b"{}"),
    "nothing but comments": (CHUNKED + chunk(b": \n\n" * 1000) + b"0\r\n\r\n", 200, b": \n\n" * 1000),
    "a body that unpacks to nothing": (whole(b"\x1f\x8b", b"200 OK", b"content-encoding: br"), 200, b"\x1f\x8b"),
}


async def test_an_answer_ends_where_it_ends_and_its_client_asks_again_on_its_connection(world: World) -> None:
    gateway = await world.begin(cap=1, cooldown=False)
    client = await world.client()
    for what, (said, status, body) in WHOLE.items():
        world.provider.says(said)
        assert (await client.ask())[::2] == (status, body), what
        world.provider.reply = world.provider.answer
        assert (await client.ask())[2] == ANSWER, what
    assert gateway.connections == 1
    assert gateway.leases[0] == gateway.leases[1]


async def test_an_error_in_a_stream_passes_and_counts_as_one(world: World) -> None:
    gateway = await world.begin("queue_wait_timeout = 0.0\n")
    limited = b'data: {"error": {"code": 429, "message": "slow down", "type": "rate_limit"}}\n\n'
    world.provider.says(CHUNKED, chunk(EVENT), chunk(limited), b"0\r\n\r\n")
    assert (await world.ask(STREAMED))[::2] == (200, EVENT + limited)
    status, _, answer = await world.ask()
    assert (status, json.loads(answer)["error"]["code"]) == (503, "no_capacity"), "the model cools down"
    assert gateway.leases == (1, 1)


async def test_chunks_of_a_byte_each_cost_no_more_than_their_bytes(world: World) -> None:
    await world.begin()
    text = b'data: {"choices": []}\n\n' * 400
    world.provider.says(CHUNKED + b"".join(chunk(text[at : at + 1]) for at in range(len(text))) + b"0\r\n\r\n")
    client = await world.client()
    await client.send(STREAMED)
    raw = b""
    while not raw.endswith(b"\r\n0\r\n\r\n"):
        raw += bytes(await client.stream.receive_some(1 << 20))
    assert len(raw.partition(b"\r\n\r\n")[2]) < 1.2 * len(text)


async def test_a_header_that_the_gateway_sends_is_not_sent_by_the_client_too(world: World) -> None:
    await world.begin(more='headers = { x-team = "A_KEY" }')
    assert (await world.ask(CHAT, "X-Team: mine", "x-other: mine"))[0] == 200
    (request,) = world.provider.requests
    assert [value for name, value in request.headers if name == b"x-team"] == [KEYS["A_KEY"].encode()]
    assert request.header(b"x-other") == "mine"


# -- what the system says --


async def test_a_shortage_of_the_gateways_own_is_told_as_that(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    await world.begin("queue_wait_timeout = 0.0\n" + TWO)

    async def none_left(*_: Any) -> None:
        raise OSError(errno.EMFILE, "Too many open files")

    client = await world.client()
    with monkeypatch.context() as patched:
        patched.setattr(trio, "open_tcp_stream", none_left)
        status, headers, answer = await client.ask()
    error = json.loads(answer)["error"]
    assert (status, error["code"], headers["retry-after"]) == (503, "gateway_short", "1")
    assert "too many open files in this process" in error["message"]
    assert not world.provider.requests


async def test_why_a_provider_cannot_be_reached_stands_in_the_log_alone(world: World) -> None:
    (listener,) = await trio.open_tcp_listeners(0, host="127.0.0.1")
    world.provider.url = f"https://127.0.0.1:{listener.socket.getsockname()[1]}"
    await world.begin()

    async def no_tls() -> None:
        async with listener, await listener.accept() as stream:
            await stream.send_all(b"HTTP/1.1 400 No\r\n\r\n")

    async with trio.open_nursery() as nursery:
        nursery.start_soon(no_tls)
        status, _, answer = await world.ask()
    assert (status, json.loads(answer)["error"]["code"]) == (502, "provider_unreachable")
    assert b"TLS" not in answer
    await world.end()
    (line,) = map(json.loads, world.log.read_text(encoding="utf-8").splitlines())
    assert line["refused"] == "provider_unreachable"
    assert re.match(r"no TLS with 127\.0\.0\.1:\d+: ", line["cause"])


# -- time, and other places --


def held_or_refused(provider: Provider) -> None:
    """Calls with `x-hold` have a stream that stands still; the others are refused."""

    async def reply(_: Provider, stream: trio.SocketStream, request: ClientRequest) -> None:
        if request.header(b"x-hold") is None:
            await stream.send_all(whole(b"{}", b"503 No"))
            return
        await stream.send_all(CHUNKED + chunk(b"x"))
        while await stream.receive_some(65536):
            pass
        raise trio.BrokenResourceError

    provider.reply = reply


async def test_the_time_of_a_try_does_not_go_on_in_the_line_for_the_next(
    world: World, mock_clock: trio.testing.MockClock
) -> None:
    """Else a call is refused while it waits, and goes out later all the same, for nobody."""
    await world.begin("first_byte_timeout = 5.0\n" + TWO, cooldown=False, cap=1)
    held_or_refused(world.provider)
    holds, waits = await world.client(), await world.client()
    await holds.send(STREAMED, "x-hold: 1")
    await holds.stream.receive_some(1)
    await waits.send()
    await world.provider.until(lambda: len(world.provider.requests) == 2 and world.provider.out == 1)
    await trio.testing.wait_all_tasks_blocked()
    mock_clock.jump(20.0)
    await trio.testing.wait_all_tasks_blocked()
    world.provider.reply = world.provider.answer
    await holds.stream.aclose()
    status, headers, answer = await waits.answer()
    assert (status, answer) == (200, ANSWER)
    assert float(headers["x-penstock-waited"]) >= 20.0
    assert world.gateway.leases == (3, 3)


@pytest.mark.parametrize(
    ("said", "seconds", "code"),
    [
        ((), 9.0, "provider_timeout"),
        ((b"HTTP/1.1 103 Early Hints\r\n\r\n", OK), 9.0, "provider_timeout"),
        ((CHUNKED + chunk(EVENT),), 31.0, None),
        ((CHUNKED + chunk(EVENT), b"1;x"), 31.0, None),
    ],
)
async def test_each_time_ends_what_it_is_for(
    world: World, mock_clock: trio.testing.MockClock, said: tuple[bytes, ...], seconds: float, code: str | None
) -> None:
    await world.begin("first_byte_timeout = 8.0\nidle_timeout = 30.0\n", cap=1)
    world.provider.hangs(*said)
    client = await world.client()
    await client.send(STREAMED)
    await world.provider.until(lambda: world.provider.out == 1)
    if code is None:
        await client.stream.receive_some(1)
    for part in (0.75, 0.25):
        await trio.testing.wait_all_tasks_blocked()
        assert world.provider.out == 1
        mock_clock.jump(seconds * part)
    await world.provider.until(lambda: world.provider.out == 0)
    if code is None:
        raw = b""
        while data := bytes(await client.stream.receive_some(65536)):
            raw += data
        assert raw.endswith(EVENT + b"\r\n"), "no end of a whole answer"
    else:
        status, _, answer = await client.answer()
        assert (status, json.loads(answer)["error"]["code"]) == (504, code)
    assert world.gateway.leases == (1, 1)


async def test_a_stream_ends_by_the_time_of_all_of_it_however_it_goes(
    world: World, mock_clock: trio.testing.MockClock
) -> None:
    await world.begin("total_timeout = 100.0\nidle_timeout = 30.0\n", cap=1)
    more = trio.Event()

    async def drip(_: Provider, stream: trio.SocketStream, __: ClientRequest) -> None:
        nonlocal more
        await stream.send_all(CHUNKED)
        while True:
            await stream.send_all(chunk(EVENT))
            await more.wait()
            more = trio.Event()

    world.provider.reply = drip
    client = await world.client()
    await client.send(STREAMED)
    steps = 0
    while await client.stream.receive_some(65536):
        await trio.testing.wait_all_tasks_blocked()
        mock_clock.jump(20.0)
        steps += 1
        await trio.testing.wait_all_tasks_blocked()
        more.set()
    assert steps == 5
    assert world.gateway.leases == (1, 1)


async def test_an_answer_that_unpacks_to_a_thousandfold_passes_on_unread(
    world: World, caplog: pytest.LogCaptureFixture
) -> None:
    gateway = await world.begin(cap=1)
    packed = gzip.compress(EVENT * 500_000 + DONE)
    world.provider.says(SSE + b"content-encoding: gzip\r\ncontent-length: %d\r\n\r\n" % len(packed) + packed)
    assert (await world.ask(STREAMED, "accept-encoding: gzip"))[::2] == (200, packed)
    world.provider.reply = world.provider.answer
    assert (await world.ask())[2] == ANSWER, "it does not count as a failure"
    assert gateway.leases == (2, 2)
    (told,) = [line for line in caplog.messages if "unread" in line]
    assert told == (
        "an answer of acme is passed on unread from here: the answer unpacks to more than 128 times what came of it"
    )


async def test_of_an_answer_of_very_many_parts_the_usage_is_counted_and_it_passes_as_it_is(
    world: World, caplog: pytest.LogCaptureFixture
) -> None:
    gateway = await world.begin(cap=1)
    answer = ANSWER.replace(b'"choices":[', b'"logprobs":[%s],"choices":[' % b",".join([b"[]"] * 250_001))
    world.provider.says(whole(answer))
    assert (await world.ask())[::2] == (200, answer)
    assert 'penstock_tokens_total{key="anybody",model="acme/small",direction="out"} 2\n' in gateway.metrics()
    (told,) = [line for line in caplog.messages if "unread" in line]
    assert told.endswith(": the answer has a value of more than 250,000 parts")
