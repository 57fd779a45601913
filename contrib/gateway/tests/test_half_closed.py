"""A client that has sent all that it will, says so by closing its half of the connection, and waits for its answers."""

from __future__ import annotations

import pytest
import trio
from trio.testing import MockClock, wait_all_tasks_blocked

from penstock_gateway.request_parser import ClientRequest
from penstock_gateway.testing import ANSWER, CHAT, Provider, World, whole

pytestmark = pytest.mark.loopback

SENT = b"POST /v1/chat/completions HTTP/1.1\r\nhost: x\r\ncontent-length: %d\r\n\r\n%s" % (len(CHAT), CHAT)
HEALTH = b"GET /healthz HTTP/1.1\r\nhost: x\r\n\r\n"
EVENT = b'data: {"choices":[{"index":0,"delta":{"content":"hi"}}]}\n\n'
STREAM = b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\nconnection: close\r\n\r\n"


class Gate:
    """A provider that answers when it is told to."""

    def __init__(self, provider: Provider, *pieces: bytes) -> None:
        self.opened = trio.Event()
        self._pieces = pieces
        provider.reply = self.reply

    async def reply(self, _: Provider, stream: trio.SocketStream, __: ClientRequest) -> None:
        await self.opened.wait()
        for piece in self._pieces:
            await stream.send_all(piece)
            await wait_all_tasks_blocked()
        if self._pieces[0] is STREAM:
            await stream.aclose()


async def test_it_is_answered_also_where_it_waits_in_line(world: World, mock_clock: MockClock) -> None:
    gateway = await world.begin(cap=1)
    gate = Gate(world.provider, whole(ANSWER))
    clients = [await world.client() for _ in range(2)]
    for client in clients:
        await client.send()
        await client.stream.send_eof()
    await world.provider.until(lambda: world.provider.out == 1)
    for _ in range(5):
        await wait_all_tasks_blocked()
        mock_clock.jump(1.0)
    gate.opened.set()
    for client in clients:
        status, headers, answer = await client.answer()
        assert (status, headers["connection"], answer) == (200, "close", ANSWER)
        assert not await client.stream.receive_some(1)
    assert gateway.connections == 0
    assert gateway.leases == (2, 2)


async def test_it_gets_a_stream_to_its_end(world: World) -> None:
    await world.begin(cap=1)
    gate = Gate(world.provider, STREAM, EVENT, EVENT, b"data: [DONE]\n\n")
    client = await world.client()
    await client.send(b'{"model": "small", "stream": true, "messages": []}')
    await client.stream.send_eof()
    await wait_all_tasks_blocked()
    gate.opened.set()
    status, _, answer = await client.answer()
    assert (status, answer) == (200, EVENT + EVENT + b"data: [DONE]\n\n")


async def test_each_of_its_requests_is_answered(world: World) -> None:
    await world.begin(cap=1)
    gate = Gate(world.provider, whole(ANSWER))
    client = await world.client()
    await client.stream.send_all(SENT + HEALTH + SENT)
    await client.stream.send_eof()
    await wait_all_tasks_blocked()
    gate.opened.set()
    assert [(await client.answer())[0] for _ in range(3)] == [200, 200, 200]
    assert not await client.stream.receive_some(1)


async def test_each_is_answered_also_where_one_came_while_another_was_under_way(world: World) -> None:
    await world.begin(cap=1)
    gate = Gate(world.provider, whole(ANSWER))
    client = await world.client()
    for _ in range(3):
        await client.stream.send_all(SENT)
        await wait_all_tasks_blocked()
    await client.stream.send_eof()
    await wait_all_tasks_blocked()
    gate.opened.set()
    assert [(await client.answer())[0] for _ in range(3)] == [200, 200, 200]
    assert not await client.stream.receive_some(1)


@pytest.mark.parametrize("sent", [b"", b"POST /v1/ch", SENT[:-3]])
async def test_what_it_has_not_sent_whole_is_not_waited_for(world: World, sent: bytes) -> None:
    gateway = await world.begin()
    client = await world.client()
    await client.stream.send_all(sent)
    await client.stream.send_eof()
    assert not await client.stream.receive_some(1)
    assert gateway.connections == 0


async def test_when_it_leaves_later_its_call_ends_at_once(world: World, mock_clock: MockClock) -> None:
    await world.begin(cap=1)
    world.provider.hangs()
    client = await world.client()
    await client.send()
    await client.stream.send_eof()
    await world.provider.until(lambda: world.provider.out == 1)
    await wait_all_tasks_blocked()
    assert world.provider.out == 1
    await client.stream.aclose()
    await world.provider.until(lambda: world.provider.out == 0)
    issued, returned = world.gateway.leases
    assert issued == returned


async def test_of_an_older_http_it_counts_as_gone(world: World) -> None:
    await world.begin(cap=1)
    world.provider.hangs()
    client = await world.client()
    await client.stream.send_all(SENT.replace(b"HTTP/1.1", b"HTTP/1.0"))
    await world.provider.until(lambda: world.provider.out == 1)
    await client.stream.send_eof()
    await world.provider.until(lambda: world.provider.out == 0)
