"""A thousand clients that leave at random moments, and two tenants of whom one asks for ten times as much."""

from __future__ import annotations

import gc
import os
import random
import re
import socket
import sys

import pytest
import trio
import trio.testing

from penstock_gateway import ClientRequest
from penstock_gateway.exchange import Exchange
from penstock_gateway.testing import ANSWER, CHAT, KEYS, Provider, World, whole

pytestmark = pytest.mark.loopback

CHUNKED = b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n"
EVENT = b'data: {"choices":[{"delta":{"content":"hi"}}]}\n\n'
CHUNK = b"%x\r\n%s\r\n" % (len(EVENT), EVENT)
STREAMED = b'{"model": "small", "stream": true, "messages": []}'
CLIENTS = int(os.environ.get("PENSTOCK_CLIENTS", "1000"))
"""`tox -e gateway` has more of them."""
CAP = 8
_IN_FLIGHT = re.compile(r"^penstock_in_flight\{.*\} (\d+)", re.MULTILINE)


def open_files() -> int:
    return len(os.listdir("/proc/self/fd")) if sys.platform == "linux" else 0


def in_flight(world: World) -> int:
    return sum(map(int, _IN_FLIGHT.findall(world.gateway.metrics())))


def at_random(provider: Provider, chance: random.Random) -> None:
    """Answers of all kinds: some whole, some in pieces, some that break off or never end."""

    async def reply(provider: Provider, stream: trio.SocketStream, request: ClientRequest) -> None:
        kind = chance.choice(["whole", "stream", "stream", "hangs", "breaks", "429"])
        for _ in range(chance.randrange(4)):
            await trio.lowlevel.checkpoint()
        if kind in ("whole", "429"):
            await stream.send_all(whole(ANSWER, b"200 OK" if kind == "whole" else b"429 Slow"))
            return
        await stream.send_all(CHUNKED)
        for _ in range(chance.randrange(6)):
            await stream.send_all(CHUNK)
            await trio.lowlevel.checkpoint()
        if kind == "breaks":
            await stream.aclose()
        elif kind == "hangs":
            while await stream.receive_some(65_536):
                pass
            raise trio.BrokenResourceError
        else:
            await stream.send_all(b"0\r\n\r\n")

    provider.reply = reply


async def comes_and_leaves(world: World, chance: random.Random) -> None:
    port = int(world.gateway.url.rpartition(":")[2].partition("/")[0])
    async with await trio.open_tcp_stream("127.0.0.1", port) as stream:
        body = chance.choice([CHAT, STREAMED])
        raw = b"POST /v1/chat/completions HTTP/1.1\r\nhost: x\r\ncontent-length: %d\r\n\r\n%s" % (len(body), body)
        when = chance.choice(["in the request", "in line", "first byte", "later", "pipelined"])
        if when == "in the request":
            await stream.send_all(raw[: chance.randrange(len(raw))])
        else:
            await stream.send_all(raw * (1 + (when == "pipelined")))
        for _ in range(chance.randrange(12)):
            await trio.lowlevel.checkpoint()
        try:
            for _ in range({"first byte": 1, "later": chance.randrange(2, 5)}.get(when, 0)):
                with trio.move_on_after(chance.choice([0.0, 1.0])):
                    await stream.receive_some(64)
        except trio.BrokenResourceError:
            pass
        if chance.random() < 0.3:  # by a reset
            stream.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")


async def test_of_a_thousand_clients_that_leave_nothing_is_left(
    world: World, autojump_clock: trio.testing.MockClock
) -> None:
    gateway = await world.begin("keep_alive = 3600.0\n", cap=CAP, cooldown=False)  # longer than all waves together
    chance = random.Random(14)
    at_random(world.provider, chance)
    await world.ask()
    kept = None
    for wave in range(CLIENTS // 100):
        async with trio.open_nursery() as nursery:
            for _ in range(100):
                nursery.start_soon(comes_and_leaves, world, chance)
            for _ in range(40):
                await trio.lowlevel.checkpoint()
                assert in_flight(world) <= CAP
        await world.provider.until(lambda: world.provider.out == 0)
        await trio.testing.wait_all_tasks_blocked()
        issued, returned = gateway.leases
        assert issued == returned
        assert (in_flight(world), gateway.connections) == (0, 1)  # that of the first call
        gateway.upstreams["acme"].client.close()
        await trio.testing.wait_all_tasks_blocked()
        left = open_files(), trio.lowlevel.current_statistics().tasks_living
        kept = kept or left
        assert left == kept, f"files and tasks, after wave {wave}"
    gc.collect()
    assert sum(isinstance(each, Exchange) for each in gc.get_objects()) <= 1  # the last
    world.provider.reply = world.provider.answer
    assert (await world.ask())[0] == 200
    assert issued > CLIENTS / 4


# -- two tenants --

TENANTS = """
queue_wait_timeout = 86400.0
total_timeout = 86400.0
[gateway.keys.large]
env = "A_KEY"
[gateway.keys.small]
env = "B_KEY"
"""
SECONDS = 2.0
"""That a call takes at the provider."""


async def test_of_two_tenants_the_small_one_waits_for_little(
    world: World, autojump_clock: trio.testing.MockClock
) -> None:
    """One has forty clients and the other four, who ask again as soon as they have their answer."""
    await world.begin(TENANTS, cap=4, cooldown=False)

    async def reply(_: Provider, stream: trio.SocketStream, __: ClientRequest) -> None:
        await trio.sleep(SECONDS)
        await stream.send_all(whole(ANSWER))

    world.provider.reply = reply
    waited: dict[str, list[float]] = {"A_KEY": [], "B_KEY": []}

    async def asks(key: str) -> None:
        client = await world.client()
        while True:
            status, headers, _ = await client.ask(CHAT, f"x-api-key: {KEYS[key]}")
            assert status == 200
            waited[key].append(float(headers["x-penstock-waited"]))

    with trio.move_on_after(100 * SECONDS):
        async with trio.open_nursery() as nursery:
            for key, clients in (("A_KEY", 40), ("B_KEY", 4)):
                for _ in range(clients):
                    nursery.start_soon(asks, key)
    large, small = (len(each) for each in waited.values())
    assert (large + small) ** 2 / (2 * (large**2 + small**2)) >= 0.98, f"Jain's index of {large} and {small} calls"
    usual = {key: sorted(each)[len(each) // 2] for key, each in waited.items()}
    assert usual["B_KEY"] < usual["A_KEY"] / 10
    assert world.provider.most_out == 4
