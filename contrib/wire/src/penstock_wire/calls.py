"""Calls that call back, for shells in which a call is no task of its own: the client of one base URL on a `Poller`.

    connection, idle or new → the request's bytes → `on_answer`, whenever something of the answer has come → idle again

The rules are those of `WireClient`: a call that is cancelled before its answer has ended closes its connection, and
nothing is sent twice, but what the other side has surely never got: of a connection that was kept, and that it closed
in the same moment.
"""

from __future__ import annotations

import ssl
from collections.abc import Callable
from math import inf
from typing import Final, Protocol

import trio

from penstock_wire.answer import AnswerParser
from penstock_wire.channel import Channel
from penstock_wire.connection import Origin
from penstock_wire.errors import CannotConnect, ConnectionLost, WireError
from penstock_wire.given import check_client
from penstock_wire.idle import IdleConnections
from penstock_wire.poller import Poller
from penstock_wire.request import RequestHead
from penstock_wire.target import Target, tls_context

__all__ = ["CallReceiver", "CallsClient", "PolledCall"]

_FAULT: Final = "a fault of the program's own"


class CallReceiver(Protocol):
    """Whoever makes a call. It may cancel it at any time."""

    def on_answer(self, answer: AnswerParser, now: float) -> None:
        """More of the answer is there, `now`: its head, pieces of its body, its end, or all of it. Behind `done`
        nothing comes, and the connection is free for the next call: whoever wants of it what it is keeps that.
        """

    def on_lost(self, error: WireError) -> None:
        """The call has failed; nothing more comes."""


class CallsClient:
    """A client of a target, with the parameters of `WireClient`. To be closed in the end. Targets know of no loop: they
    may be made before, and for several clients.
    """

    def __init__(
        self,
        poller: Poller,
        target: Target,
        *,
        tls: ssl.SSLContext | None = None,
        keep_alive: float = 30.0,
        most_idle: int = 1000,
        connect_timeout: float = 30.0,
    ) -> None:
        if not isinstance(target, Target):
            raise ValueError(f"target must be a Target, as in Target(base_url), not {type(target).__name__}")
        check_client(tls, keep_alive, most_idle, connect_timeout)
        self.head: Callable[[str, str], RequestHead] = target.head
        """The head of calls with a method to a path, made once for all of them; a `ValueError` for what is none."""
        self._origin = Origin(target.host, target.port, (tls or tls_context()) if target.secure else None)
        self._poller = poller
        self.now = poller.now
        self._idle: IdleConnections[_Connection] = IdleConnections(most_idle, keep_alive)
        self.connect_timeout = connect_timeout
        """Of connections that come later."""
        self._old = poller.moment(self._expire)

    def call(self, request: bytes, receiver: CallReceiver, now: float) -> PolledCall:
        """A call that is out with these bytes, made by a `head`, `now`. Its receiver is called later, never from in
        here.
        """
        call = PolledCall(receiver)
        connection = self._kept(now)
        if connection is None:
            call.connecting = self._poller.start(self._connect(call, request))
        else:
            connection.send(call, request, kept=True)
        return call

    def close(self) -> None:
        """Close all connections that no call uses."""
        self._old.drop()
        for connection in self._idle.clear():
            connection.channel.close()

    def _kept(self, now: float) -> _Connection | None:
        while (kept := self._idle.take(now)) is not None:
            if not kept.channel.closed and kept.channel.quiet:
                return kept
            kept.channel.close()
        return None

    def again(self, call: PolledCall, request: bytes) -> None:
        """Make a call by a new connection, of which the one that was kept has surely taken nothing."""
        call.channel = None
        call.connecting = self._poller.start(self._connect(call, request))

    async def _connect(self, call: PolledCall, request: bytes) -> None:
        try:
            with trio.fail_after(self.connect_timeout):
                sock, secured = await self._origin.open_socket()
        except trio.TooSlowError:
            where = f"{self._origin.host}:{self._origin.port}"
            call.lost(CannotConnect(f"no connection to {where} within {self.connect_timeout:g} s"))
        except CannotConnect as error:
            call.lost(error)
        else:
            connection = _Connection(self)
            connection.channel = Channel(self._poller, sock, connection, secured, hears_out=True)
            connection.send(call, request, kept=False)

    def keep(self, connection: _Connection, now: float) -> None:
        """Keep a connection whose call has ended for the next."""
        for old in self._idle.put(connection, now):
            old.channel.close()
        if self._old.at == inf:
            self._old.set(self._idle.next)

    def _expire(self) -> None:
        for old in self._idle.expired(self._poller.now()):
            old.channel.close()
        self._old.set(self._idle.next)


