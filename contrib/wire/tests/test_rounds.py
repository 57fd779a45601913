"""What is sent in the middle of a poller's round: it goes out at the end of the round, whoever sent it."""

from __future__ import annotations

import socket
from collections.abc import Iterator

import pytest
import trio

from penstock_wire.channel import Channel
from penstock_wire.poller import Poller, open_poller


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


class Round:
    """What a callback of a round does with a channel, and what had come at the other end by then."""

    def __init__(self, poller: Poller, near: socket.socket, far: socket.socket) -> None:
        self.channel, self.far = Channel(poller, near, Owner()), far
        self.meanwhile: list[bytes | None] = []
        self.over = trio.Event()

    def looks(self) -> None:
        self.meanwhile.append(came(self.far))


async def test_what_a_callback_sends_goes_out_together_at_the_end_of_the_round(
    ends: tuple[socket.socket, socket.socket],
) -> None:
    async with open_poller() as poller:
        it = Round(poller, *ends)

        def sends() -> None:
            it.channel.send(b"a")
            it.channel.send(b"b")
            it.looks()
            it.over.set()

        poller.soon(sends)
        await it.over.wait()
        assert (it.meanwhile, came(it.far)) == ([None], b"ab")
        it.channel.send(b"outside of a round")
        assert came(it.far) == b"outside of a round"
        it.channel.close()


async def test_what_is_large_waits_for_nobody(ends: tuple[socket.socket, socket.socket]) -> None:
    async with open_poller() as poller:
        it = Round(poller, *ends)

        def sends() -> None:
            it.channel.send(b"head")
            it.channel.send(b"x" * 20_000)
            it.looks()
            it.channel.send(b"tail")
            it.over.set()

        poller.soon(sends)
        await it.over.wait()
        assert it.meanwhile == [b"head" + b"x" * 20_000]
        assert came(it.far) == b"tail"
        it.channel.close()


async def test_the_last_is_said_behind_what_was_sent(ends: tuple[socket.socket, socket.socket]) -> None:
    async with open_poller() as poller:
        it = Round(poller, *ends)

        def sends() -> None:
            it.channel.send(b"all")
            it.channel.send_eof()
            it.over.set()

        poller.soon(sends)
        await it.over.wait()
        assert (came(it.far), came(it.far)) == (b"all", b"")
        it.channel.close()


async def test_of_a_channel_that_is_closed_in_the_round_nothing_goes_out(
    ends: tuple[socket.socket, socket.socket],
) -> None:
    async with open_poller() as poller:
        it = Round(poller, *ends)

        def sends() -> None:
            it.channel.send(b"never mind")
            it.channel.close()
            it.over.set()

        poller.soon(sends)
        await it.over.wait()
        assert came(it.far) == b""


async def test_what_is_sent_while_others_go_out_goes_out_too(ends: tuple[socket.socket, socket.socket]) -> None:
    """Whoever is told that all has gone out may send at once."""
    async with open_poller() as poller:
        it = Round(poller, *ends)

        class Sender:
            def flush(self) -> None:
                it.channel.send(b"after that")

        def sends() -> None:
            assert poller.collects(Sender())
            it.over.set()

        poller.soon(sends)
        await it.over.wait()
        assert came(it.far) == b"after that"
        it.channel.close()
