"""The socket between the first process and the coordinator: which workers there are, reloads, and plans to be kept.

    first process                                   coordinator
    NEW_WORKER, its process, how many plans had     READY: it and all workers are at work
    been told when it was forked, and the           FAILED, and why: it cannot be started so
    coordinator's end of its socket
    RELOAD: read the file again                     RELOADED: it has, or has said why it does not take it
                                                    a plan, in pieces: what is served from now on
                                                    ALIVE, every few seconds: it does not hang

The first process runs no trio: it never waits here.
"""

from __future__ import annotations

import array
import socket
from typing import Final, NamedTuple

import msgspec
import trio

from penstock_gateway.messages import LARGEST_PACKET, Plan

__all__ = [
    "ALIVE", "BEAT", "FAILED", "NEW_WORKER", "PLAN", "READY", "RELOAD", "RELOADED", "Control", "Newcomer", "hand_over",
    "heard",
]  # fmt: skip

NEW_WORKER: Final = b"w"
RELOAD: Final = b"r"
RELOADED: Final = b"d"
READY: Final = b"y"
FAILED: Final = b"f"
PLAN: Final = b"p"
ALIVE: Final = b"a"
BEAT: Final = 5.0
"""Seconds between two words that the coordinator does not hang."""
_LONGEST: Final = 32
"""Bytes of what the first process says."""
_ONE_DESCRIPTOR: Final = array.array("i", [0]).itemsize


class Newcomer(NamedTuple):
    """A worker that has been started: the number of its process, how many plans had been told when it was forked, and
    the coordinator's end of its socket.
    """

    process: int
    forked_after: int
    connected: socket.socket


class Control:
    """The coordinator's end."""

    def __init__(self, connected: socket.socket) -> None:
        connected.setblocking(False)
        self._socket = trio.socket.from_stdlib_socket(connected)

    async def receive(self) -> tuple[bytes, Newcomer | None] | None:
        """What the first process says, and the worker that it hands over; `None` when it has ended."""
        try:
            data, ancillary, _, _ = await self._socket.recvmsg(_LONGEST, socket.CMSG_SPACE(_ONE_DESCRIPTOR))
        except OSError:
            return None
        if not data:
            return None
        for _, _, held in ancillary:
            descriptors = array.array("i")
            descriptors.frombytes(held[: len(held) - len(held) % _ONE_DESCRIPTOR])
            process, forked_after = data[1:].split()
            connected = socket.socket(fileno=descriptors[0])
            return data[:1], Newcomer(int(process), int(forked_after), connected)
        return data, None

    async def tell(self, what: bytes, more: bytes = b"") -> None:
        """Say something to the first process."""
        try:
            await self._socket.send(what + more)
        except OSError:
            return  # it has ended, which `receive` says too

    async def tell_life(self) -> None:
        """Say again and again that this process does not hang, until cancelled."""
        while True:
            await self.tell(ALIVE)
            await trio.sleep(BEAT)

    async def tell_plan(self, piece: Plan) -> None:
        """Let the first process keep what is served."""
        await self.tell(PLAN, msgspec.msgpack.encode(piece))


def hand_over(control: socket.socket, connected: socket.socket, process: int, number: int) -> bool:
    """Whether the coordinator has been given its end of the socket of a worker that was forked after so many plans. For
    the first process.
    """
    try:
        socket.send_fds(control, [NEW_WORKER, b"%d %d" % (process, number)], [connected.fileno()], socket.MSG_DONTWAIT)
    except OSError:
        return False
    return True


def heard(control: socket.socket) -> bytes | None:
    """What the coordinator has said next; `None`: nothing more so far. For the first process."""
    try:
        return control.recv(LARGEST_PACKET, socket.MSG_DONTWAIT) or None
    except OSError:
        return None
