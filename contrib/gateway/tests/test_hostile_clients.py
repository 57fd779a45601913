"""A client that is wrong or hostile hurts itself: its place and its call are gone with it, and no other is held up."""

from __future__ import annotations

import json
import socket
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from typing import Any

import pytest
import trio
import trio.testing

from penstock_gateway import ClientRequest, door, exchange
from penstock_gateway.config import GatewayConfig
from penstock_gateway.connection import ClientConnection
from penstock_gateway.local_place import LocalPlace
from penstock_gateway.testing import ANSWER, CHAT, KEYS, Client, World, whole
from penstock_wire import ConnectionLost, Poller, open_poller

pytestmark = pytest.mark.loopback

KEYED = '[gateway.keys.a]\nenv = "A_KEY"\n'
KEY = f"authorization: Bearer {KEYS['A_KEY']}"
CHUNKED = b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n"
EVENT = b'data: {"choices":[{"delta":{"content":"hi"}}]}\n\n'
STREAMED = b'{"model": "small", "stream": true, "messages": []}'
HEALTH = b"GET /healthz HTTP/1.1\r\nhost: x\r\n\r\n"
HEAD = b"POST /v1/chat/completions HTTP/1.1\r\nhost: x\r\n"
SECOND = HEAD + b"content-length: 34\r\n\r\n" + CHAT


async def all_back(world: World) -> None:
    """Every place is back, and no call is out."""
    await world.provider.until(lambda: world.provider.out == 0)
    # Of those that leave together one who waited may be found gone last, when it has had its turn.
    await trio.testing.wait_all_tasks_blocked()
    issued, returned = world.gateway.leases
    assert (issued, world.provider.out) == (returned, 0)


def connected(world: World) -> socket.socket:
    """A socket without trio, which tells at once whether it can send and receive."""
    return socket.create_connection(("127.0.0.1", int(world.gateway.url.rpartition(":")[2].partition("/")[0])))


# -- leaving --


@pytest.mark.parametrize("then", [SECOND, b"x" * 1000, HEAD + b"content-length: 9\r\n\r\n{"])
async def test_who_sends_more_behind_a_call_and_leaves_takes_the_call_along(world: World, then: bytes) -> None:
    await world.begin(cap=1)
    for begun in (b"", CHUNKED + b"%x\r\n%s\r\n" % (len(EVENT), EVENT)):
        world.provider.hangs(begun)
        client, waits = await world.client(), await world.client()
        await client.send(STREAMED)
        await world.provider.until(lambda: world.provider.out == 1)
        await waits.send()
        for _ in range(3):
            for each in (client, waits):
                await each.stream.send_all(then)
                await trio.testing.wait_all_tasks_blocked()
        await waits.stream.aclose()
        await client.stream.aclose()
        await all_back(world)
    world.provider.reply = world.provider.answer
    assert (await world.ask())[0] == 200


async def test_a_reset_in_each_phase_leaves_nothing(world: World) -> None:
    gateway = await world.begin(cap=1)
    phases: dict[str, bytes] = {
        "before a byte": b"",
        "in the head": HEAD,
        "in the body": HEAD + b"content-length: 100\r\n\r\n{",
        "in a chunk": HEAD + b"transfer-encoding: chunked\r\n\r\n5\r\n{",
        "in the call": SECOND,
        "behind two calls": SECOND + SECOND,
    }
    world.provider.hangs(CHUNKED)
    for sent in phases.values():
        client = await world.client()
        await client.stream.send_all(sent)
        if SECOND in sent:
            await world.provider.until(lambda: world.provider.out == 1)
        client.stream.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
        client.stream.socket.close()
    await all_back(world)
    world.provider.reply = world.provider.answer
    assert (await world.ask())[0] == 200
    assert gateway.connections == 1


# -- what is no request --

