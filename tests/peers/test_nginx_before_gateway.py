"""nginx before a gateway, by the file that its page gives: TLS, and nothing kept back or tried twice."""

from __future__ import annotations

import ssl
import subprocess
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import attrs
import pytest
import trio
from tests.peers.conftest import Nginx, free_port, program

from penstock_gateway.testing import ANSWER, CHAT, Provider, World, open_world
from penstock_wire import WireClient, WireError

pytestmark = pytest.mark.loopback

EXAMPLE = Path(__file__).parents[2] / "contrib/gateway/examples/nginx.conf"
STREAMED = b'{"model": "small", "stream": true, "messages": []}'
HEAD = b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\nconnection: close\r\n\r\n"
FIRST = b'data: {"choices":[{"index":0,"delta":{"content":"a"}}]}\n\n'
LAST = b"data: [DONE]\n\n"


@attrs.frozen
class Fronted:
    """A gateway behind nginx, and a client of nginx over TLS."""

    world: World
    client: WireClient
    nginx: Nginx


@pytest.fixture
async def fronted(nginx_with: Callable[[str, str], Nginx], tmp_path: Path) -> AsyncIterator[Fronted]:
    """The example's nginx before a gateway."""
    async with open_world(tmp_path) as world, served(world, nginx_with, tmp_path) as found:
        yield found


@asynccontextmanager
async def served(world: World, nginx_with: Callable[[str, str], Nginx], folder: Path) -> AsyncIterator[Fronted]:
    await world.begin(cap=8)
    key, certificate = folder / "gateway.key", folder / "gateway.pem"
    made = ["req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "2"]
    name = ["-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost"]
    where = ["-keyout", str(key), "-out", str(certificate)]
    subprocess.run([program("openssl"), *made, *name, *where], check=True, capture_output=True)
    port = free_port()
    text = EXAMPLE.read_text(encoding="utf-8")
    for old, new in (
        ("127.0.0.1:8080", world.gateway.url.removeprefix("http://").removesuffix("/v1")),
        ("listen 443 ssl", f"listen 127.0.0.1:{port} ssl"),
        ("/etc/ssl/certs/gateway.pem", str(certificate)),
        ("/etc/ssl/private/gateway.key", str(key)),
    ):
        assert old in text
        text = text.replace(old, new)
    nginx = nginx_with(text, f"https://localhost:{port}/v1")
    context = ssl.create_default_context(cafile=str(certificate))
    async with WireClient(nginx.url, tls=context) as client:
        yield Fronted(world, client, nginx)


async def test_a_call_goes_through_and_connections_to_the_gateway_are_kept(fronted: Fronted) -> None:
    for _ in range(12):
        async with fronted.client.call("POST", "/chat/completions", CHAT) as answer:
            assert answer.status == 200
            assert b"".join([piece async for piece in answer]) == ANSWER
    assert fronted.world.gateway.connections == 1


async def test_each_event_of_a_stream_comes_at_once(fronted: Fronted) -> None:
    seen = trio.Event()

    async def reply(_: Provider, stream: trio.SocketStream, __: object) -> None:
        await stream.send_all(HEAD + FIRST)
        await seen.wait()
        await stream.send_all(LAST)
        await stream.aclose()

    fronted.world.provider.reply = reply
    got = b""
    with trio.fail_after(60):
        async with fronted.client.call("POST", "/chat/completions", STREAMED) as answer:
            async for piece in answer:
                got += piece
                if got == FIRST:
                    seen.set()
    assert got == FIRST + LAST


async def test_a_client_that_leaves_takes_its_call_along(fronted: Fronted) -> None:
    provider = fronted.world.provider
    provider.hangs(HEAD, FIRST)
    with trio.fail_after(60):
        async with fronted.client.call("POST", "/chat/completions", STREAMED) as answer:
            async for _ in answer:
                break
        await provider.until(lambda: provider.out == 0)
    assert len(provider.requests) == 1


async def test_what_breaks_off_is_neither_tried_again_nor_ended_as_if_it_were_whole(fronted: Fronted) -> None:
    fronted.world.provider.says(HEAD.replace(b"connection: close", b"content-length: 1000"), FIRST, close=True)

    async def read() -> None:
        async with fronted.client.call("POST", "/chat/completions", STREAMED) as answer:
            async for _ in answer:
                pass

    with pytest.raises(WireError):
        await read()
    assert len(fronted.world.provider.requests) == 1


async def test_nothing_but_the_interface_can_be_reached(fronted: Fronted) -> None:
    async with fronted.client.call("GET", "/../metrics", b"") as answer:
        assert answer.status == 404
    assert fronted.nginx.statuses[404] == 1
