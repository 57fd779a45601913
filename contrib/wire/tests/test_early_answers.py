"""Answers that come before the call has been sent, and connections that nobody asks for any more."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

import pytest
import trio
import trio.testing

from penstock_wire import AnswerParser, CallsClient, Target, WireError, open_poller

pytestmark = pytest.mark.loopback

LARGE = b"x" * 20_000_000
"""More than lies between two sockets."""
TOO_LARGE = b"HTTP/1.1 413 Too Large\r\ncontent-length: 2\r\n\r\nno"
Serve = Callable[[trio.SocketStream], Awaitable[None]]


class Told:
    """What a call was told at last."""

    def __init__(self) -> None:
        self.status = 0
        self.body = b""
        self.error: WireError | None = None
        self.over = trio.Event()

    def on_answer(self, answer: AnswerParser, now: float) -> None:
        self.status = answer.status
        self.body += b"".join(answer.take())
        if answer.done:
            self.over.set()

    def on_lost(self, error: WireError) -> None:
        self.error = error
        self.over.set()


@asynccontextmanager
async def serving(serve: Serve, keep_alive: float = 30.0) -> AsyncIterator[Callable[[bytes], Awaitable[Told]]]:
    """Calls of a client, with a body each, to a server."""
    async with trio.open_nursery() as nursery, open_poller() as poller:
        listeners = await nursery.start(trio.serve_tcp, serve, 0)
        port = listeners[0].socket.getsockname()[1]
        client = CallsClient(poller, Target(f"http://127.0.0.1:{port}/v1"), keep_alive=keep_alive)

        async def ended(body: bytes) -> Told:
            told = Told()
            client.call(client.head("POST", "/chat").with_body(body), told, trio.current_time())
            await told.over.wait()
            return told

        yield ended
        client.close()
        nursery.cancel_scope.cancel()


@pytest.mark.parametrize("at", [b"", b"connection: close\r\n"])
async def test_an_answer_that_is_there_before_the_call_was_sent_counts(at: bytes) -> None:
    """Also of who reads no further, and closes: the connection is reset behind the answer then."""

    async def serve(stream: trio.SocketStream) -> None:
        await stream.receive_some(1000)
        await stream.send_all(TOO_LARGE.replace(b"content", at + b"content"))
        await stream.aclose()

    async with serving(serve) as ended:
        for _ in range(3):
            told = await ended(LARGE)
            assert (told.status, told.body, told.error) == (413, b"no", None)


async def test_who_resets_without_an_answer_has_given_none() -> None:
    async def serve(stream: trio.SocketStream) -> None:
        await stream.receive_some(1000)
        await stream.aclose()

    async with serving(serve) as ended:
        told = await ended(LARGE)
        assert "the connection broke" in str(told.error)


async def test_no_call_follows_another_that_has_not_been_sent_wholly() -> None:
    connections = 0

    async def serve(stream: trio.SocketStream) -> None:
        nonlocal connections
        connections += 1
        await stream.receive_some(1000)
        await stream.send_all(TOO_LARGE)
        await stream.receive_some(1)
        await trio.sleep_forever()

    async with serving(serve) as ended:
        for _ in range(2):
            assert (await ended(LARGE)).status == 413
    assert connections == 2


async def test_a_connection_that_is_old_goes_without_another_call(mock_clock: trio.testing.MockClock) -> None:
    closed = trio.Event()

    async def serve(stream: trio.SocketStream) -> None:
        await stream.receive_some(1000)
        await stream.send_all(TOO_LARGE)
        assert await stream.receive_some(1000) == b""
        closed.set()

    async with serving(serve, keep_alive=30.0) as ended:
        await ended(b"{}")
        mock_clock.jump(29.0)
        await trio.testing.wait_all_tasks_blocked()
        assert not closed.is_set()
        mock_clock.jump(1.1)
        await closed.wait()
