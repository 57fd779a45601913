"""Whoever asks at the port of `/metrics` does the gateway no harm."""

from __future__ import annotations

import socket
import struct

import pytest
import trio

from penstock import LimiterSnapshot
from penstock_gateway.admin_port import MOST
from penstock_gateway.testing import Client, World

pytestmark = pytest.mark.loopback

ADMIN = "[gateway.admin]\nport = 0\n"
RESET = struct.pack("ii", 1, 0)


async def asker(world: World) -> Client:
    return Client(await trio.open_tcp_stream("127.0.0.1", int(world.gateway.admin_url.rpartition(":")[2])))


async def page(world: World, path: str = "/metrics") -> int:
    client = await asker(world)
    status, _, _ = await client.ask(b"", path=path, method="GET")
    await client.stream.aclose()
    return status


@pytest.mark.parametrize("said", [b"", b"GET /metr"])
async def test_a_connection_that_is_reset_is_its_own_affair(world: World, said: bytes) -> None:
    await world.begin(ADMIN)
    client = await asker(world)
    await client.stream.send_all(said)
    await trio.testing.wait_all_tasks_blocked()
    client.stream.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)
    client.stream.socket.close()
    await trio.testing.wait_all_tasks_blocked()
    assert await page(world) == 200
    assert (await world.ask())[0] == 200


async def test_who_says_nothing_keeps_few_from_asking_and_none_for_long(
    world: World, mock_clock: trio.testing.MockClock
) -> None:
    await world.begin(ADMIN)
    silent = await asker(world)
    others = [await asker(world) for _ in range(MOST - 1)]
    await trio.testing.wait_all_tasks_blocked()
    assert await page(world) == 503
    mock_clock.jump(11.0)
    assert not await silent.stream.receive_some(1)
    assert await page(world) == 200
    for client in (silent, *others):
        await client.stream.aclose()


async def test_a_page_that_a_plugin_spoils_is_an_error_and_no_end(
    world: World, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    await world.begin(ADMIN)

    def nonsense() -> LimiterSnapshot:
        raise ZeroDivisionError

    monkeypatch.setattr(world.gateway, "metrics", nonsense)
    assert await page(world) == 500
    assert "a page of the admin port could not be made" in caplog.text
    assert await page(world, "/healthz") == 200
    assert (await world.ask())[0] == 200
