"""A connected socket without a task: bytes go out as far as they can, and what comes is told.

What is sent while the poller hands out goes out at the end of that, with what others have sent. What cannot go out then
is kept, and `went_out` tells when all of it has; whoever sends more meanwhile asks `pending` first, and holds back whom
it has the bytes from. `pause` reads no further until `resume`: then the other side feels it.
"""

from __future__ import annotations

import os
import select
import socket
import struct
from contextlib import suppress
from selectors import EVENT_READ, EVENT_WRITE
from typing import Final, Protocol

from penstock_wire.acknowledged import bytes_acknowledged
from penstock_wire.polled import EVENT_LOSS
from penstock_wire.poller import Poller
from penstock_wire.secured import Secured

__all__ = ["Channel", "Receiver"]

ONE_READ: Final = 64 * 1024
LARGE: Final = 16 * 1024
"""Bytes that wait for nobody: with them goes out what was sent before."""
_RESET: Final = struct.pack("ii", 1, 0)


class Receiver(Protocol):
    """Whose a channel is. Each may close it."""

    def received(self, data: bytes) -> None:
        """Bytes have come; none: the other side sends no more, or the connection broke. `error` of the channel says
        which.
        """

    def went_out(self) -> None:
        """All that was kept has gone out."""

    def failed(self) -> None:
        """A callback has raised; the channel is closed. Must not raise."""

    def let_go(self) -> None:
        """It was closed before, and nothing is told any more: what is still held can go. Must not raise."""


