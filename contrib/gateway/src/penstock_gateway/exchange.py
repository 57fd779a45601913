"""One admitted call: out to its provider, and its answer back to the client as it comes.

Nothing is kept but what has not gone out: the next piece of an answer is read when the client has taken the last. What
the answer used is read beside, and corrects the estimate, also of a stream that broke off or that its client has left.
"""

from __future__ import annotations

import math
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from http import HTTPStatus

import attrs
import trio

from penstock import Usage
from penstock_dialects import AnswerReader
from penstock_gateway.answer_writer import AnswerWriter
from penstock_gateway.call_body import CallBody
from penstock_gateway.config import GatewayConfig
from penstock_gateway.gate import Place
from penstock_gateway.headers import answer_headers, request_headers
from penstock_gateway.refusal import Refusal
from penstock_gateway.request_parser import ClientRequest
from penstock_gateway.routes import Route
from penstock_gateway.upstreams import Upstream
from penstock_gateway.usage_filter import UsageFilter
from penstock_wire import CannotConnect, WireAnswer, WireCall, WireError

__all__ = ["CallFailed", "Exchange", "OutOfTime", "Send"]

Send = Callable[[bytes], Awaitable[None]]


class CallFailed(Exception):
    """A call that failed; what kind of error it is says how. `refusal` is for a client that has nothing of an answer
    yet.
    """

    def __init__(self, refusal: Refusal) -> None:
        super().__init__(refusal.message)
        self.refusal = refusal


class NoAnswer(CallFailed, ConnectionError):
    """The provider gave no answer, or not the whole of it."""


class TooLate(CallFailed, TimeoutError):
    """The provider took too long."""


class OutOfTime(CallFailed, trio.TooSlowError):
    """The client's own time is over, or it has taken nothing for too long."""