NONE = {
    "a length and chunks": HEAD + b"content-length: 5\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n",
    "chunks and a length": HEAD + b"transfer-encoding: chunked\r\ncontent-length: 5\r\n\r\n0\r\n\r\n",
    "two lengths": HEAD + b"content-length: 34\r\ncontent-length: 34\r\n\r\n" + CHAT,
    "lines that end with LF": SECOND.replace(b"\r\n", b"\n"),
    "a line within a line": HEAD + b"x: a\rcontent-length: 0\r\n\r\n",
    "a header that goes on": HEAD + b"x: a\r\n b\r\ncontent-length: 0\r\n\r\n",
    "an encoding that goes on": HEAD + b"transfer-encoding:\r\n chunked\r\n\r\n0\r\n\r\n",
    "an encoding with a space": HEAD + b"transfer-encoding : chunked\r\n\r\n0\r\n\r\n",
    "another encoding": HEAD + b"transfer-encoding: gzip, chunked\r\n\r\n0\r\n\r\n",
    "a NUL": HEAD + b"x: \0\r\ncontent-length: 0\r\n\r\n",
    "a length below zero": HEAD + b"content-length: -1\r\n\r\n",
    "a length beyond all": HEAD + b"content-length: 99999999999999999999999\r\n\r\n",
    "a chunk's extension that is a line": HEAD + b"transfer-encoding: chunked\r\n\r\n0;a\n\r\n\r\n",
    "no host": b"POST /v1/chat/completions HTTP/1.1\r\ncontent-length: 0\r\n\r\n",
    "two hosts": HEAD + b"host: y\r\ncontent-length: 0\r\n\r\n",
    "a path that is no ASCII": "POST /v1/ü HTTP/1.1\r\nhost: x\r\ncontent-length: 0\r\n\r\n".encode(),
    "a tunnel": b"CONNECT x:443 HTTP/1.1\r\nhost: x\r\n\r\n",
    "a path without an end": b"GET /" + b"a" * 200_000,
    "a head without an end": HEAD + b"x: y\r\n" * 40_000,
    "a header without an end": HEAD + b"x: " + b"y" * 200_000,
    "an extension without an end": HEAD + b"transfer-encoding: chunked\r\n\r\n1;a=" + b"b" * 200_000,
    "a trailer without an end": HEAD + b"transfer-encoding: chunked\r\n\r\n0\r\nx: " + b"y" * 200_000,
    "trailers without an end": HEAD + b"transfer-encoding: chunked\r\n\r\n0\r\n" + b"x: y\r\n" * 40_000,
}


async def test_what_can_be_read_in_two_ways_or_has_no_end_is_refused_and_ends_its_connection(world: World) -> None:
    await world.begin()
    for what, sent in NONE.items():
        client = await world.client()
        async with trio.open_nursery() as nursery:

            async def send(sent: bytes = sent, client: Client = client) -> None:
                with suppress(trio.BrokenResourceError):
                    await client.stream.send_all(sent)

            nursery.start_soon(send)
            status, headers, _ = await client.answer()
        assert status in (400, 404, 405, 413, 431, 501), what
        assert headers["connection"] == "close", what
        client.stream.socket.close()
    assert not world.provider.requests
    assert (await world.ask())[0] == 200


@pytest.mark.parametrize(
    ("sent", "statuses"),
    [
        (b"POST http://other/v1/chat/completions HTTP/1.1\r\nhost: x\r\ncontent-length: 34\r\n\r\n" + CHAT, [200]),
        (b"GET https://other?x HTTP/1.1\r\nhost: x\r\n\r\n", [404]),
        (b"OPTIONS * HTTP/1.1\r\nhost: x\r\n\r\n" + HEALTH, [404, 200]),
        (HEALTH.replace(b"GET /healthz", b"HEAD /v1/chat/completions"), [405]),
        (SECOND + b"\r\n" + SECOND, [200, 200]),
        (SECOND + b"more than was said", [200, 400]),
        (SECOND.replace(b"host: x\r\n", b"host: x\r\nconnection: close\r\n") + SECOND, [200]),
    ],
)
async def test_each_request_has_one_answer_in_its_order(world: World, sent: bytes, statuses: list[int]) -> None:
    await world.begin()
    client = await world.client()
    await client.stream.send_all(sent)
    assert [(await _status(client, sent)) for _ in statuses] == statuses


async def _status(client: Client, sent: bytes) -> int:
    if b"HEAD" in sent:
        return int(bytes(await client.stream.receive_some(4096)).split()[1])
    return (await client.answer())[0]


async def test_who_speaks_an_older_http_is_not_told_to_go_on(world: World) -> None:
    await world.begin()
    client = await world.client()
    head = HEAD.replace(b"1.1", b"1.0") + b"expect: 100-continue\r\ncontent-length: 34\r\n\r\n"
    await client.stream.send_all(head)
    await trio.testing.wait_all_tasks_blocked()
    await client.stream.send_all(CHAT)
    assert bytes(await client.stream.receive_some(4096)).startswith(b"HTTP/1.1 200 OK\r\n")


async def test_an_answer_that_breaks_off_is_no_whole_one_for_an_older_http_either(world: World) -> None:
    await world.begin()
    world.provider.says(CHUNKED, b"%x\r\n%s\r\n" % (len(EVENT), EVENT), b"zz\r\n", close=True)
    client = await world.client()
    await client.stream.send_all(SECOND.replace(b"1.1", b"1.0"))
    with pytest.raises((ConnectionLost, trio.BrokenResourceError)):
        await client.answer()


# -- taking too much, or nothing --


