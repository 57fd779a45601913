"""One connection under trio: bytes out, bytes in, and whether the other side has closed it meanwhile."""

from __future__ import annotations

import select
import socket
import ssl
import sys
from contextlib import suppress
from typing import Final

import attrs
import trio

from penstock_wire.errors import CannotConnect, ConnectionLost
from penstock_wire.secured import Secured

__all__ = ["Connection", "Origin"]

ONE_READ: Final = 64 * 1024


@attrs.frozen
class Origin:
    """Where calls go: `tls` is the context by which the other side is known, `None` without TLS."""

    host: str
    port: int
    tls: ssl.SSLContext | None = None

    async def connect(self) -> Connection:
        """A connection. Raises `CannotConnect`, with what the system or the TLS library said as its cause."""
        stream = await self._tcp()
        if self.tls is None:
            return Connection(stream, stream)
        secured = trio.SSLStream(stream, self.tls, server_hostname=self.host, https_compatible=True)
        try:
            await secured.do_handshake()
        except (trio.BrokenResourceError, OSError) as error:
            await trio.aclose_forcefully(stream)
            raise self._no_tls(error) from (error.__cause__ or error)
        except BaseException:
            await trio.aclose_forcefully(stream)
            raise
        return Connection(secured, stream)

    async def open_socket(self) -> tuple[socket.socket, Secured | None]:
        """A socket that is connected and does not block, and its TLS, agreed on. Raises as `connect`."""
        stream = await self._tcp()
        secured = None if self.tls is None else Secured(self.tls, self.host)
        try:
            if secured is not None:
                await self._agree(stream, secured)
            return socket.socket(fileno=stream.socket.detach()), secured
        except BaseException:
            stream.socket.close()
            raise

    async def _agree(self, stream: trio.SocketStream, secured: Secured) -> None:
        data: bytes | None = None
        try:
            while not secured.agree(data):
                await stream.send_all(secured.to_send())
                data = bytes(await stream.receive_some(ONE_READ))
            await stream.send_all(secured.to_send())
        except (trio.BrokenResourceError, OSError) as error:
            raise self._no_tls(error) from (error.__cause__ or error)

    def _no_tls(self, error: Exception) -> CannotConnect:
        return CannotConnect(f"no TLS with {self.host}:{self.port}: {_cause(error)}")

    async def _tcp(self) -> trio.SocketStream:
        try:
            stream = await trio.open_tcp_stream(self.host, self.port)
        except OSError as error:
            raise CannotConnect(f"cannot connect to {self.host}:{self.port}: {_said(error)}") from error
        stream.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        return stream


def _said(error: OSError) -> str:
    """What the system said; of several addresses what it said of the first."""
    cause = error.__cause__
    while isinstance(cause, BaseExceptionGroup):
        cause = cause.exceptions[0]
    return str(cause if isinstance(cause, OSError) else error)


class Connection:
    """An open connection: `stream`, over the socket of `raw`."""

    __slots__ = ("_socket", "_stream")

    def __init__(self, stream: trio.abc.Stream, raw: trio.SocketStream) -> None:
        self._stream = stream
        self._socket = raw.socket

    async def send(self, data: bytes) -> None:
        """Send all of it. Raises `ConnectionLost`."""
        try:
            await self._stream.send_all(data)
        except (trio.BrokenResourceError, trio.ClosedResourceError, OSError) as error:
            raise ConnectionLost(f"the connection broke while the call was sent: {_cause(error)}") from error

    async def receive(self) -> bytes:
        """The next bytes; none when the other side has closed. Raises `ConnectionLost`."""
        try:
            return bytes(await self._stream.receive_some(ONE_READ))
        except (trio.BrokenResourceError, trio.ClosedResourceError, OSError) as error:
            raise ConnectionLost(f"the connection broke before the answer was there: {_cause(error)}") from error

    @property
    def usable(self) -> bool:
        """Whether another call may go out: the other side has neither closed it nor said anything unasked."""
        return not _readable(self._socket.fileno())

    def close(self) -> None:
        """Close it at once, without a farewell. Waits for nothing."""
        with suppress(OSError):
            self._socket.close()


def _readable(number: int) -> bool:
    if number < 0:
        return True
    if sys.platform == "win32":
        return bool(select.select([number], [], [], 0)[0])
    poll = select.poll()
    poll.register(number, select.POLLIN)
    return bool(poll.poll(0))


def _cause(error: BaseException) -> object:
    return error.__cause__ or error
