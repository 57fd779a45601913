"""The port of `/metrics`, `/status` and the health checks: one request per connection, a few at a time.

Whoever asks there can do the gateway no harm by leaving, by saying nothing, or by coming too often; and a page that
cannot be made, by a fault of a plugin, is an answer of status 500.
"""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable, Sequence
from contextlib import closing, suppress
from typing import Final

import trio

from penstock_gateway.accepting import PatientListener
from penstock_gateway.answer_writer import whole_answer
from penstock_gateway.refusal import Refusal
from penstock_gateway.request_parser import ClientRequest, RequestParser

__all__ = ["TEXT", "AdminPort", "Page"]

_log: Final = logging.getLogger("penstock.gateway")

Page = tuple[int, list[tuple[bytes, bytes]], bytes]
"""Status, headers and body."""
TEXT: Final = [(b"content-type", b"text/plain; version=0.0.4; charset=utf-8")]
MOST: Final = 16
"""Who asks at once; one more is refused with 503."""
SECONDS: Final = 10.0
"""For a request to come, and its answer to be taken."""


class AdminPort:
    """The port of a gateway that has this `page` at each path."""

    def __init__(self, page: Callable[[str], Awaitable[Page]]) -> None:
        self._page = page
        self._asking = 0

    async def serve(self, listeners: Sequence[trio.abc.Listener[trio.SocketStream]]) -> None:
        """Answer whoever asks, until cancelled."""
        if listeners:
            await trio.serve_listeners(self._answer, [PatientListener(each) for each in listeners])

    async def _answer(self, stream: trio.SocketStream) -> None:
        self._asking += 1
        try:
            async with stream:
                with trio.move_on_after(SECONDS), suppress(trio.BrokenResourceError):
                    await self._talk(stream)
        finally:
            self._asking -= 1

    async def _talk(self, stream: trio.SocketStream) -> None:
        head_only = False
        try:
            if self._asking > MOST:
                raise Refusal(503, "too_many_connections", f"more than {MOST} ask at once")
            request = await _request(stream)
            if request is None:
                return
            head_only = request.method == "HEAD"
            status, headers, body = await self._made(request.path)
        except Refusal as refusal:
            status, headers, body = refusal.status, TEXT, refusal.message.encode()
        await stream.send_all(whole_answer(status, headers, body, close=True, head_only=head_only))

    async def _made(self, path: str) -> Page:
        try:
            return await self._page(path)
        except Exception:
            _log.exception("a page of the admin port could not be made")
            return 500, TEXT, b"this page could not be made; the gateway's own log says more\n"


async def _request(stream: trio.SocketStream) -> ClientRequest | None:
    """What is asked; `None`: whoever asked has left. Raises `Refusal` for what is no request."""
    with closing(RequestParser(0)) as parser:
        while (request := parser.take()) is None:
            data = await stream.receive_some(4096)
            if not data:
                return None
            parser.feed(bytes(data))
        return request
