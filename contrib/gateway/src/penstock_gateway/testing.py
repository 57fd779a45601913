"""A gateway on loopback before a provider whose every byte a test writes, for tests."""

from __future__ import annotations

import socket
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, closing, suppress
from pathlib import Path
from typing import Any, Final

import trio

from penstock_gateway.loading import Serving, load_gateway
from penstock_gateway.request_parser import ClientRequest, RequestParser
from penstock_gateway.server import Gateway, open_gateway
from penstock_gateway.spending.at_work import Wall, time_of_day
from penstock_wire import AnswerParser

__all__ = ["ANSWER", "CHAT", "KEYS", "PROVIDER_KEY", "Client", "Provider", "Reply", "World", "open_world", "whole"]

KEYS: Final = {"A_KEY": "a123456789abcdefghijklmnopqrstuv", "B_KEY": "b123456789abcdefghijklmnopqrstuv"}
PROVIDER_KEY: Final = "sk-provider-0123456789"
CHAT: Final = b'{"model": "small", "messages": []}'
ANSWER: Final = (
    b'{"object":"chat.completion","choices":[{"message":{"content":"hi"},"finish_reason":"stop"}]'
    b',"usage":{"prompt_tokens":3,"completion_tokens":2}}'
)


def whole(body: bytes, status: bytes = b"200 OK", *headers: bytes) -> bytes:
    """An answer with its length."""
    lines = b"".join(header + b"\r\n" for header in (b"content-type: application/json", *headers))
    return b"HTTP/1.1 %s\r\n%scontent-length: %d\r\n\r\n%s" % (status, lines, len(body), body)


Reply = Callable[["Provider", trio.SocketStream, ClientRequest], Awaitable[None]]


class Provider:
    """A provider that answers by `reply`, and knows what it was asked."""

    def __init__(self) -> None:
        self.requests: list[ClientRequest] = []
        self.url = ""
        self.out = 0
        self.most_out = 0
        """The most calls at once whose connections were there: one that is closed may be noticed here late."""
        self._asked: list[trio.SocketStream] = []
        self.reply: Reply = self.answer
        self.changed = trio.lowlevel.ParkingLot()

    @staticmethod
    async def answer(_: Provider, stream: trio.SocketStream, __: ClientRequest) -> None:
        """As a provider does."""
        await stream.send_all(whole(ANSWER))

    def says(self, *pieces: bytes, close: bool = False) -> None:
        """Answer each call by these bytes, and perhaps close then."""

        async def reply(_: Provider, stream: trio.SocketStream, __: ClientRequest) -> None:
            for piece in pieces:
                await stream.send_all(piece)
            if close:
                await stream.aclose()

        self.reply = reply

    def hangs(self, *pieces: bytes) -> None:
        """Begin each answer by these bytes, and go on for ever with nothing."""

        async def reply(_: Provider, stream: trio.SocketStream, __: ClientRequest) -> None:
            for piece in pieces:
                await stream.send_all(piece)
            while await stream.receive_some(65536):
                pass
            raise trio.BrokenResourceError

        self.reply = reply

    async def until(self, holds: Callable[[], bool]) -> None:
        """Wait until something is true of it."""
        while not holds():
            await self.changed.park()

    async def serve(self, stream: trio.SocketStream) -> None:
        with suppress(trio.BrokenResourceError, trio.ClosedResourceError), closing(RequestParser(1 << 30)) as parser:
            while True:
                while (request := parser.take()) is None:
                    data = await stream.receive_some(65536)
                    if not data:
                        return
                    parser.feed(bytes(data))
                self.requests.append(request)
                self._asked.append(stream)
                self._count()
                try:
                    await self.reply(self, stream, request)
                finally:
                    self.is_done_with(stream)

    def is_done_with(self, stream: trio.SocketStream) -> None:
        """The call is out no more: for a reply that sends the end of its answer next, since who has that may ask again
        before the reply is over.
        """
        if stream in self._asked:
            self._asked.remove(stream)
            self._count()

    def _count(self) -> None:
        self.out = len(self._asked)
        if self.out > self.most_out:
            self.most_out = max(self.most_out, sum(map(_is_there, self._asked)))
        self.changed.unpark_all()


def _is_there(stream: trio.SocketStream) -> bool:
    """Whether the other end of a connection has not closed it, as the system knows it by now."""
    number = stream.socket.fileno()
    if number < 0:
        return False
    raw = socket.socket(fileno=number)
    try:
        return raw.recv(1, socket.MSG_PEEK) != b""
    except BlockingIOError:
        return True
    except OSError:
        return False
    finally:
        raw.detach()