class Channel:
    """An open connection over a socket that is connected and does not block. `secured`: with TLS, agreed on by now.
    `hears_out`: where the other side takes no more, what it has said by then is read first; else that is the end.
    """

    __slots__ = (
        "_begun_at",
        "_events",
        "_glance",
        "_hears_out",
        "_out",
        "_paused",
        "_poller",
        "_ready",
        "_receiver",
        "_secured",
        "_socket",
        "_unsent",
        "_watches_loss",
        "closed",
        "error",
        "pending",
        "sent",
    )
    __deletable__ = ["_receiver"]  # noqa: RUF012 -- mypyc's word for what `_let_go` does

    def __init__(
        self,
        poller: Poller,
        sock: socket.socket,
        receiver: Receiver,
        secured: Secured | None = None,
        *,
        hears_out: bool = False,
    ) -> None:
        self.closed = False
        self.error: OSError | None = None
        """What it broke by."""
        self._poller = poller
        self._socket = sock
        self._receiver = receiver
        self._secured = secured
        self._hears_out = hears_out
        self._unsent: OSError | None = None
        """Why nothing more is sent."""
        self._ready = b""
        """What goes out at the end of the round."""
        self._out = bytearray()
        self.pending = 0
        """Bytes that could not go out."""
        self.sent = 0
        """Bytes that have gone out."""
        self._begun_at = bytes_acknowledged(sock)
        self._glance: select.poll | None = None
        self._paused = self._watches_loss = False
        self._events = 0
        self._watch()

    @property
    def quiet(self) -> bool:
        """Whether nothing waits to be read, not even that the other side has closed. For an open channel."""
        # Asked of the system by what raises nothing where there is nothing: an error costs more than all else in here.
        if self._glance is None:
            self._glance = select.poll()
            self._glance.register(self._socket, select.POLLIN)
        return not self._glance.poll(0)

    @property
    def taken(self) -> int:
        """Bytes that the other side has taken by now, as far as the system says; else those that have gone out."""
        now = None if self.closed else bytes_acknowledged(self._socket)
        return self.sent if now is None else now

    def took_nothing_since(self, sent: int) -> bool:
        """Whether the other side, which has closed, has surely got nothing that was sent after so many bytes: it closed
        in the same moment. Where the system does not say, and where it was reset, nothing is sure.
        """
        if self.sent == sent:
            return True
        now = None if self.error is not None or self._begun_at is None else bytes_acknowledged(self._socket)
        return now is not None and self._begun_at is not None and now - self._begun_at <= sent

    def send(self, data: bytes) -> None:
        """Send it, as far as that goes. A connection that broke is told by `received`, later."""
        if self.closed or self.error is not None or self._unsent is not None:
            return
        self._put(data if self._secured is None else self._secured.sealed(data))

    def _put(self, data: bytes) -> None:
        self._ready += data
        if len(self._ready) > LARGE or not self._poller.collects(self):
            self.flush()

    def flush(self) -> None:
        """Let go what was sent, as far as that goes."""
        data, self._ready = self._ready, b""
        if not data or self.closed or self.error is not None or self._unsent is not None:
            return
        if not self.pending:
            try:
                sent = self._socket.send(data)
            except BlockingIOError:
                sent = 0
            except OSError as error:
                self._broke(error)
                return
            self.sent += sent
            if sent == len(data):
                return
            self._out += memoryview(data)[sent:]
        else:
            self._out += data
        self.pending = len(self._out)
        self._watch()

    def _forget_rest(self) -> None:
        self._out.clear()
        self.pending = 0

    def _broke(self, error: OSError) -> None:
        self._forget_rest()
        if self._hears_out and isinstance(error, BrokenPipeError | ConnectionResetError):
            self._unsent = error.with_traceback(None)  # the end can be read, behind what came before it
            self._watch()
        else:
            self.error = error.with_traceback(None)  # else it holds whatever call was under way
            self._poller.soon(self._tell_end)

    def _tell_end(self) -> None:
        if not self.closed:
            self._receiver.received(b"")

    def pause(self) -> None:
        """Read no further."""
        if not self._paused:
            self._paused = True
            self._watch()

    def watch_loss(self) -> None:
        """Tell the end also where the connection breaks while it is not read. On Linux."""
        self._watches_loss = True
        self._watch()

    def _is_lost(self) -> None:
        self._watches_loss = False
        number = self._socket.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
        if number:
            self.error = OSError(number, os.strerror(number))
        self._forget_rest()
        self._watch()
        self._tell_end()

    def resume(self) -> None:
        """Read on."""
        if self._paused:
            self._paused = False
            self._watch()

    def send_eof(self) -> None:
        """Say that no more is sent. For a channel of which nothing is pending."""
        self.flush()
        with suppress(OSError):
            self._socket.shutdown(socket.SHUT_WR)

    def close(self, *, reset: bool = False) -> None:
        """Close it at once, without a farewell; what has not gone out does not. `reset`: so that the other side takes
        it for no end.
        """
        if not self.closed:
            self.closed = True
            self._poller.soon(self._let_go)
            self._watch()
            self._forget_rest()
            with suppress(OSError):
                if reset:
                    self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)
                self._socket.close()

    def _let_go(self) -> None:
        receiver = self._receiver
        del self._receiver  # they know each other, and both would stay until the collector of circles comes
        receiver.let_go()

    def _watch(self) -> None:
        wanted = 0
        if not self.closed:
            wanted = EVENT_WRITE if self.pending else 0
            if not self._paused:
                wanted |= EVENT_READ
            elif self._watches_loss:
                wanted |= EVENT_LOSS
        if wanted != self._events:
            before, self._events = self._events, wanted
            self._poller.watch(self._socket, self, wanted, before)

    # -- what the poller calls --

    def ready(self, events: int) -> None:
        """Something can be read or written, or the connection has broken."""
        if events & EVENT_LOSS and not self.closed:
            self._is_lost()
            return
        if events & EVENT_WRITE and not self.closed:
            self._write()
        if events & EVENT_READ and not self.closed and not self._paused and self.error is None:
            try:
                data = self._socket.recv(ONE_READ)
            except BlockingIOError:
                return
            except OSError as error:
                self.error, data = error, b""
            if not data and self._unsent is not None:
                self.error = self._unsent
            if self._secured is not None and self.error is None:
                self._open(data)
                return
            self._receiver.received(data)

    def _open(self, data: bytes) -> None:
        assert self._secured is not None
        try:
            plain, ended = self._secured.opened(data)
        except OSError as error:
            self.error, plain, ended = error, b"", True
        answer = self._secured.to_send()
        if answer:
            self._put(answer)
        if plain:
            self._receiver.received(plain)
        if ended and not self.closed:
            self._receiver.received(b"")

    def _write(self) -> None:
        try:
            sent = self._socket.send(self._out)
        except BlockingIOError:
            return
        except OSError as error:
            self._broke(error)
            return
        self.sent += sent
        del self._out[:sent]
        self.pending = len(self._out)
        if not self.pending:
            self._watch()
            self._receiver.went_out()

    def failed(self) -> None:
        """A callback has raised."""
        self.close()
        self._receiver.failed()
