"""A call that is over, and a connection that is closed, leave nothing in memory that only the collector of circles
would find: where each leaves some dozens of objects, its runs cost a tenth of all, and its buffers stay until then.
"""

from __future__ import annotations

import gc
from collections.abc import Awaitable, Callable, Iterator

import pytest
import trio

from penstock_gateway.call import Call
from penstock_gateway.call_line import CallLine
from penstock_gateway.connection import ClientConnection
from penstock_gateway.exchange import Exchange
from penstock_gateway.request_parser import RequestParser
from penstock_gateway.testing import World
from penstock_wire import AnswerParser, Channel

pytestmark = pytest.mark.loopback

STREAMED = b'{"model": "small", "stream": true, "messages": []}'
EVENTS = (b'data: {"choices":[{"index":0,"delta":{"content":"hi"}}]}\n\n', b"data: [DONE]\n\n")
STREAM = b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\nconnection: close\r\n\r\n"


@pytest.fixture
def no_collector() -> Iterator[None]:
    gc.collect()
    gc.disable()
    gc.set_debug(gc.DEBUG_SAVEALL)
    yield
    gc.set_debug(0)
    gc.garbage.clear()
    gc.enable()


async def plain(world: World) -> None:
    assert (await world.ask())[0] == 200


async def streamed(world: World) -> None:
    world.provider.says(STREAM, *EVENTS, close=True)
    assert (await world.ask(STREAMED))[0] == 200


async def refused_by_its_provider(world: World) -> None:
    world.provider.says(b"HTTP/1.1 500 no\r\ncontent-length: 0\r\n\r\n")
    assert (await world.ask())[0] == 500


async def not_answered(world: World) -> None:
    world.provider.says(b"", close=True)
    assert (await world.ask())[0] == 502


async def refused_here(world: World) -> None:
    assert (await world.ask(b"{}"))[0] == 400


async def waiting_for_their_turn(world: World) -> None:
    async with trio.open_nursery() as nursery:
        for _ in range(4):
            nursery.start_soon(plain, world)


async def left_by_its_client_at_its_provider_and_another_in_line(world: World) -> None:
    world.provider.hangs()
    clients = [await world.client() for _ in range(2)]
    for client in clients:
        await client.send()
    await world.provider.until(lambda: world.provider.out == 1)
    for client in reversed(clients):
        await client.stream.aclose()
    await world.provider.until(lambda: world.provider.out == 0)


@pytest.mark.parametrize(
    "calls",
    [
        plain,
        streamed,
        refused_by_its_provider,
        not_answered,
        refused_here,
        waiting_for_their_turn,
        left_by_its_client_at_its_provider_and_another_in_line,
    ],
)
@pytest.mark.usefixtures("no_collector")
async def test_a_call_that_is_over_leaves_nothing_for_the_collector(
    world: World, calls: Callable[[World], Awaitable[None]]
) -> None:
    gateway = await world.begin("", cap=1, cooldown=False)
    await calls(world)
    world.leave()
    while gateway.connections:
        await trio.testing.wait_all_tasks_blocked()
    await trio.testing.wait_all_tasks_blocked()
    assert [each for each in gc.get_objects() if isinstance(each, Call | CallLine | Exchange | ClientConnection)] == []
    gc.collect()
    assert sum(gateway.front.metrics.calls.values()) >= 1
    assert [each for each in gc.garbage if isinstance(each, RequestParser | Channel | AnswerParser)] == []