class Client:
    """A client of raw bytes."""

    def __init__(self, stream: trio.SocketStream) -> None:
        self.stream = stream
        self.began = trio.Event()
        """Set when something has come."""
        self._came = b""

    async def send(
        self, body: bytes = CHAT, *headers: str, path: str = "/v1/chat/completions", method: str = "POST"
    ) -> None:
        lines = "".join(f"{header}\r\n" for header in ("host: x", *headers, f"content-length: {len(body)}"))
        await self.stream.send_all(f"{method} {path} HTTP/1.1\r\n{lines}\r\n".encode() + body)

    async def answer(self) -> tuple[int, dict[str, str], bytes]:
        """Status, headers and body of the next answer."""
        body = b""
        with closing(AnswerParser()) as parser:
            while not parser.done:
                if not self._came:
                    self._came = bytes(await self.stream.receive_some(65536))
                    self.began.set()
                    if not self._came:
                        parser.feed_eof()
                        continue
                byte, self._came = self._came[:1], self._came[1:]  # what is behind the end is of the next answer
                parser.feed(byte)
                body += b"".join(parser.take())
        return parser.status, {name.decode(): value.decode() for name, value in parser.headers}, body

    async def ask(self, body: bytes = CHAT, *headers: str, **more: Any) -> tuple[int, dict[str, str], bytes]:
        await self.send(body, *headers, **more)
        return await self.answer()


class World:
    """A gateway, its provider, and clients."""

    def __init__(self, provider: Provider, folder: Path, nursery: trio.Nursery) -> None:
        self.provider = provider
        self.gateway: Gateway
        self.log = folder / "calls.log"
        self.wall: Wall = time_of_day
        self._folder = folder
        self._nursery = nursery
        self._clients: list[Client] = []
        self._end, self._ended = trio.Event(), trio.Event()

    async def begin(
        self, text: str = "", *, cap: int = 2, kind: str = "openai", more: str = "", cooldown: bool = True
    ) -> Gateway:
        """The gateway that `text` describes."""
        path = self._folder / "gateway.toml"
        described = f"""
            [providers.acme]
            kind = "{kind}"
            base_url = "{self.provider.url}"
            api_key_env = "PROVIDER_KEY"
            {more}
            [providers.acme.models.small]
            model = "acme-small-2"
            max_parallel_requests = {cap}
            [plugins]
            request_limiters = [{'"cooldown", ' if cooldown else ""}"token-budget"]
            [plugins.token-budget]
            learn = false
            [gateway]
            port = 0
            log = "{self.log}"
        """
        path.write_text(described + text, encoding="utf-8")
        serving = load_gateway(path, KEYS)
        environment = {**KEYS, "PROVIDER_KEY": PROVIDER_KEY}
        self.gateway = await self._nursery.start(self._serve, serving, environment)
        return self.gateway

    async def _serve(
        self, serving: Serving, environment: dict[str, str], *, task_status: trio.TaskStatus[Gateway]
    ) -> None:
        try:
            async with open_gateway(serving, environment, lambda now: self.wall(now)) as gateway:
                task_status.started(gateway)
                await self._end.wait()
        finally:
            self._ended.set()

    def leave(self) -> None:
        """The end of all clients."""
        while self._clients:
            self._clients.pop().stream.socket.close()

    async def end(self) -> None:
        """The end of the gateway and of all clients."""
        self.leave()
        if hasattr(self, "gateway"):
            self._end.set()
            await self._ended.wait()

    async def client(self) -> Client:
        """A client that is connected."""
        port = int(self.gateway.url.rpartition(":")[2].partition("/")[0])
        client = Client(await trio.open_tcp_stream("127.0.0.1", port))
        self._clients.append(client)
        return client

    async def ask(self, body: bytes = CHAT, *headers: str, **more: Any) -> tuple[int, dict[str, str], bytes]:
        """The answer to one call, on a connection of its own."""
        return await (await self.client()).ask(body, *headers, **more)


@asynccontextmanager
async def open_world(folder: Path) -> AsyncIterator[World]:
    """A world in which nothing is served yet; `folder` is for its files."""
    provider = Provider()
    (listener,) = await trio.open_tcp_listeners(0, host="127.0.0.1")
    provider.url = f"http://127.0.0.1:{listener.socket.getsockname()[1]}/v1"
    async with trio.open_nursery() as nursery:
        nursery.start_soon(trio.serve_listeners, provider.serve, [listener])
        world = World(provider, folder, nursery)
        yield world
        await world.end()
        nursery.cancel_scope.cancel()
