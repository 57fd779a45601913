"""A gateway of several processes under load, while its processes are killed and its clients leave.

Not among the ordinary tests, since it takes minutes: `tox -e gateway` makes as many kills as `PENSTOCK_GATEWAY` says.
"""

from __future__ import annotations

import os
import signal
import sys
from collections import Counter
from contextlib import suppress
from functools import partial
from pathlib import Path
from random import Random

import pytest
import trio

from penstock_gateway import ClientRequest
from penstock_gateway.testing import ANSWER, CHAT, Client, Provider, Reply, whole
from penstock_gateway.testing_processes import Served, open_served, stays
from penstock_wire import WireError

ROUNDS = int(os.environ.get("PENSTOCK_GATEWAY", "0"))
CAP, CLIENTS, LEAVERS = 16, 48, 1000
IN_FLIGHT = 'penstock_in_flight{model="acme/acme-small-2",domain="chat"}'
WAITING = 'penstock_waiting{model="acme/acme-small-2",domain="chat"}'

pytestmark = [
    pytest.mark.loopback,
    pytest.mark.skipif(sys.platform != "linux", reason="only Linux has several workers"),
    pytest.mark.skipif(not ROUNDS, reason="takes minutes: tox -e gateway"),
]


def slow(random: Random) -> Reply:
    async def reply(provider: Provider, stream: trio.SocketStream, _: ClientRequest) -> None:
        if await stays(stream, partial(trio.sleep, random.uniform(0.005, 0.05))):
            provider.is_done_with(stream)
            await stream.send_all(whole(ANSWER))

    return reply


async def connected(served: Served) -> Client:
    while True:
        with suppress(OSError):
            return await served.client()
        await trio.sleep(0.01)


async def settled(served: Served) -> dict[str, float]:
    """The figures once nothing is under way any more."""
    while True:
        with suppress(OSError, WireError, trio.BrokenResourceError):
            figures = await served.figures()
            if not figures.get(IN_FLIGHT, 0) and not figures.get(WAITING, 0) and not served.provider.out:
                return figures
        await trio.sleep(0.05)


async def test_whoever_is_killed_no_lease_is_lost_and_never_more_leased_than_the_cap(tmp_path: Path) -> None:
    random, outcomes, kills = Random(14), Counter[object](), Counter[str]()
    async with open_served(tmp_path) as served:
        served.provider.reply = slow(random)
        served.describe("orphan_seconds = 2.0", cap=CAP, workers=3)
        await served.begin()

        async def call_on() -> None:
            while True:
                client = await connected(served)
                with suppress(WireError, OSError, trio.BrokenResourceError, trio.ClosedResourceError):
                    for _ in range(20):
                        outcomes[(await client.ask(CHAT))[0]] += 1
                await client.stream.aclose()

        async with trio.open_nursery() as nursery:
            for _ in range(CLIENTS):
                nursery.start_soon(call_on)
            for number in range(ROUNDS):
                await trio.sleep(random.uniform(0.5, 2.0))
                while not (children := served.children()):  # all have ended, and are being started
                    await trio.sleep(random.uniform(0.5, 2.0))
                which = 0 if number % 4 == 3 else random.randrange(len(children))
                kills["the first child" if which == 0 else "another"] += 1
                with suppress(ProcessLookupError):
                    os.kill(children[which], signal.SIGKILL)
            await trio.sleep(1.0)
            nursery.cancel_scope.cancel()
        await settled(served)
        for worker in (1, 2, 3):
            assert (await (await served.client(worker)).ask(CHAT))[0] == 200
        most = served.provider.most_out
        served.process.send_signal(signal.SIGTERM)
        assert await served.process.wait() == 0
    print(f"{outcomes}, {kills}, most at the provider {most} of {CAP}")
    assert outcomes[200] > 10 * ROUNDS
    assert set(outcomes) <= {200, 502, 503}
    assert most == CAP


async def test_a_thousand_clients_that_leave_at_random_moments_leave_nothing_behind(tmp_path: Path) -> None:
    random = Random(15)
    async with open_served(tmp_path) as served:
        served.provider.reply = slow(random)
        served.describe(cap=CAP)
        await served.begin()
        limit = trio.CapacityLimiter(64)

        async def leave() -> None:
            async with limit:
                client = await served.client()
                with trio.move_on_after(random.uniform(0.0, 0.3)), suppress(trio.BrokenResourceError, WireError):
                    await client.ask(CHAT)
                client.stream.socket.close()

        async with trio.open_nursery() as nursery:
            for _ in range(LEAVERS):
                nursery.start_soon(leave)
        figures = await settled(served)
        most = served.provider.most_out
        print(
            f"most at the provider {most} of {CAP}",
            {name: value for name, value in figures.items() if "calls_total" in name},
        )
        assert (await (await served.client()).ask(CHAT))[0] == 200
    assert most == CAP
