"""Where the clients of a gateway come in, and where they are waited for at the end."""

from __future__ import annotations

import socket
from collections.abc import Sequence

import trio

from penstock_gateway.accepting import PatientListener
from penstock_gateway.connection import ClientConnection
from penstock_gateway.front import Front
from penstock_gateway.refusal import Refusal
from penstock_wire import Poller

__all__ = ["Door"]


class Door:
    """The clients of one process."""

    def __init__(self, front: Front, poller: Poller) -> None:
        self._front = front
        self._poller = poller
        self._connections: set[ClientConnection] = set()
        self._accepting = trio.CancelScope()
        self._empty = trio.Event()

    @property
    def connections(self) -> int:
        """How many clients are connected."""
        return len(self._connections)

    async def accept(self, listeners: Sequence[trio.abc.Listener[trio.SocketStream]], nursery: trio.Nursery) -> None:
        """Serve whoever connects, until `drain`."""
        with self._accepting:
            patient = [PatientListener(each) for each in listeners]
            await trio.serve_listeners(self._serve, patient, handler_nursery=nursery)

    async def drain(self, seconds: float) -> None:
        """Take no new connections and requests, and wait until what is under way has ended, at most `seconds`."""
        self._front.draining = True
        self._accepting.cancel()
        for connection in tuple(self._connections):
            connection.stop_waiting()
        if self._connections:
            with trio.move_on_after(seconds):
                await self._empty.wait()

    def close(self) -> None:
        """End all connections at once, with the calls that are under way."""
        for connection in tuple(self._connections):
            connection.close()

    async def _serve(self, stream: trio.SocketStream) -> None:
        sock = socket.socket(fileno=stream.socket.detach())
        config = self._front.serving.gateway
        connection = ClientConnection(self._poller, sock, self._front, config, self._ended)
        self._connections.add(connection)
        if len(self._connections) > config.most_connections:
            connection.refuse(Refusal(503, "too_many_connections", "the gateway has as many clients as it takes", 1.0))
        else:
            connection.begin()

    def _ended(self, connection: ClientConnection) -> None:
        self._connections.discard(connection)
        if self._front.draining and not self._connections:
            self._empty.set()
