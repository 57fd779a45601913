"""One end of the socket between a worker and the coordinator, under trio.

What is said in one turn goes out in one packet. Where the socket is full, it waits here, and `roomy` holds up whoever
would add to it: a worker takes no connections meanwhile.
"""

from __future__ import annotations

import socket
from collections import deque

import trio

from penstock_gateway.messages import LARGEST_PACKET, FromCoordinator, FromWorker, packed, packets

__all__ = ["Link"]


class Link:
    """One end. `run` must be running for anything to go out by itself."""

    def __init__(self, connected: socket.socket) -> None:
        connected.setblocking(False)
        self._raw = connected
        self._socket = trio.socket.from_stdlib_socket(connected)
        self._messages: list[bytes] = []
        self._packets: deque[bytes] = deque()
        self._posted = trio.Event()
        self._room: trio.Event | None = None
        # One for all packets: of 64 KiB each time, most of it given back, all pages would be written to that are free.
        self._received = memoryview(bytearray(LARGEST_PACKET))

    def post(self, message: FromWorker | FromCoordinator) -> None:
        """Say something, at the end of this turn or later. Waits for nothing."""
        self._messages.append(packed(message))
        self._posted.set()

    def flush(self) -> bool:
        """Whether all went out that was said."""
        while self._messages or self._packets:
            if not self._packets:
                self._packets.extend(packets(self._messages))
                self._messages.clear()
            try:
                self._raw.send(self._packets[0])
            except BlockingIOError:
                return False
            except OSError:  # nobody is there any more, which `receive` says too
                self._messages.clear()
                self._packets.clear()
                break
            self._packets.popleft()
        return True

    async def run(self) -> None:
        """Let go out what is said, until cancelled."""
        while True:
            await self._posted.wait()
            self._posted = trio.Event()
            if self.flush():
                continue
            self._room = trio.Event()
            while not self.flush():
                await trio.lowlevel.wait_writable(self._raw)
            self._room.set()
            self._room = None

    async def roomy(self) -> None:
        """Wait until what was said has found room."""
        if self._room is not None:
            await self._room.wait()

    async def receive(self) -> bytes | None:
        """The next packet; `None` when the other end is gone."""
        try:
            size = await self._socket.recv_into(self._received)
        except OSError:
            return None
        return bytes(self._received[:size]) or None

    def close(self) -> None:
        """The end: the other end finds that out."""
        self._socket.close()
