"""A model with several endpoints: a call is made where its turn comes first, and elsewhere where one refuses it."""

from __future__ import annotations

import json
from collections import Counter

import pytest
import trio

from penstock_gateway import ClientRequest
from penstock_gateway.testing import ANSWER, KEYS, Provider, Reply, World, whole
from penstock_wire import ConnectionLost

pytestmark = pytest.mark.loopback

TWO = '[endpoints.acme]\nfirst = { api_key_env = "A_KEY" }\nsecond = { api_key_env = "B_KEY" }\n'
OVERLOADED = whole(b'{"error": {"message": "no"}}', b"503 Service Unavailable")
LIMITED = whole(b'{"error": {"message": "slow down"}}', b"429 Too Many Requests", b"retry-after: 30")


def key_of(request: ClientRequest) -> str:
    return "first" if request.header(b"authorization") == f"Bearer {KEYS['A_KEY']}" else "second"


def first_says(*pieces: bytes, close: bool = False, hang: bool = False) -> Reply:
    """The first endpoint answers so, and the second one well."""

    async def reply(provider: Provider, stream: trio.SocketStream, request: ClientRequest) -> None:
        if key_of(request) == "second":
            await stream.send_all(whole(ANSWER))
            return
        for piece in pieces:
            await stream.send_all(piece)
        if hang:
            await stream.receive_some(1)
        if close or hang:
            await stream.aclose()

    return reply


async def test_calls_are_spread_over_the_endpoints_each_under_its_limit(world: World) -> None:
    await world.begin(TWO, cap=1)
    async with trio.open_nursery() as nursery:
        for _ in range(8):
            nursery.start_soon(world.ask)
    asked = Counter(map(key_of, world.provider.requests))
    assert asked.total() == 8
    assert min(asked["first"], asked["second"]) >= 2
    assert world.provider.most_out <= 2


async def test_who_refuses_before_the_first_byte_is_passed_over(world: World) -> None:
    await world.begin("first_byte_timeout = 0.2\n" + TWO, cooldown=False)
    for what, reply in {
        "429": first_says(LIMITED),
        "503": first_says(OVERLOADED),
        "the gateway's key": first_says(whole(b"{}", b"500 No")),
        "nothing": first_says(close=True),
        "no HTTP": first_says(b"x\r\n\r\n", close=True),
        "silence": first_says(hang=True),
    }.items():
        world.provider.reply = reply
        for _ in range(2):  # whichever of the two has the first turn
            status, headers, answer = await world.ask()
            assert (status, answer, headers["x-penstock-provider"]) == (200, ANSWER, "acme@second"), what
    issued, returned = world.gateway.leases
    assert issued == returned == len(world.provider.requests)


async def test_where_all_refuse_the_last_refusal_passes(world: World) -> None:
    await world.begin(TWO, cooldown=False)
    world.provider.says(OVERLOADED)
    assert (await world.ask())[0] == 503
    assert len(world.provider.requests) == 2


async def test_a_refusal_of_the_call_itself_is_not_tried_elsewhere(world: World) -> None:
    await world.begin(TWO)
    world.provider.says(whole(b'{"error": {"message": "no such parameter"}}', b"400 Bad Request"))
    assert (await world.ask())[0] == 400
    assert len(world.provider.requests) == 1


async def test_what_a_client_has_begun_to_read_is_not_tried_elsewhere(world: World) -> None:
    await world.begin(TWO)
    world.provider.says(b"HTTP/1.1 200 OK\r\ncontent-length: 1000\r\n\r\n{", close=True)
    client = await world.client()
    await client.send()
    with pytest.raises(ConnectionLost):
        await client.answer()
    assert len(world.provider.requests) == 1


async def test_the_log_tells_of_a_second_try(world: World) -> None:
    await world.begin(TWO)
    world.provider.reply = first_says(OVERLOADED)
    for _ in range(2):
        await world.ask()
    await world.end()
    lines = [json.loads(line) for line in world.log.read_text(encoding="utf-8").splitlines()]
    assert {line["provider"] for line in lines} == {"acme@second"}
    assert [line["status"] for line in lines] == [200, 200]
    assert 2 in [line.get("tries") for line in lines]
