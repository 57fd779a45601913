"""The socket between a worker and the coordinator: one packet per turn, and a full one that nothing is lost by."""

from __future__ import annotations

import socket
import sys
from collections.abc import AsyncIterator

import pytest
import trio
from trio.testing import wait_all_tasks_blocked

if sys.platform != "linux":
    pytest.skip("only Linux has several workers", allow_module_level=True)

from penstock_gateway.link import Link
from penstock_gateway.messages import Back, Plan, from_coordinator, from_worker


@pytest.fixture
async def ends() -> AsyncIterator[tuple[Link, Link]]:
    one, other = (Link(each) for each in socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET))
    yield one, other
    one.close()
    other.close()


async def test_what_is_said_in_one_turn_is_one_packet(ends: tuple[Link, Link], nursery: trio.Nursery) -> None:
    one, other = ends
    nursery.start_soon(one.run)
    for number in range(100):
        one.post(Back(number))
    packet = await other.receive()
    assert packet is not None
    assert from_worker(packet) == [Back(number) for number in range(100)]


async def test_a_full_socket_holds_whoever_would_add_to_it(ends: tuple[Link, Link], nursery: trio.Nursery) -> None:
    one, other = ends
    nursery.start_soon(one.run)
    said = [Plan(bytes([number]) * 30_000, False) for number in range(50)]
    for message in said:
        one.post(message)
    await wait_all_tasks_blocked()
    went_on = trio.Event()

    async def accept() -> None:
        await one.roomy()
        went_on.set()

    nursery.start_soon(accept)
    await wait_all_tasks_blocked()
    assert not went_on.is_set()
    heard: list[object] = []
    while len(heard) < len(said):
        packet = await other.receive()
        assert packet is not None
        heard += from_coordinator(packet)
    assert heard == said
    await went_on.wait()
    await one.roomy()


async def test_who_is_gone_is_told_by_what_is_received(ends: tuple[Link, Link]) -> None:
    one, other = ends
    other.post(Back(1))
    assert other.flush()
    other.close()
    assert await one.receive() is not None
    assert await one.receive() is None
    one.post(Back(2))
    assert one.flush()