@attrs.define(eq=False)
class Exchange:
    """A call on its way. `status` is that of the answer, 0 before there is one; `begun`: the client has some of it."""

    request: ClientRequest
    route: Route
    body: CallBody
    gateway: GatewayConfig
    send: Send
    own_headers: list[tuple[bytes, bytes]] = attrs.field(factory=list)
    keeps: Callable[[], bool] = lambda: True
    """Whether the client's connection is kept, as it stands when the answer begins."""
    on_end: Callable[[Exchange], None] = lambda _: None
    """Called once, when the provider is done with the call."""
    ends_at: float = math.inf
    """When the client wants to have its answer, as a moment of trio's clock."""
    status: int = 0
    begun: bool = False
    reusable: bool = False
    """Whether the client's connection is of use afterwards."""
    first_byte: float | None = None
    """Seconds from admission to the answer's first byte."""
    sent: int = 0
    usage: Usage | None = None
    """What the answer says was used, as far as it came."""
    _sending: bool = False
    _told: bool = False
    provider: str = ""
    """Whom the call goes to."""
    others: bool = False
    """Whether it could go elsewhere: a refusal of this provider's is not passed on then."""
    upstream: Upstream = attrs.field(init=False)
    _call: WireCall = attrs.field(init=False)
    _asks: bool = attrs.field(init=False)
    """Whether it is the gateway that asks for the usage of a stream."""

    def aim(self, provider: str, upstream: Upstream, model: str) -> None:
        """Make the call for a provider, by its name for the model. Raises `Refusal` where it cannot be passed on."""
        self.provider, self.upstream = provider, upstream
        self.status, self.usage, self._told = 0, None, False
        self._asks = self.body.hides_usage and upstream.asks_usage
        sent = self.body.rewritten(model, ask_usage=self._asks)
        query = self.request.target.partition(b"?")[2].decode("latin-1")
        path = f"{self.route.path}?{query}" if query else self.route.path
        try:
            self._call = self.upstream.client.call("POST", path, sent, request_headers(self.request, plain=self._asks))
        except ValueError:
            raise Refusal(400, "invalid_header", "a header of the request cannot be passed on") from None

    async def run(self, place: Place) -> None:
        """Carry the call out. Raises `CallFailed`, also where the client has a part of the answer."""
        began = trio.current_time()
        last = min(self.ends_at, began + self.gateway.total_timeout)
        with trio.CancelScope(deadline=min(last, began + self.gateway.first_byte_timeout)) as scope:
            try:
                await self._pass(place, scope, last)
                return
            except WireError as error:
                raise NoAnswer(self._lost(error)) from error
        raise self._out_of_time()

    async def _pass(self, place: Place, scope: trio.CancelScope, last: float) -> None:
        began = trio.current_time()
        async with self._call as answer:
            names = {name.decode("latin-1"): value.decode("latin-1") for name, value in answer.headers}
            with AnswerReader(self.upstream.dialect, answer.status, names, wall_now=datetime.now(UTC)) as reader:
                try:
                    self.first_byte = trio.current_time() - began
                    if answer.status == HTTPStatus.UNAUTHORIZED:
                        await _read(answer, reader)
                        raise CallFailed(self._key_refused())
                    if self.others and (answer.status == HTTPStatus.TOO_MANY_REQUESTS or answer.status >= 500):
                        self.status = answer.status
                        await _read(answer, reader)
                        raise CallFailed(Refusal(502, "provider_failed", f"{self.provider} refused the call", 1.0))
                    await self._pass_on(place, answer, reader, scope, last)
                finally:
                    if not self._told:
                        self._note(place, reader)

    async def _pass_on(
        self, place: Place, answer: WireAnswer, reader: AnswerReader, scope: trio.CancelScope, last: float
    ) -> None:
        idle = self.gateway.idle_timeout
        packed = reader.headers.get("content-encoding", "identity") != "identity"
        hides = UsageFilter() if self._asks and not packed else None
        length = None if hides is not None else _length(reader)
        writer = AnswerWriter(length=length, chunks=self.request.version == "1.1", keep_alive=self.keeps())
        self.status = answer.status
        out = writer.head(answer.status, [*answer_headers(answer.headers), *self.own_headers])
        # A stream's head goes out with its first piece: there is nothing in it that the piece could wait for.
        async for piece in answer:
            reader.feed(piece)
            if hides is not None:
                piece = hides.feed(piece)
            out += writer.piece(piece)
            if answer.ended:
                break
            if out:
                scope.deadline = last  # the client has a time of its own
                await self._put(out)
                out = b""
            scope.deadline = min(last, trio.current_time() + idle)
        # The provider is done, so the place is free before the last byte goes: a client may answer that by a call.
        reader.end()
        self._note(place, reader)
        place.release()
        self.tell()
        scope.deadline = last
        if hides is not None:
            out += writer.piece(hides.end())
        await self._put(out + writer.end())
        self.reusable = writer.keep_alive

    def _note(self, place: Place, reader: AnswerReader) -> None:
        self.usage = reader.usage
        place.answered(reader.facts(), self.usage)

    def tell(self) -> None:
        """Say that the provider is done with the call; once."""
        if not self._told:
            self._told = True
            self.on_end(self)

    async def _put(self, data: bytes) -> None:
        if data:
            self.begun = self._sending = True
            await self.send(data)
            self._sending = False
            self.sent += len(data)

    def _lost(self, error: WireError) -> Refusal:
        provider = self.provider
        if isinstance(error, CannotConnect):
            return Refusal(502, "provider_unreachable", f"{provider} cannot be reached", 1.0)
        return Refusal(502, "provider_failed", f"{provider} gave no answer that could be read", 1.0)

    def _out_of_time(self) -> CallFailed:
        if self._sending or self.ends_at <= trio.current_time():
            return OutOfTime(Refusal(504, "deadline", "there was no answer by the deadline of the call"))
        message = f"{self.provider} gave no answer in time"
        return TooLate(Refusal(504, "provider_timeout", message))

    def _key_refused(self) -> Refusal:
        """That is no affair of the client's, and what the provider says of it may hold parts of the key."""
        message = f"{self.provider} does not accept the key of the gateway"
        return Refusal(502, "provider_refused_key", message)


async def _read(answer: WireAnswer, reader: AnswerReader) -> None:
    async for piece in answer:
        reader.feed(piece)
    reader.end()


def _length(reader: AnswerReader) -> int | None:
    text = reader.headers.get("content-length")
    return int(text) if text is not None and text.isascii() and text.isdigit() else None
