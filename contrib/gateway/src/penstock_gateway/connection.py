"""One client's connection: bytes in, requests out, an answer to each in its order. No task of its own: it is called.

While a call is under way its client is listened to, so that one who leaves takes the call along: its place in line, or
its call to the provider; one who has only closed its own half of the connection is answered. A client that sends more
before it has its answer, or that does not take its answers, is read no further than `MOST_AHEAD`.
"""

from __future__ import annotations

import math
import socket
from collections.abc import Callable
from typing import Final, Protocol

from penstock_gateway.answer_writer import CONTINUE
from penstock_gateway.call import Call
from penstock_gateway.config import GatewayConfig
from penstock_gateway.exchange import Client
from penstock_gateway.refusal import Refusal
from penstock_gateway.refused import refused
from penstock_gateway.request_parser import ClientRequest, RequestParser
from penstock_wire import Channel, Poller

__all__ = ["Answering", "ClientConnection"]

LINGERING: Final = 1.0
"""Seconds."""
MOST_AHEAD: Final = 64 * 1024
"""Bytes behind a whole request that are read while another is answered. That much is taken so that the end of the
connection behind it is seen: a client that sends its next request early, and leaves, has left.
"""
AT_ONCE: Final = 16
"""Requests of one client that are answered before others have their turn."""


class Answering(Protocol):
    """Who answers requests: a front."""

    draining: bool
    """Whether no more are taken."""
    crowded: bool
    """Whether clients wait for a connection that others have."""

    def begin(self, request: ClientRequest, client: Client, /) -> Call | None:
        """Answer a request: the call that it becomes, `None` where it has been answered."""

    def check_head(self, request: ClientRequest, /) -> None:
        """Whether whoever sends a body may. Raises `Refusal`."""


