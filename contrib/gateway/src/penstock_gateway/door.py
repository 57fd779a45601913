"""Where the clients of a gateway come in, and where they are waited for at the end.

Where as many are connected as may be, whoever comes is let in for the client that has been idle longest. Where none is
idle, it waits, as all do behind it in the listening socket, and each answer is the last of its connection until it is
in: nobody is refused, and who keeps a connection that he does not use keeps nobody out.
"""

from __future__ import annotations

import heapq
import logging
import socket
from collections.abc import Sequence
from math import inf
from typing import Final

import trio

from penstock import own_shortage
from penstock_gateway.accepting import TOLD_EVERY, PatientListener
from penstock_gateway.connection import ClientConnection
from penstock_gateway.front import Front
from penstock_gateway.loading import Serving
from penstock_gateway.open_files import files_for_calls, most_clients, most_files
from penstock_wire import Poller

__all__ = ["Door", "clients_at_once"]

_log: Final = logging.getLogger("penstock.gateway")
IDLE: Final = 1.0
"""Seconds that a client has for its first request, or its next, before another one may be let in for it."""
AT_ONCE: Final = 64
"""Idle clients that are found by one look at all."""


def clients_at_once(serving: Serving) -> int:
    """How many clients may be connected to one process that serves so."""
    return most_clients(
        serving.gateway.most_connections, most_files(), files_for_calls(serving.config.providers.values())
    )


class Door:
    """The clients of one process."""

    def __init__(self, front: Front, poller: Poller) -> None:
        self._front = front
        self._poller = poller
        self._connections: set[ClientConnection] = set()
        self._idle: list[tuple[tuple[bool, float], ClientConnection]] = []
        """Those that were idle at the last look, the oldest last."""
        self._accepting = trio.CancelScope()
        self._empty = trio.Event()
        self._left = trio.Event()
        """Set when somebody leaves, or more may be connected."""
        self._waiting = 0
        self._told_at = -inf
        self._known: tuple[Serving, int] | None = None
        front.on_use = self._look_again

    @property
    def connections(self) -> int:
        """How many clients are connected."""
        return len(self._connections)

    @property
    def most(self) -> int:
        """How many may be, by what is served now."""
        serving = self._front.serving
        if self._known is None or self._known[0] is not serving:
            self._known = serving, clients_at_once(serving)
        return self._known[1]

    async def accept(self, listeners: Sequence[trio.abc.Listener[trio.SocketStream]]) -> None:
        """Serve whoever connects, until `drain`."""
        with self._accepting:
            async with trio.open_nursery() as nursery:
                for each in listeners:
                    nursery.start_soon(self._let_in, PatientListener(each))

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

    async def _let_in(self, listener: PatientListener) -> None:
        async with listener:
            while True:
                stream = await listener.accept()
                try:
                    await self._room()
                except trio.Cancelled:
                    stream.socket.close()
                    raise
                self._serve(stream)

    async def _room(self) -> None:
        """Wait until one more may be connected."""
        while len(self._connections) >= self.most:
            now = trio.current_time()
            self._tell(self._why())
            if (again := self._end_idle(now)) is None:
                continue
            self._waiting += 1
            self._front.crowded = True
            try:
                with trio.move_on_at(again):
                    await self._left.wait()
            finally:
                self._waiting -= 1
                self._front.crowded = self._waiting > 0

    def _end_idle(self, now: float) -> float | None:
        """End the client that has been idle longest. Where none has been for long enough, when one will have been."""
        if self._end_found():
            return None
        found = [(since, each) for each in self._connections if (since := each.idle_since) is not None]
        old = [each for each in found if each[0][1] + IDLE <= now]
        if not old:
            return min((since[1] + IDLE for since, _ in found), default=inf)
        self._idle = heapq.nsmallest(AT_ONCE, old, key=lambda each: each[0])[::-1]
        return None if self._end_found() else now + IDLE

    def _end_found(self) -> bool:
        while self._idle:
            since, connection = self._idle.pop()
            if connection.end_idle(since):
                return True
        return False

    def _why(self) -> str:
        by_files = self.most < self._front.serving.gateway.most_connections
        what = "files are kept for calls: raise `ulimit -n`" if by_files else "raise most_connections, if there is need"
        return f"{self.most} clients are connected, as many as may be; idle ones go, others wait; {what}"

    def _tell(self, line: str) -> None:
        now = trio.current_time()
        if now - self._told_at >= TOLD_EVERY:
            self._told_at = now
            _log.warning("%s", line)

    def _serve(self, stream: trio.SocketStream) -> None:
        sock = socket.socket(fileno=stream.socket.detach())
        try:
            connection = ClientConnection(self._poller, sock, self._front, self._front.serving.gateway, self._ended)
        except OSError as error:  # of the system's own, which has no room to watch it
            sock.close()
            self._tell(f"a client could not be served: {own_shortage(error) or error.strerror}")
            return
        self._connections.add(connection)
        connection.begin()

    def _ended(self, connection: ClientConnection) -> None:
        self._connections.discard(connection)
        self._look_again()
        if self._front.draining and not self._connections:
            self._empty.set()

    def _look_again(self) -> None:
        """There may be room now for who waits."""
        if self._waiting:
            self._left.set()
            self._left = trio.Event()
