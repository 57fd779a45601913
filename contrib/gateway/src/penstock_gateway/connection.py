"""One client's connection under trio: bytes in, requests out, an answer to each in its order.

While a call is under way its client is listened to, so that one who leaves takes the call along: its place in line, or
its call to the provider. A client that sends more before it has its answer is read no further than one request ahead.
"""

from __future__ import annotations

from contextlib import suppress
from typing import Final

import trio

from penstock_gateway.answer_writer import CONTINUE
from penstock_gateway.config import GatewayConfig
from penstock_gateway.exchange import CallFailed
from penstock_gateway.front import CLIENT_LEFT, Front
from penstock_gateway.refusal import Refusal
from penstock_gateway.request_parser import ClientRequest, RequestParser

__all__ = ["ClientConnection"]

ONE_READ: Final = 64 * 1024
LINGERING: Final = 1.0
"""Seconds."""


class ClientConnection:
    """A connection of one client. `stop_waiting` ends it where it waits for a request."""

    def __init__(self, stream: trio.SocketStream, front: Front, config: GatewayConfig) -> None:
        self._stream = stream
        self._front = front
        self._config = config
        self._parser = RequestParser(config.largest_body)
        self._idle: trio.CancelScope | None = None

    def stop_waiting(self) -> None:
        """No more requests are taken: where none has begun to come, the connection ends."""
        if self._idle is not None and not self._parser.begun:
            self._idle.cancel()

    async def serve(self) -> None:
        """Answer the requests, until either side has enough."""
        try:
            while (request := await self._next()) is not None:
                if not await self._answer(request):
                    break
        except Refusal as refusal:  # of what was no request, or not to be listened to
            with suppress(OSError, trio.TooSlowError, *CLIENT_LEFT):
                head = self._parser.request if self._parser.in_body else None
                await self._send(self._front.refused(head, refusal, close=True))
                await self._linger()
        except (OSError, trio.TooSlowError, *CLIENT_LEFT):
            pass  # the client has left, or takes nothing
        except CallFailed:
            pass  # in the middle of an answer: the client sees that by its end
        finally:
            with suppress(OSError):
                self._stream.socket.close()

    async def _next(self) -> ClientRequest | None:
        """The next request; `None` when there is none any more. Raises `Refusal`."""
        parser, checked, continued = self._parser, False, False
        with trio.CancelScope() as scope:
            self._idle = scope
            if self._front.draining:
                self.stop_waiting()
            request = parser.take()
            if request is None and not parser.begun:
                scope.deadline = trio.current_time() + self._config.keep_alive
            begun = parser.begun
            while request is None:
                data = await self._stream.receive_some(ONE_READ)
                if not data:
                    return None
                if not begun:
                    begun = True
                    scope.deadline = trio.current_time() + self._config.request_timeout
                parser.feed(bytes(data))
                if parser.in_body and not checked:
                    checked = True
                    self._front.check_head(parser.request)
                if parser.expects and not continued:
                    continued = True
                    await self._stream.send_all(CONTINUE)
                request = parser.take()
        self._idle = None
        if scope.cancelled_caught:
            if parser.begun:
                raise Refusal(408, "request_timeout", "the request did not come in time")
            return None
        return request

    async def _answer(self, request: ClientRequest) -> bool:
        """Whether the connection is of use afterwards."""
        reusable = False
        failed: BaseException | None = None
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self._listen, nursery.cancel_scope)
            try:
                reusable = await self._front.answer(request, self._send)
            except (CallFailed, OSError, trio.TooSlowError, *CLIENT_LEFT) as error:
                failed = error  # raised outside of the nursery, which would wrap it
            nursery.cancel_scope.cancel()
        if failed is not None:
            raise failed
        return reusable

    async def _listen(self, call: trio.CancelScope) -> None:
        """Cancel the call when its client leaves."""
        parser = self._parser
        while not parser.waiting:
            try:
                data = await self._stream.receive_some(ONE_READ)
            except CLIENT_LEFT:
                data = b""
            if not data:
                call.cancel()
                return
            try:
                parser.feed(bytes(data))
            except Refusal:
                return  # told when its turn comes

    async def _send(self, data: bytes) -> None:
        with trio.fail_after(self._config.idle_timeout):
            await self._stream.send_all(data)

    async def _linger(self) -> None:
        """Read on for a moment, lest what is not read take the refusal back on its way (RFC 9112, section 9.6)."""
        with trio.move_on_after(LINGERING):
            await self._stream.send_eof()
            while await self._stream.receive_some(ONE_READ):
                pass
