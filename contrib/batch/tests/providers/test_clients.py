"""The clients of models say the same of a call, whichever way it takes: straight to the provider, or through the proxy
that the environment names.

The provider of these tests is the proxy too: it answers what it would get passed on, and agrees to a tunnel.
"""

from __future__ import annotations

import ssl
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path

import pytest
import trio
from trio.testing import MockClock

from penstock import ModelConfig, ProviderConfig
from penstock_batch.providers.clients import CONNECT_TIMEOUT, ModelClient
from penstock_batch.providers.endpoints import open_endpoints, provider_problems
from penstock_batch.providers.models import StepModel
from penstock_batch.words.failures import plain_reason
from penstock_wire import BadAnswer, CannotConnect, ConnectionLost

pytestmark = pytest.mark.loopback

JSON = b'{"a": 1}'
CLOSES = None
"""In the place of bytes: the connection is closed."""
Reply = Sequence[bytes | None]


def said(headers: bytes, body: bytes = JSON, status: bytes = b"HTTP/1.1 200 OK") -> bytes:
    return b"%s\r\n%s\r\n%s" % (status, headers, body)


OK = said(b"content-length: 8\r\n")


class Server:
    """A provider that answers its n-th call by `reply(n)`, with TLS where it has `tls`."""

    def __init__(self, reply: Callable[[int], Reply], tls: ssl.SSLContext | None) -> None:
        self.connections = self.calls = 0
        self.asked, self.closed = trio.Event(), trio.Event()
        self.heard: list[bytes] = []
        self.protocol: str | None = None
        """What was agreed on to be spoken over TLS."""
        self._reply = reply
        self._tls = tls

    async def serve(self, tcp: trio.SocketStream) -> None:
        self.connections += 1
        stream: trio.SocketStream | trio.SSLStream[trio.SocketStream] = tcp
        try:
            first = b""
            if self._tls is not None:
                first = await tcp.socket.recv(8, trio.socket.MSG_PEEK)
                if first.startswith(b"CONNECT"):
                    await _heard(tcp, b"\r\n\r\n")
                    await tcp.send_all(b"HTTP/1.1 200 Connection established\r\n\r\n")
                stream = trio.SSLStream(tcp, self._tls, server_side=True, https_compatible=True)
            while call := await _heard(stream, b"{}"):
                self.calls += 1
                self.heard.append(call)
                if isinstance(stream, trio.SSLStream):
                    self.protocol = stream.selected_alpn_protocol()
                self.asked.set()
                for piece in self._reply(self.calls):
                    if piece is CLOSES:
                        return
                    await stream.send_all(piece)
        except (trio.BrokenResourceError, trio.ClosedResourceError):
            pass
        finally:
            await trio.aclose_forcefully(tcp)
            self.closed.set()


async def _heard(stream: trio.abc.ReceiveStream, end: bytes) -> bytes:
    data = b""
    while not data.endswith(end):
        piece = await stream.receive_some(65536)
        if not piece:
            return b""
        data += piece
    return data


class Way:
    """The way that calls take."""

    def __init__(self, proxied: bool, environment: pytest.MonkeyPatch) -> None:
        self.proxied = proxied
        self.environment = environment

    @asynccontextmanager
    async def to(
        self, reply: Callable[[int], Reply], tls: ssl.SSLContext | None = None, host: str = "localhost"
    ) -> AsyncIterator[tuple[ModelClient, Server]]:
        """A client of a server that replies so, and the server: through a proxy by a name that has no address."""
        server = Server(reply, tls)
        async with trio.open_nursery() as nursery:
            (listener, *_) = await nursery.start(partial(trio.serve_tcp, server.serve, 0, host="127.0.0.1"))
            port = listener.socket.getsockname()[1]
            scheme = "http" if tls is None else "HTTPS"
            if self.proxied:
                self.environment.setenv("HTTP_PROXY" if tls is None else "HTTPS_PROXY", f"http://127.0.0.1:{port}")
            url = f"{scheme}://provider.example/v1" if self.proxied else f"{scheme}://{host}:{port}/v1"
            async with client_of(url) as client:
                yield client, server
            nursery.cancel_scope.cancel()


@asynccontextmanager
async def client_of(url: str) -> AsyncIterator[ModelClient]:
    providers = {"p": ProviderConfig(base_url=url, models={"m": ModelConfig(max_parallel_requests=1)})}
    assert provider_problems(providers, {"p"}, {}) == []
    async with open_endpoints(providers, [StepModel("p/m", "p", "m", 1)]) as endpoints:
        yield endpoints.clients["p/m"]


