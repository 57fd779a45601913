"""The environment's proxies: used for what is elsewhere, never for this machine, told in one line if they cannot."""

from __future__ import annotations

from contextlib import suppress
from typing import Any

import httpx2
import pytest
import trio

import penstock
from penstock_httpx import AdmissionTransport, ThreadAdmissionTransport

CONFIG = {"providers": {"acme": {"models": {"small": {"max_parallel_requests": 2}}}}}
CALL = {"model": "small", "messages": []}
VARIABLES = ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "NO_PROXY")


@pytest.fixture(autouse=True)
def no_proxies(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in VARIABLES:
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.lower(), raising=False)


async def heard_at(port_of: Any, url: str) -> bytes:
    """What a listener hears of a call to this address; `port_of` is told where it listens."""
    heard = b""
    done = trio.Event()
    async with trio.open_nursery() as nursery:
        (listener,) = await trio.open_tcp_listeners(0, host="127.0.0.1")
        port = listener.socket.getsockname()[1]

        async def hear(stream: trio.SocketStream) -> None:
            nonlocal heard
            heard = await stream.receive_some()
            await stream.send_all(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\n{}")
            await stream.aclose()
            done.set()

        nursery.start_soon(trio.serve_listeners, hear, [listener])
        port_of(port)
        async with (
            penstock.open_scheduler(CONFIG),
            httpx2.AsyncClient(transport=AdmissionTransport(provider="acme"), timeout=5) as client,
        ):
            with suppress(httpx2.HTTPError):
                await client.post(url.replace("PORT", str(port)), json=CALL)
        with trio.fail_after(5):
            await done.wait()
        nursery.cancel_scope.cancel()
    return heard


@pytest.mark.loopback
@pytest.mark.parametrize("name", ["HTTP_PROXY", "ALL_PROXY"])
async def test_a_proxy_of_the_environment_is_used(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    def set_proxy(port: int) -> None:
        monkeypatch.setenv(name, f"http://127.0.0.1:{port}")

    heard = await heard_at(set_proxy, "http://acme.test/v1/chat/completions")
    assert heard.startswith(b"POST http://acme.test/v1/chat/completions HTTP/1.1")


@pytest.mark.loopback
@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "0.0.0.0"])
async def test_no_proxy_gets_what_is_meant_for_this_machine(monkeypatch: pytest.MonkeyPatch, host: str) -> None:
    monkeypatch.setenv("ALL_PROXY", "socks5://127.0.0.1:9")
    heard = await heard_at(lambda port: None, f"http://{host}:PORT/v1/chat/completions")
    assert heard.startswith(b"POST /v1/chat/completions HTTP/1.1")


@pytest.mark.loopback
async def test_what_the_environment_excepts_goes_directly(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ALL_PROXY", "http://127.0.0.1:9")
    monkeypatch.setenv("NO_PROXY", "acme.test")
    async with (
        penstock.open_scheduler(CONFIG),
        httpx2.AsyncClient(transport=AdmissionTransport(provider="acme"), timeout=5) as client,
    ):
        with pytest.raises(httpx2.ConnectError) as caught:
            await client.post("http://acme.test:1/v1/chat/completions", json=CALL, extensions={"penstock": SOON})
    assert "refused" not in str(caught.value.__cause__), "no such host, and not the proxy's refusal"


SOON = {"timeout": 1.0}


@pytest.mark.parametrize("proxy", ["nonsense://127.0.0.1:9", "socks5://127.0.0.1:9", "http://proxy:port"])
async def test_a_proxy_that_cannot_be_used_is_told_in_one_line(monkeypatch: pytest.MonkeyPatch, proxy: str) -> None:
    monkeypatch.setenv("ALL_PROXY", proxy)
    wanted = "the proxy that the environment names for acme.test cannot be used"
    async with penstock.open_scheduler(CONFIG):
        async with httpx2.AsyncClient(transport=AdmissionTransport(provider="acme")) as client:
            with pytest.raises(penstock.ConfigError, match=wanted):
                await client.post("http://acme.test/v1/chat/completions", json=CALL)

        def post() -> None:
            with httpx2.Client(transport=ThreadAdmissionTransport(provider="acme")) as client:
                client.post("http://acme.test/v1/chat/completions", json=CALL)

        with pytest.raises(penstock.ConfigError, match=wanted):
            await trio.to_thread.run_sync(post)
