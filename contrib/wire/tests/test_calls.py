"""Calls that call back, over loopback: each is told its answer or why there is none, once."""

from __future__ import annotations

import logging
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress

import pytest
import trio
import trio.testing

from penstock_wire import (
    AnswerParser,
    BadAnswer,
    CallsClient,
    CannotConnect,
    ConnectionLost,
    Target,
    WireError,
    open_poller,
)

pytestmark = pytest.mark.loopback

OK = b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\n{}"
Reply = Callable[[trio.abc.Stream], Awaitable[None]]


class Told:
    """What a call was told."""

    def __init__(self) -> None:
        self.status = 0
        self.body = b""
        self.done = False
        self.error: WireError | None = None
        self.came, self.over = trio.Event(), trio.Event()

    def on_answer(self, answer: AnswerParser, now: float) -> None:
        self.status, self.done = answer.status, answer.done
        self.body += b"".join(answer.take())
        self.came.set()
        if self.done:
            self.over.set()

    def on_lost(self, error: WireError) -> None:
        assert not self.over.is_set()
        self.error = error
        self.over.set()


class Away(Told):
    """One with a fault."""

    def on_answer(self, answer: AnswerParser, now: float) -> None:
        raise ValueError("mine")


class World:
    """A server whose connections answer each request by `reply`, and a client of it."""

    def __init__(self) -> None:
        self.reply: Reply = lambda stream: stream.send_all(OK)
        self.connections = 0
        self.closed = trio.Event()
        self.client: CallsClient

    async def serve(self, stream: trio.abc.Stream) -> None:
        self.connections += 1
        with suppress(trio.BrokenResourceError, trio.ClosedResourceError):
            async for _ in stream:
                await self.reply(stream)
        self.closed.set()

    def call(self, told: Told | None = None) -> Told:
        told = told or Told()
        self.client.call(self.client.head("POST", "/chat").with_body(b"{}"), told, trio.current_time())
        return told

    async def ended(self, told: Told | None = None) -> Told:
        told = self.call(told)
        await told.over.wait()
        return told


@asynccontextmanager
async def world(tls: tuple[ssl.SSLContext, ssl.SSLContext] | None = None) -> AsyncIterator[World]:
    made = World()
    async with trio.open_nursery() as nursery, open_poller() as poller:
        (listener,) = await trio.open_tcp_listeners(0, host="127.0.0.1")
        port = listener.socket.getsockname()[1]
        if tls is None:
            nursery.start_soon(trio.serve_listeners, made.serve, [listener])
            made.client = CallsClient(poller, Target(f"http://127.0.0.1:{port}/v1"))
        else:
            nursery.start_soon(trio.serve_listeners, made.serve, [trio.SSLListener(listener, tls[0])])
            made.client = CallsClient(poller, Target(f"https://localhost:{port}/v1"), tls=tls[1])
        yield made
        made.client.close()
        nursery.cancel_scope.cancel()


async def test_a_connection_carries_one_call_after_another() -> None:
    async with world() as here:
        for _ in range(3):
            told = await here.ended()
            assert (told.status, told.body, told.done) == (200, b"{}", True)
        assert here.connections == 1
        first, second = here.call(), here.call()
        await first.over.wait()
        await second.over.wait()
        assert here.connections == 2


async def test_one_that_the_other_side_closes_is_not_used_again() -> None:
    async def reply(stream: trio.abc.Stream) -> None:
        await stream.send_all(OK)
        await stream.aclose()

    async with world() as here:
        here.reply = reply
        for number in range(1, 4):
            assert (await here.ended()).done
            assert here.connections == number


@pytest.mark.parametrize(
    ("said", "error", "body"),
    [
        (b"", ConnectionLost, b""),
        (b"HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\nhalf", ConnectionLost, b"half"),
        (b"hello\r\n\r\n", BadAnswer, b""),
        (b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n2\r\nok\r\nzz\r\n", BadAnswer, b"ok"),
    ],
)
async def test_what_is_no_answer_is_told_behind_what_came_before(
    said: bytes, error: type[WireError], body: bytes
) -> None:
    async def reply(stream: trio.abc.Stream) -> None:
        await stream.send_all(said)
        await stream.aclose()

    async with world() as here:
        here.reply = reply
        told = await here.ended()
        assert type(told.error) is error
        assert (told.body, told.done) == (body, False)
        here.reply = lambda stream: stream.send_all(OK)
        assert (await here.ended()).done


async def test_a_call_that_is_cancelled_closes_its_connection_and_is_told_nothing() -> None:
    async with world() as here:
        asked = trio.Event()

        async def reply(_: trio.abc.Stream) -> None:
            asked.set()

        here.reply = reply
        told = Told()
        call = here.client.call(here.client.head("POST", "/chat").with_body(b"{}"), told, trio.current_time())
        await asked.wait()
        call.cancel()
        await here.closed.wait()
        early = here.client.call(here.client.head("POST", "/chat").with_body(b"{}"), told, trio.current_time())
        early.cancel()  # while it connects
        await trio.testing.wait_all_tasks_blocked()
        assert not told.over.is_set()


async def test_what_is_not_there_is_told() -> None:
    async with open_poller() as poller:
        told = Told()
        client = CallsClient(poller, Target("http://127.0.0.1:1"))
        client.call(client.head("POST", "/").with_body(b""), told, trio.current_time())
        await told.over.wait()
        assert isinstance(told.error, CannotConnect)


async def test_who_takes_no_more_is_sent_no_more() -> None:
    sent = 0

    async def flood(stream: trio.abc.Stream) -> None:
        nonlocal sent
        await stream.send_all(b"HTTP/1.1 200 OK\r\n\r\n")
        while True:
            await stream.send_all(b"x" * 50_000)
            sent += 50_000

    async with world() as here:
        here.reply = flood
        told = Told()
        call = here.client.call(here.client.head("POST", "/chat").with_body(b"{}"), told, trio.current_time())
        await told.came.wait()
        call.pause()
        await trio.testing.wait_all_tasks_blocked(0.01)
        taken, held = len(told.body), sent
        await trio.testing.wait_all_tasks_blocked(0.01)
        assert (len(told.body), sent) == (taken, held)
        call.resume()
        told.came = trio.Event()
        await told.came.wait()
        assert len(told.body) > taken
        call.cancel()


async def test_a_fault_of_one_receiver_is_no_other_ones(caplog: pytest.LogCaptureFixture) -> None:
    async with world() as here:
        with caplog.at_level(logging.CRITICAL):
            here.call(Away())
            for _ in range(3):
                assert (await here.ended()).done


async def test_the_same_goes_through_tls(contexts: tuple[ssl.SSLContext, ssl.SSLContext]) -> None:
    async with world(contexts) as here:
        for _ in range(3):
            told = await here.ended()
            assert (told.status, told.body) == (200, b"{}")
        assert here.connections == 1
    async with world() as plain:
        port = plain.client.head("POST", "/").with_body(b"").partition(b"host: 127.0.0.1:")[2].partition(b"\r\n")[0]
        async with open_poller() as poller:
            client = CallsClient(poller, Target(f"https://localhost:{int(port)}"), tls=contexts[1])
            told = Told()
            client.call(client.head("POST", "/").with_body(b""), told, trio.current_time())
            await told.over.wait()
            assert isinstance(told.error, CannotConnect)