@pytest.fixture(params=[False, True], ids=["straight", "through a proxy"])
def way(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Way:
    return Way(request.param, monkeypatch)


async def called(client: ModelClient) -> tuple[int, bytes]:
    async with client.post("chat/completions", b"{}") as answer:
        return answer.status, b"".join([piece async for piece in answer.pieces()])


@pytest.mark.parametrize(
    ("reply", "status", "body"),
    [
        pytest.param([OK], 200, JSON, id="a length"),
        pytest.param([said(b"", status=b"HTTP/1.0 200 OK"), CLOSES], 200, JSON, id="HTTP/1.0 without a length"),
        pytest.param([said(b""), CLOSES], 200, JSON, id="no length"),
        pytest.param(
            [said(b"transfer-encoding: chunked\r\n", b"8;a=b\r\n%s\r\n0\r\n\r\n" % JSON)], 200, JSON, id="chunks"
        ),
        pytest.param(
            [said(b"transfer-encoding: chunked\r\ntrailer: x-a\r\n", b"8\r\n%s\r\n0\r\nx-a: 1\r\n\r\n" % JSON)],
            *(200, JSON),
            id="chunks and a trailer",
        ),
        pytest.param([b"HTTP/1.1 100 Continue\r\n\r\n", OK], 200, JSON, id="an interim answer"),
        pytest.param([b"HTTP/1.1 103 Early Hints\r\nlink: <a>\r\n\r\n", OK], 200, JSON, id="hints"),
        pytest.param([said(b"", b"", b"HTTP/1.1 204 No Content")], 204, b"", id="no body"),
        pytest.param(
            [said(b"location: /v2\r\ncontent-length: 0\r\n", b"", b"HTTP/1.1 307 There")], 307, b"", id="a redirect"
        ),
        pytest.param(
            [said(b"content-length: 8\r\n", JSON, b"HTTP/1.1 503")], 503, JSON, id="an error without a reason"
        ),
        pytest.param([said(b"content-length: 8\r\nset-cookie: a=b\r\n")], 200, JSON, id="a cookie"),
        pytest.param(
            [said(b"content-length: 12\r\n", JSON + b"more")], 200, JSON + b"more", id="what it says is taken"
        ),
    ],
)
async def test_what_is_an_answer_is_one(way: Way, reply: Reply, status: int, body: bytes) -> None:
    async with way.to(lambda _: reply) as (client, server):
        assert await called(client) == (status, body)
        assert await called(client) == (status, body)
        assert server.calls == 2  # no redirect is followed
        assert b"cookie" not in server.heard[1].lower()


@pytest.mark.parametrize(
    ("reply", "error", "words"),
    [
        pytest.param([CLOSES], ConnectionLost, "the connection was closed without an answer", id="nothing"),
        pytest.param(
            [said(b"content-length: 80\r\n"), CLOSES],
            *(ConnectionLost, "the connection was closed in the middle of the answer"),
            id="half of it",
        ),
        pytest.param(
            [said(b"transfer-encoding: chunked\r\n", b"8\r\n%s\r\n" % JSON), CLOSES],
            *(ConnectionLost, "the connection was closed in the middle of the answer"),
            id="chunks without an end",
        ),
        pytest.param(
            [said(b"transfer-encoding: chunked\r\n", b"zz\r\n")],
            BadAnswer,
            "the answer is no HTTP/1.1: ",
            id="no chunk",
        ),
        pytest.param([b"<html>\r\n\r\n"], BadAnswer, "the answer is no HTTP/1.1: ", id="no head"),
        pytest.param([said(b"content-length: -8\r\n")], BadAnswer, "the answer is no HTTP/1.1: ", id="no length"),
        pytest.param(
            [said(b"content-length: 8\r\ncontent-length: 9\r\n")],
            *(BadAnswer, "the answer is no HTTP/1.1: "),
            id="two lengths",
        ),
        pytest.param([said(b"x a: b\r\n")], BadAnswer, "the answer is no HTTP/1.1: ", id="no header"),
    ],
)
async def test_what_is_none_is_told_with_what_is_known_of_the_call(
    way: Way, reply: Reply, error: type[Exception], words: str
) -> None:
    async with way.to(lambda _: reply) as (client, server):
        for calls in (1, 2):
            with pytest.raises(error) as raised:
                await called(client)
            assert str(raised.value).startswith(words)
            assert server.calls == server.connections == calls  # nothing is sent twice, and no such connection kept


async def test_connections_are_kept_and_a_closed_one_is_not_used_again(way: Way) -> None:
    async with way.to(lambda call: [OK, CLOSES] if call == 2 else [OK]) as (client, server):
        await called(client)
        await called(client)
        assert server.connections == 1
        await server.closed.wait()
        await called(client)
        assert server.connections == 2
        await client.drop_connections()
        await called(client)
        assert server.connections == 3


async def test_a_kept_connection_that_closes_while_a_call_goes_out_has_lost_it(way: Way) -> None:
    async with way.to(lambda call: [CLOSES] if call == 2 else [OK]) as (client, server):
        await called(client)
        with pytest.raises(ConnectionLost):
            await called(client)
        assert (server.calls, server.connections) == (2, 1)
        assert await called(client) == (200, JSON)


@pytest.mark.parametrize("reply", [[], [said(b"content-length: 80\r\n")]], ids=["before its head", "within its body"])
async def test_a_call_that_is_cancelled_closes_its_connection(way: Way, reply: Reply) -> None:
    async with way.to(lambda _: reply) as (client, server), trio.open_nursery() as nursery:
        nursery.start_soon(called, client)
        await server.asked.wait()
        assert not server.closed.is_set()
        nursery.cancel_scope.cancel()
        with trio.CancelScope(shield=True):
            await server.closed.wait()


async def test_headers_are_told_by_lower_case_names_those_of_one_name_together(way: Way) -> None:
    reply = [said(b"X-A: 1\r\nx-a: 2\r\nx-b:\r\ncontent-length: 8\r\n")]
    async with way.to(lambda _: reply) as (client, _), client.post("chat/completions", b"{}") as answer:
        assert answer.headers == {"x-a": "1, 2", "x-b": "", "content-length": "8"}


async def test_nobody_is_asked_to_pack_what_the_reader_cannot_unpack(way: Way) -> None:
    async with way.to(lambda _: [OK]) as (client, server):
        await called(client)
        assert b"\r\naccept-encoding: gzip, deflate\r\n" in server.heard[0].lower()


async def test_where_nobody_listens_nothing_was_sent(way: Way) -> None:
    with trio.socket.socket() as bound:
        await bound.bind(("127.0.0.1", 0))
        here = f"http://127.0.0.1:{bound.getsockname()[1]}"
        if way.proxied:
            way.environment.setenv("HTTP_PROXY", here)
        async with client_of("http://provider.example" if way.proxied else here) as client:
            with pytest.raises(CannotConnect) as raised:
                await called(client)
    assert plain_reason(raised.value) == "Connection refused"


# -- TLS --


@pytest.fixture
def tls(certificate: tuple[Path, Path]) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(*certificate)
    context.set_alpn_protocols(["h2", "http/1.1"])
    return context


async def test_the_certificates_that_the_environment_names_are_trusted(
    way: Way, tls: ssl.SSLContext, certificate: tuple[Path, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SSL_CERT_FILE", str(certificate[0]))
    async with way.to(lambda _: [OK], tls) as (client, server):
        assert await called(client) == (200, JSON)
        assert await called(client) == (200, JSON)
        assert (server.connections, server.protocol) == (1, "http/1.1")


async def test_who_is_not_known_gets_no_call(way: Way, tls: ssl.SSLContext) -> None:
    async with way.to(lambda _: [OK], tls) as (client, server):
        with pytest.raises(CannotConnect) as raised:
            await called(client)
        assert plain_reason(raised.value) == "TLS: self-signed certificate"
        assert server.calls == 0


async def test_who_is_known_by_another_name_gets_no_call(
    tls: ssl.SSLContext, certificate: tuple[Path, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SSL_CERT_FILE", str(certificate[0]))
    async with Way(False, monkeypatch).to(lambda _: [OK], tls, host="127.0.0.1") as (client, server):
        with pytest.raises(CannotConnect, match="no TLS with"):
            await called(client)
        assert server.calls == 0


async def test_a_connection_that_takes_too_long_was_no_call(way: Way, mock_clock: MockClock) -> None:
    hears = trio.Event()

    async def silent(stream: trio.SocketStream) -> None:
        if way.proxied:
            await _heard(stream, b"\r\n\r\n")
            await stream.send_all(b"HTTP/1.1 200 Connection established\r\n\r\n")
        await stream.receive_some(1)  # of the greeting by TLS, which is not answered
        hears.set()
        await trio.sleep_forever()

    async def jump() -> None:
        await hears.wait()
        mock_clock.jump(CONNECT_TIMEOUT + 1)

    async with trio.open_nursery() as nursery:
        (listener, *_) = await nursery.start(partial(trio.serve_tcp, silent, 0, host="127.0.0.1"))
        port = listener.socket.getsockname()[1]
        url = f"https://{'provider.example' if way.proxied else '127.0.0.1'}:{port}"
        if way.proxied:
            way.environment.setenv("HTTPS_PROXY", f"http://127.0.0.1:{port}")
        async with client_of(url) as client:
            nursery.start_soon(jump)
            with pytest.raises(CannotConnect, match="within 30 s"):
                await called(client)
        nursery.cancel_scope.cancel()


async def test_a_proxy_that_refuses_has_passed_nothing_on(monkeypatch: pytest.MonkeyPatch) -> None:
    async def proxy(stream: trio.SocketStream) -> None:
        await _heard(stream, b"\r\n\r\n")
        await stream.send_all(said(b"content-length: 0\r\n", b"", b"HTTP/1.1 407 Who are you?"))

    async with trio.open_nursery() as nursery:
        (listener, *_) = await nursery.start(partial(trio.serve_tcp, proxy, 0, host="127.0.0.1"))
        monkeypatch.setenv("HTTPS_PROXY", f"http://127.0.0.1:{listener.socket.getsockname()[1]}")
        async with client_of("https://provider.example") as client:
            with pytest.raises(CannotConnect, match="407"):
                await called(client)
        nursery.cancel_scope.cancel()