class Answers:
    """A front that has the same answer for all."""

    draining = crowded = False

    def __init__(self, answer: bytes) -> None:
        self.answer = answer
        self.begun = 0

    def begin(self, _: ClientRequest, client: exchange.Client) -> None:
        self.begun += 1
        client.send(self.answer)
        client.answered(reusable=True)

    def check_head(self, _: ClientRequest) -> None: ...


class Faulty(Answers):
    """A front that fails."""

    def begin(self, _: ClientRequest, client: exchange.Client) -> None:
        raise RuntimeError("ours")


@asynccontextmanager
async def connection(answer: bytes) -> AsyncIterator[tuple[ClientConnection, Answers, socket.socket, trio.Event]]:
    """A connection that is answered so, its front, the client's end of it, and the event of its end."""
    async with open_poller() as poller:
        ours, theirs = socket.socketpair()
        with theirs:
            ours.setblocking(False)
            theirs.setblocking(False)
            ended, front = trio.Event(), Answers(answer)
            made = ClientConnection(poller, ours, front, GatewayConfig(), lambda _: ended.set())
            made.begin()
            yield made, front, theirs, ended
            made.close()


async def test_who_takes_no_answers_is_read_no_further() -> None:
    """Else what has been read would fill the memory; nor does it ask for a key, where none is needed to ask."""
    async with connection(whole(b"x" * 1000)) as (_, front, client, _):
        sent = refused = 0
        while refused < 20:
            try:
                sent += client.send(HEALTH * 1000)
                refused = 0
            except BlockingIOError:
                refused += 1
                await trio.testing.wait_all_tasks_blocked()
            assert sent < 2_000_000
        assert 0 < front.begun < 2000


async def test_many_requests_in_one_read_do_not_hold_up_others(world: World) -> None:
    await world.begin(KEYED)
    one = await world.client()
    answered = 0

    def taken() -> int:
        found = 0
        with suppress(BlockingIOError):
            while data := many.recv(1 << 20):
                found += data.count(b'{"status":"ok"}')
        return found

    with connected(world) as many:
        many.sendall(HEALTH)
        many.setblocking(False)
        while not taken():
            await trio.testing.wait_all_tasks_blocked()
        many.sendall(HEALTH * 1500)
        await one.stream.send_all(HEALTH)
        assert (await one.answer())[0] == 200
        answered += taken()
        assert answered < 150
        while answered < 1490:  # some may be cut by the end of a read
            await trio.testing.wait_all_tasks_blocked()
            answered += taken()


async def test_the_end_of_waiting_lets_the_last_answer_go_out() -> None:
    answer = whole(b"x" * 4_000_000)
    async with connection(answer) as (made, _, client, ended):
        client.sendall(HEALTH)
        await trio.testing.wait_all_tasks_blocked()
        assert made.pending > 0
        made.stop_waiting()
        got = 0
        while not ended.is_set():
            with suppress(BlockingIOError):
                got += len(client.recv(1 << 20))
            await trio.testing.wait_all_tasks_blocked()
        with suppress(BlockingIOError):
            while data := client.recv(1 << 20):
                got += len(data)
        assert got == len(answer)


# -- a fault of ours or of a plugin's --


async def test_a_place_that_cannot_be_given_back_in_order_is_told_and_costs_one_call(
    world: World, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    gateway = await world.begin()
    release = LocalPlace.release

    def raises(self: LocalPlace, error: BaseException | None = None) -> None:
        release(self, error)
        raise RuntimeError("a plugin's")

    monkeypatch.setattr(LocalPlace, "release", raises)
    replies: list[Callable[[], None]] = [
        lambda: world.provider.says(b"", close=True),
        lambda: world.provider.says(whole(ANSWER)),
    ]
    for reply in replies:
        reply()
        status, _, answer = await world.ask()
        assert (status, json.loads(answer)["error"]["code"]) == (500, "internal_error")
    world.provider.hangs()
    client = await world.client()
    await client.send()
    await world.provider.until(lambda: world.provider.out == 1)
    await client.stream.aclose()
    await all_back(world)
    await trio.testing.wait_all_tasks_blocked()
    assert gateway.connections == 2
    assert "a fault of the gateway's own" in caplog.text


async def test_a_connection_that_fails_in_the_middle_is_forgotten(
    world: World, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    gateway = await world.begin()

    def faulty(poller: Poller, sock: socket.socket, _: object, *more: Any) -> ClientConnection:
        return ClientConnection(poller, sock, Faulty(b""), *more)

    monkeypatch.setattr(door, "ClientConnection", faulty)
    client = await world.client()
    await client.send()
    assert await client.stream.receive_some(1) == b""
    assert gateway.connections == 0
    with trio.fail_after(5):
        await gateway.drain(60.0)
