"""The client over loopback: connections are kept, looked at, and closed by whoever leaves too early."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

import pytest
import trio

from penstock_wire import BadAnswer, CannotConnect, ConnectionLost, WireClient

pytestmark = pytest.mark.loopback

OK = b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\n{}"


class Server:
    """A server that answers each request by `reply`: bytes, of which `None` closes the connection."""

    def __init__(self, reply: Callable[[int], list[bytes | None]]) -> None:
        self.reply = reply
        self.connections = 0
        self.requests: list[bytes] = []
        self.closed = trio.Event()
        self.asked = trio.Event()
        self.url = ""

    async def serve(self, stream: trio.SocketStream) -> None:
        self.connections += 1
        try:
            while True:
                request = b""
                while not _whole(request):
                    data = await stream.receive_some(65536)
                    if not data:
                        return
                    request += data
                self.requests.append(request)
                for piece in self.reply(len(self.requests)):
                    if piece is None:
                        await stream.aclose()
                        return
                    await stream.send_all(piece)
                self.asked.set()
        except (trio.BrokenResourceError, trio.ClosedResourceError):
            pass
        finally:
            self.closed.set()


def _whole(request: bytes) -> bool:
    head, end, body = request.partition(b"\r\n\r\n")
    length = next((int(line.split(b":")[1]) for line in head.split(b"\r\n") if line.startswith(b"content-length")), 0)
    return bool(end) and len(body) >= length


@asynccontextmanager
async def serving(reply: Callable[[int], list[bytes | None]]) -> AsyncIterator[Server]:
    server = Server(reply)
    async with trio.open_nursery() as nursery:
        (listener, *_) = await nursery.start(
            lambda *, task_status: trio.serve_tcp(server.serve, 0, host="127.0.0.1", task_status=task_status)
        )
        server.url = f"http://127.0.0.1:{listener.socket.getsockname()[1]}/v1"
        yield server
        nursery.cancel_scope.cancel()


async def called(client: WireClient) -> bytes:
    async with client.call("POST", "/chat", b"{}") as answer:
        return await answer.read()


async def test_a_connection_carries_one_call_after_another() -> None:
    async with serving(lambda _: [OK]) as server, WireClient(server.url, headers=[("x-key", "k")]) as client:
        for _ in range(3):
            assert await called(client) == b"{}"
        assert server.connections == 1
        assert client.idle == 1
    assert server.requests[0].startswith(b"POST /v1/chat HTTP/1.1\r\nhost: 127.0.0.1:")
    assert b"x-key: k\r\n" in server.requests[0]


async def test_calls_at_a_time_have_connections_of_their_own() -> None:
    async with serving(lambda _: [OK]) as server, WireClient(server.url) as client:
        async with client.call("POST", "/a", b""), client.call("POST", "/b", b""):
            pass
        assert server.connections == 2


async def test_a_connection_that_the_other_side_has_closed_is_not_used_again() -> None:
    async with serving(lambda _: [OK, None]) as server, WireClient(server.url) as client:
        assert await called(client) == b"{}"
        await server.closed.wait()
        assert await called(client) == b"{}"
        assert server.connections == 2


async def test_one_on_which_something_came_unasked_is_not_used_again() -> None:
    async with (
        serving(lambda _: [OK, b"HTTP/1.1 408 Request Timeout\r\n\r\n"]) as server,
        WireClient(server.url) as client,
    ):
        assert await called(client) == b"{}"
        await server.asked.wait()
        assert await called(client) == b"{}"
        assert server.connections == 2


async def test_a_body_that_is_not_read_to_its_end_closes_its_connection() -> None:
    half = b"HTTP/1.1 200 OK\r\ncontent-length: 10\r\n\r\nhalf"
    async with serving(lambda _: [half]) as server, WireClient(server.url) as client:
        async with client.call("POST", "/", b"") as answer:
            assert await anext(answer) == b"half"
        await server.closed.wait()
        assert client.idle == 0


async def test_a_call_that_is_cancelled_closes_its_connection_at_once() -> None:
    async with serving(lambda _: []) as server, WireClient(server.url) as client:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(called, client)
            await server.asked.wait()
            nursery.cancel_scope.cancel()
        await server.closed.wait()


async def test_what_is_not_there_is_told_with_its_cause() -> None:
    async with serving(lambda _: [OK]) as server:
        url = server.url
    async with WireClient(url) as client:
        with pytest.raises(CannotConnect, match=r"cannot connect to 127\.0\.0\.1") as refused:
            await called(client)
    assert isinstance(refused.value.__cause__, OSError)


@pytest.mark.parametrize(
    ("reply", "error"),
    [
        ([None], ConnectionLost),
        ([b"HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\n", None], ConnectionLost),
        ([b"hello\r\n\r\n"], BadAnswer),
    ],
)
async def test_what_is_no_answer_ends_the_call_and_its_connection(
    reply: list[bytes | None], error: type[Exception]
) -> None:
    async with serving(lambda _: reply) as server, WireClient(server.url) as client:
        with pytest.raises(error):
            await called(client)
        assert client.idle == 0


@pytest.mark.parametrize(
    "url",
    [
        "ftp://h/",
        "http://",
        "http://user:pw@h/",
        "http://h/?a=1",
        "http://h/#x",
        "h/v1",
        "http:///v1",
        "http://a..b/v1",
        f"http://{64 * 'a'}.b/",
    ],
)
def test_a_url_that_is_none_is_refused(url: str) -> None:
    with pytest.raises(ValueError, match="base_url must"):
        WireClient(url)


async def test_an_answer_has_ended_once_its_last_piece_is_taken() -> None:
    async with (
        serving(lambda _: [OK]) as server,
        WireClient(server.url) as client,
        client.call("POST", "/x", b"{}") as answer,
    ):
        assert not answer.ended
        assert await anext(answer) == b"{}"
        assert answer.ended