class ClientConnection:
    """A connection of one client. `on_end` is called once, when it is closed."""

    def __init__(
        self,
        poller: Poller,
        sock: socket.socket,
        front: Answering,
        config: GatewayConfig,
        on_end: Callable[[ClientConnection], None],
    ) -> None:
        self._poller = poller
        self.now = poller.now
        self._front = front
        self._config = config
        self._on_end = on_end
        self._parser = RequestParser(config.largest_body)
        self.moment = poller.moment(self._late)
        """The time-out of what goes on now: while there is a call, that of the call."""
        self._call: Call | None = None
        self._begun = self._checked = self._continued = False
        """Of a request that comes: bytes of it are there, its head was looked at, its client was told to go on."""
        self._ending = False
        """No request is taken any more: the connection ends when what is kept has gone out."""
        self._lingers = self._ended = self._goes_on = self._half_closed = False
        self._taken = 0
        self._ahead = 0
        """Bytes that came behind a request that waits."""
        self._channel = Channel(poller, sock, self)
        self.send = self._channel.send
        """To send a part of its answer."""

    # -- what a gateway says --

    def begin(self) -> None:
        """Wait for the first request."""
        if self._front.draining:
            self.close()
        else:
            self._wait(self._config.keep_alive)

    def refuse(self, refusal: Refusal) -> None:
        """Answer by a refusal of what was no request, or is not to be listened to, and end."""
        head = self._parser.request if self._parser.in_body else None
        self._lingers = True
        self.send(refused(head, refusal, close=True))
        self._end()

    def stop_waiting(self) -> None:
        """No more requests are taken: where none has begun to come, the connection ends, behind the last answer."""
        if self._call is not None or self._parser.begun:
            return
        if self._channel.pending:
            self._ending = True
        else:
            self.close()

    def close(self, *, reset: bool = False) -> None:
        """End at once, with whatever is under way."""
        call, self._call = self._call, None
        self._channel.flush()
        self._channel.close(reset=reset)
        if not self._ended:
            self._ended = True
            self.moment.drop()
            self._on_end(self)
        if call is not None:
            call.left()

    # -- what a call says --

    @property
    def pending(self) -> int:
        """Bytes of its answer that the client has not taken."""
        return self._channel.pending

    def takes(self) -> bool:
        """Whether it has taken anything since it was last asked."""
        before, self._taken = self._taken, self._channel.taken
        return self._taken != before

    @property
    def stays(self) -> bool:
        """Whether it may ask again on this connection."""
        if self._half_closed and not self._parser.holds:
            return False
        return not (self._front.draining or self._front.crowded)

    @property
    def idle_since(self) -> tuple[bool, float] | None:
        """Since when nothing of it is under way, as a moment of trio's clock: nobody has its key, nor any answer of
        it; `True` before it: the head of a request has begun to come. `None`: something is.
        """
        parser = self._parser
        if self._call is not None or self._ending or self._goes_on or self._channel.pending or parser.in_body:
            return None
        config = self._config
        return parser.begun, self.moment.at - (config.request_timeout if parser.begun else config.keep_alive)

    def end_idle(self, since: tuple[bool, float]) -> bool:
        """Whether it could be ended, since it is idle since then, and nothing has come that is not read yet."""
        if self._ended or self.idle_since != since or not self._channel.quiet:
            return False
        self.close()
        return True

    def answered(self, *, reusable: bool) -> None:
        """Its answer has been sent, whole; `reusable`: another request may come."""
        going, self._call = self._call is not None, None
        self._ending = not reusable
        if going:  # it was not answered at once
            self._go_on()

    def broken(self, *, reset: bool) -> None:
        """Its answer cannot be ended: the client sees that by the end of the connection, or by its reset."""
        self._call = None
        self.close(reset=reset)

    # -- what the channel says --

    def received(self, data: bytes) -> None:
        """Bytes have come, or the client has left."""
        if not data:
            self._sends_no_more()
            return
        if self._ending:
            return
        try:  # noqa: SIM105 -- three calls of functions less, with each request
            self._parser.feed(data)
        except Refusal:  # told when its turn comes
            pass
        if self._call is None and not self._channel.pending and not self._goes_on:
            self._go_on()
        elif self._parser.holds:
            self._ahead += len(data)
            if self._ahead > MOST_AHEAD:
                self._channel.pause()

    def went_out(self) -> None:
        """The client has taken all that was kept for it."""
        if self._call is not None:
            self._call.took()
        else:
            self._go_on()

    def failed(self) -> None:
        """By a fault of ours."""
        self.close()

    def let_go(self) -> None:
        """It was closed before."""
        self._parser.close()

    # -- inside --

    def _go_on(self) -> None:
        """Answer the requests that are there, and wait for the next."""
        answered, self._goes_on = 0, False
        while self._call is None and not self._channel.closed:
            if self._channel.pending:
                self.takes()
                self._wait(self._config.idle_timeout)
                return
            if self._ending:
                self._end()
                return
            if answered == AT_ONCE:
                self._goes_on = True
                self._poller.soon(self._go_on)
                return
            answered += 1
            try:
                request = self._parser.take()
                if request is None:
                    if self._half_closed:
                        self._end()
                    else:
                        self._expect_more()
                    return
            except Refusal as refusal:
                self.refuse(refusal)
                return
            self._begun = self._checked = self._continued = False
            if self._ahead:
                self._ahead = 0
                if not self._half_closed:  # else its end would come once more, and count as its leaving
                    self._channel.resume()
            self.moment.at = math.inf
            self._call = self._front.begin(request, self)

    def _expect_more(self) -> None:
        """A request is to come, or the rest of it. Raises `Refusal` for who is not to be listened to."""
        parser = self._parser
        if parser.in_body and not self._checked:
            self._checked = True
            self._front.check_head(parser.request)
        if parser.expects and not self._continued:
            self._continued = True
            self._channel.send(CONTINUE)
        if not parser.begun:
            if self._front.draining or self._front.crowded:
                self.close()
            else:
                self._wait(self._config.keep_alive)
        elif not self._begun:
            self._begun = True
            self._wait(self._config.request_timeout)

    def _sends_no_more(self) -> None:
        """It has left, or it has only closed its half of the connection, and waits for its answer. Who has left is told
        by the reset with which its system answers the next byte: that it is to go on, which it may be told at any time
        before an answer (RFC 9110, section 15.2).
        """
        channel, call = self._channel, self._call
        unheard = call is not None and (call.begun or call.request.version != "1.1")
        nothing = call is None and not channel.pending and not self._goes_on
        if self._half_closed or channel.error is not None or self._ending or unheard or nothing:
            self.close()
            return
        self._half_closed = True
        channel.pause()
        channel.watch_loss()
        if call is not None:
            channel.send(CONTINUE)
            channel.flush()

    def _wait(self, seconds: float) -> None:
        self.moment.set(self.now() + seconds)

    def _late(self) -> None:
        if self._call is not None:
            self._call.late()
        elif self._parser.begun and not self._ending and not self._channel.pending:
            self.refuse(Refusal(408, "request_timeout", "the request did not come in time"))
        elif self._channel.pending and self.takes():
            self._wait(self._config.idle_timeout)
        else:
            self.close()

    def _end(self) -> None:
        """The end of the connection, once all has gone out."""
        self._ending = True
        if self._channel.pending:
            self._wait(self._config.idle_timeout)
        elif self._lingers or not self._channel.quiet:
            # Read on for a moment, lest what is not read take the answer back on its way (RFC 9112, section 9.6).
            self._channel.resume()
            self._channel.send_eof()
            self._wait(LINGERING)
        else:
            self.close()
