"""Calls by connections that were kept: what the other side has surely never got is made again once, nothing else is."""

from __future__ import annotations

import socket
import sys
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import TYPE_CHECKING

import pytest
import trio

from penstock_wire import AnswerParser, CallsClient, ConnectionLost, Target, WireError, open_poller
from penstock_wire.connection import Origin
from penstock_wire.secured import Secured

if TYPE_CHECKING:
    from _typeshed import ReadableBuffer

pytestmark = pytest.mark.loopback

OK = b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\n{}"
on_linux = pytest.mark.skipif(sys.platform != "linux", reason="no other system says what was acknowledged")


class Told:
    """What a call was told."""

    def __init__(self) -> None:
        self.body = b""
        self.error: WireError | None = None
        self.over = trio.Event()

    def on_answer(self, answer: AnswerParser, now: float) -> None:
        self.body += b"".join(answer.take())
        if answer.done:
            self.over.set()

    def on_lost(self, error: WireError) -> None:
        self.error = error
        self.over.set()


class Racing(socket.socket):
    """A socket whose other side closes behind the look at it, before anything more is sent."""

    closes: Callable[[], None] | None = None
    sends = 0

    def send(self, data: ReadableBuffer, flags: int = 0, /) -> int:
        self.sends += 1
        if self.sends > 1 and self.closes is not None:
            self.closes()
        return super().send(data, flags)


class Server:
    """A server over loopback, which answers what it has read by `reply`."""

    def __init__(self) -> None:
        self.requests = self.connections = 0
        self.open: list[trio.SocketStream] = []
        self.reply: Callable[[trio.SocketStream], Awaitable[None]] = lambda stream: stream.send_all(OK)

    async def serve(self, stream: trio.SocketStream) -> None:
        self.connections += 1
        self.open.append(stream)
        with suppress(trio.BrokenResourceError, trio.ClosedResourceError):
            async for _ in stream:
                self.requests += 1
                await self.reply(stream)

    def close_all(self) -> None:
        for stream in self.open:
            stream.socket.close()
        self.open.clear()


async def twice(server: Server, monkeypatch: pytest.MonkeyPatch, *, races: bool) -> list[Told]:
    """Two calls, one after the other, of which the second finds the connection of the first."""
    connected = Origin.open_socket

    async def racing(origin: Origin) -> tuple[socket.socket, Secured | None]:
        plain, secured = await connected(origin)
        made = Racing(fileno=plain.detach())
        made.closes = server.close_all if races else None
        return made, secured

    monkeypatch.setattr(Origin, "open_socket", racing)
    told = []
    async with trio.open_nursery() as nursery, open_poller() as poller:
        (listener,) = await trio.open_tcp_listeners(0, host="127.0.0.1")
        nursery.start_soon(trio.serve_listeners, server.serve, [listener])
        client = CallsClient(poller, Target(f"http://127.0.0.1:{listener.socket.getsockname()[1]}/v1"))
        for _ in range(2):
            told.append(Told())
            client.call(client.head("POST", "/chat").with_body(b"{}"), told[-1], trio.current_time())
            await told[-1].over.wait()
        client.close()
        nursery.cancel_scope.cancel()
    return told


@on_linux
async def test_a_call_that_meets_the_end_of_its_connection_goes_out_by_a_new_one(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    server = Server()
    first, second = await twice(server, monkeypatch, races=True)
    assert (first.body, second.body, second.error) == (b"{}", b"{}", None)
    assert (server.connections, server.requests) == (2, 2)


@pytest.mark.parametrize("how", ["closed", "reset"])
async def test_a_call_that_was_read_is_not_made_again(monkeypatch: pytest.MonkeyPatch, how: str) -> None:
    server = Server()

    async def reply(stream: trio.SocketStream) -> None:
        if server.requests == 1:
            await stream.send_all(OK)
            return
        if how == "reset":
            stream.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
        stream.socket.close()

    server.reply = reply
    _, second = await twice(server, monkeypatch, races=False)
    assert type(second.error) is ConnectionLost
    assert (server.connections, server.requests) == (1, 2)


@on_linux
async def test_a_call_is_made_again_once_only(monkeypatch: pytest.MonkeyPatch) -> None:
    server = Server()

    async def reply(stream: trio.SocketStream) -> None:
        if server.connections == 1:
            await stream.send_all(OK)
        else:
            stream.socket.close()

    server.reply = reply
    _, second = await twice(server, monkeypatch, races=True)
    assert type(second.error) is ConnectionLost
    assert (server.connections, server.requests) == (2, 2)
