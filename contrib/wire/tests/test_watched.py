"""What is told of the sockets of a poller: by an epoll, and by whatever there is where there is none."""

from __future__ import annotations

import socket
import struct
import sys
from collections.abc import Callable, Iterator
from selectors import EVENT_READ, EVENT_WRITE
from typing import Protocol

import pytest

from penstock_wire import Polled
from penstock_wire.polled import EVENT_LOSS
from penstock_wire.selected import Selected

KINDS: list[Callable[[], Sockets]] = [Selected]
if sys.platform == "linux":
    from penstock_wire.epoll import Epoll

    KINDS.append(Epoll)


class Sockets(Protocol):
    """As both are."""

    fileno: int

    def watch(self, sock: socket.socket, polled: Polled, events: int, before: int) -> None: ...

    def ready(self) -> list[tuple[Polled, int]]: ...

    def close(self) -> None: ...


class Owner:
    """Whose a socket is."""

    def ready(self, events: int) -> None: ...

    def failed(self) -> None: ...


@pytest.fixture(params=KINDS)
def sockets(request: pytest.FixtureRequest) -> Iterator[Sockets]:
    made: Sockets = request.param()
    yield made
    made.close()


def pair() -> tuple[socket.socket, socket.socket]:
    """Two ends of a connection."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        near = socket.create_connection(server.getsockname())
        return near, server.accept()[0]


@pytest.mark.loopback
def test_what_is_ready_is_told_to_whom_it_is_of_and_only_what_was_asked(sockets: Sockets) -> None:
    owner = Owner()
    near, far = pair()
    with near, far:
        sockets.watch(near, owner, EVENT_READ, 0)
        assert sockets.ready() == []
        far.sendall(b"x")
        assert sockets.ready() == [(owner, EVENT_READ)]
        sockets.watch(near, owner, EVENT_READ | EVENT_WRITE, EVENT_READ)
        assert sockets.ready() == [(owner, EVENT_READ | EVENT_WRITE)]
        sockets.watch(near, owner, EVENT_WRITE, EVENT_READ | EVENT_WRITE)
        assert sockets.ready() == [(owner, EVENT_WRITE)]
        sockets.watch(near, owner, 0, EVENT_WRITE)
        assert sockets.ready() == []


@pytest.mark.loopback
@pytest.mark.parametrize("asked", [EVENT_READ, EVENT_WRITE, EVENT_READ | EVENT_WRITE])
def test_a_connection_that_broke_is_told_to_whoever_reads_or_writes(sockets: Sockets, asked: int) -> None:
    owner = Owner()
    near, far = pair()
    with near:
        sockets.watch(near, owner, asked, 0)
        far.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        far.close()
        assert sockets.ready() == [(owner, asked)]


@pytest.mark.loopback
def test_a_number_that_another_socket_gets_is_of_that_one(sockets: Sockets) -> None:
    first, second = Owner(), Owner()
    near, far = pair()
    number = near.fileno()
    sockets.watch(near, first, EVENT_READ, 0)
    sockets.watch(near, first, 0, EVENT_READ)
    near.close()
    far.close()
    near, far = pair()
    with near, far:
        assert number in (near.fileno(), far.fileno())
        mine, other = (near, far) if near.fileno() == number else (far, near)
        sockets.watch(mine, second, EVENT_READ, 0)
        other.sendall(b"x")
        assert sockets.ready() == [(second, EVENT_READ)]


@pytest.mark.loopback
def test_that_it_broke_is_told_also_where_it_is_neither_read_nor_written_if_that_is_asked_for(
    sockets: Sockets,
) -> None:
    owner = Owner()
    near, far = pair()
    with near:
        sockets.watch(near, owner, EVENT_LOSS, 0)
        far.sendall(b"x")
        assert sockets.ready() == []
        sockets.watch(near, owner, EVENT_WRITE | EVENT_LOSS, EVENT_LOSS)
        assert sockets.ready() == [(owner, EVENT_WRITE)]
        sockets.watch(near, owner, EVENT_LOSS, EVENT_WRITE | EVENT_LOSS)
        far.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        far.close()
        assert sockets.ready() == ([] if isinstance(sockets, Selected) else [(owner, EVENT_LOSS)])
        sockets.watch(near, owner, 0, EVENT_LOSS)
        assert sockets.ready() == []