class PolledCall:
    """A call that is out, until its answer is `done`, it is lost, or it is cancelled."""

    __slots__ = ("channel", "connecting", "receiver")

    def __init__(self, receiver: CallReceiver) -> None:
        self.receiver: CallReceiver | None = receiver
        self.channel: Channel | None = None
        self.connecting: trio.CancelScope | None = None

    def cancel(self) -> None:
        """End it; nobody is called any more. Without effect on a call that has ended."""
        self.receiver = None
        if self.connecting is not None:
            self.connecting.cancel()
        if self.channel is not None:
            self.channel.close()
            self.channel = None

    def pause(self) -> None:
        """Read no further, until `resume`: what comes fills what lies between, and then the other side feels it."""
        if self.channel is not None:
            self.channel.pause()

    def resume(self) -> None:
        """Read on."""
        if self.channel is not None:
            self.channel.resume()

    def lost(self, error: WireError) -> None:
        """Tell that it has failed."""
        receiver = self.receiver
        self.cancel()
        if receiver is not None:
            receiver.on_lost(error)


class _Connection:
    """A connection, and the call that uses it: `None` while nobody does."""

    __slots__ = ("_answer", "_before", "_call", "_client", "_unanswered", "channel")

    channel: Channel

    def __init__(self, client: CallsClient) -> None:
        self._client = client
        self._call: PolledCall | None = None
        self._answer = AnswerParser()
        self._before = 0
        """Bytes that had been sent before the call."""
        self._unanswered: bytes | None = None
        """The request, as long as it may be sent once more by another connection."""

    def send(self, call: PolledCall, request: bytes, *, kept: bool) -> None:
        if call.receiver is None:  # given up meanwhile
            self.channel.close()
            return
        call.connecting, call.channel, self._call = None, self.channel, call
        self._answer.begin()
        self._before, self._unanswered = self.channel.sent, request if kept else None
        self.channel.send(request)

    def received(self, data: bytes) -> None:
        call = self._call
        if call is None:  # closed while nobody used it, or something came unasked
            self.channel.close()
            return
        answer, request, now = self._answer, self._unanswered, self._client.now()
        self._unanswered = None
        if request is not None and not data and self.channel.took_nothing_since(self._before):
            self._call = None
            self.channel.close()
            self._client.again(call, request)
            return
        try:
            if data:
                answer.feed(data)
            elif self.channel.error is None:
                answer.feed_eof()
            else:
                raise ConnectionLost(f"the connection broke before the answer was there: {self.channel.error}")
        except WireError as error:
            if answer.pending and call.receiver is not None:  # what came before is passed on, in how many reads it came
                call.receiver.on_answer(answer, now)
            call.lost(error)
            return
        receiver = call.receiver
        if answer.done:
            self._call = call.channel = call.receiver = None
            if answer.reusable and not self.channel.pending:  # it may be answered before all of it was sent
                self._client.keep(self, now)
            else:
                self.channel.close()
        if receiver is not None and (answer.status or answer.done):
            receiver.on_answer(answer, now)

    def went_out(self) -> None:
        pass

    def failed(self) -> None:
        call, self._call = self._call, None
        if call is not None:
            call.lost(ConnectionLost(_FAULT))

    def let_go(self) -> None:
        self._answer.close()
