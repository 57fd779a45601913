"""What is sent in the middle of a poller's round: it goes out at the end of the round, whoever sent it."""

from __future__ import annotations

import socket
from collections.abc import Callable, Iterator
from functools import partial

import pytest
import trio

from penstock_wire import Poller, open_poller
from penstock_wire.channel import Channel


class Owner:
    """Whose a channel is."""

    def received(self, data: bytes) -> None: ...

    def went_out(self) -> None: ...

    def failed(self) -> None: ...

    def let_go(self) -> None: ...


@pytest.fixture
def ends() -> Iterator[tuple[socket.socket, socket.socket]]:
    """Two sockets that are connected, and do not block."""
    near, far = socket.socketpair()
    near.setblocking(False)
    far.setblocking(False)
    with near, far:
        yield near, far


def came(far: socket.socket) -> bytes | None:
    """What has come; none: that there is no more; `None`: nothing."""
    try:
        return far.recv(1 << 20)
    except BlockingIOError:
        return None


async def in_a_round(poller: Poller, *steps: Callable[[], object]) -> None:
    """Take these steps in a round of the poller, one after the other, and wait for its end."""
    over = trio.Event()

    def taken() -> None:
        for step in steps:
            step()
        over.set()

    poller.soon(taken)
    await over.wait()


async def test_what_a_callback_sends_goes_out_together_at_the_end_of_the_round(
    ends: tuple[socket.socket, socket.socket],
) -> None:
    near, far = ends
    meanwhile: list[bytes | None] = []
    async with open_poller() as poller:
        channel = Channel(poller, near, Owner())
        await in_a_round(
            poller, lambda: channel.send(b"a"), lambda: channel.send(b"b"), lambda: meanwhile.append(came(far))
        )
        assert (meanwhile, came(far)) == ([None], b"ab")
        channel.send(b"outside of a round")
        assert came(far) == b"outside of a round"
        channel.close()


async def test_what_is_large_waits_for_nobody(ends: tuple[socket.socket, socket.socket]) -> None:
    near, far = ends
    meanwhile: list[bytes | None] = []
    sent = b"head", b"x" * 20_000, b"tail"
    async with open_poller() as poller:
        channel = Channel(poller, near, Owner())
        steps = [partial(channel.send, data) for data in sent]
        await in_a_round(poller, *steps[:2], lambda: meanwhile.append(came(far)), steps[2])
        assert (meanwhile, came(far)) == ([sent[0] + sent[1]], sent[2])
        channel.close()


async def test_the_last_is_said_behind_what_was_sent(ends: tuple[socket.socket, socket.socket]) -> None:
    near, far = ends
    async with open_poller() as poller:
        channel = Channel(poller, near, Owner())
        await in_a_round(poller, lambda: channel.send(b"all"), channel.send_eof)
        assert (came(far), came(far)) == (b"all", b"")
        channel.close()


async def test_of_a_channel_that_is_closed_in_the_round_nothing_goes_out(
    ends: tuple[socket.socket, socket.socket],
) -> None:
    near, far = ends
    async with open_poller() as poller:
        channel = Channel(poller, near, Owner())
        await in_a_round(poller, lambda: channel.send(b"never mind"), channel.close)
        assert came(far) == b""


async def test_what_is_sent_while_others_go_out_goes_out_too(ends: tuple[socket.socket, socket.socket]) -> None:
    """Whoever is told that all has gone out may send at once."""
    near, far = ends
    async with open_poller() as poller:
        channel = Channel(poller, near, Owner())

        class Sender:
            def flush(self) -> None:
                channel.send(b"after that")

        await in_a_round(poller, lambda: poller.collects(Sender()))
        assert came(far) == b"after that"
        channel.close()
