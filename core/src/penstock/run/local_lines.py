"""Lines over a local socket, to and from a process of the same user."""

from __future__ import annotations

import os
import socket
import struct

import trio

__all__ = ["LocalLines", "same_user"]

_CREDENTIALS = struct.Struct("3i")
"""Process, user, group."""


def same_user(connection: trio.socket.SocketType) -> bool:
    """Whether a process of this user's is at the other end. Where the system does not say, the folder has to do."""
    if not hasattr(socket, "SO_PEERCRED"):
        return True
    credentials = connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _CREDENTIALS.size)
    _, user, _ = _CREDENTIALS.unpack(credentials)
    return bool(user == os.geteuid())


class LocalLines:
    """What comes in by a connection, line by line, and what goes out. Closes the connection at its end."""

    def __init__(self, connection: trio.socket.SocketType) -> None:
        self._stream = trio.SocketStream(connection)
        self._left = b""

    async def __aenter__(self) -> LocalLines:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._stream.aclose()

    async def receive(self, longest: int) -> bytes:
        """The next line, with its end. What is more than `longest` bytes is cut off there and one byte on; where the
        other side ends without an end of line, that is all there is of it.
        """
        line = bytearray()
        more = self._left
        while True:
            end = more.find(b"\n") + 1
            line += more[:end] if end else more
            if end or len(line) > longest:
                self._left = more[end:] if end else b""
                return bytes(line[: longest + 1])
            more = bytes(await self._stream.receive_some(65536))
            if not more:
                self._left = b""
                return bytes(line)

    async def send(self, line: bytes) -> None:
        """A whole line goes out. Raises `trio.BrokenResourceError` if the other side has gone."""
        await self._stream.send_all(line)
