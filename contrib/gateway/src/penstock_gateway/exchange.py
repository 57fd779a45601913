"""One admitted call: out to its provider, and its answer back to the client as it comes. No task: it is called.

Nothing is kept but what has not gone out: where the client takes its answer more slowly than it comes, the provider is
read no further. What the answer used is read beside, and corrects the estimate, also of a stream that broke off or that
its client has left.
"""

from __future__ import annotations

import logging
import math
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from typing import Final, Protocol

from penstock import RequestResourceKey, Usage, Verdict, own_shortage
from penstock_dialects import AnswerReader, Memory
from penstock_gateway.answer_writer import AnswerWriter
from penstock_gateway.blotting import Blotter, blotted
from penstock_gateway.call_body import CallBody
from penstock_gateway.call_failures import CallFailed, ClientLeft, Fault, NoAnswer, OutOfTime, TooLate
from penstock_gateway.config import GatewayConfig
from penstock_gateway.counted_usage import counted
from penstock_gateway.gate import Place
from penstock_gateway.headers import answer_headers, request_headers
from penstock_gateway.refusal import Refusal
from penstock_gateway.request_parser import LONGEST_LENGTH, ClientRequest
from penstock_gateway.routes import Route
from penstock_gateway.upstreams import Upstream
from penstock_gateway.usage_filter import UsageFilter
from penstock_wire import AnswerParser, CannotConnect, Moment, PolledCall, WireError

__all__ = ["Client", "Exchange"]

_log: Final = logging.getLogger("penstock.gateway")

READ: Final = Memory(per_value=8 * 1024 * 1024, parts=250_000, growth=128)
"""What is read of answers: all others wait meanwhile, so what one read from a socket makes of work is bounded."""
MOST_KEPT: Final = 64 * 1024
"""Bytes of an answer that wait for its client while more is read."""


class Client(Protocol):
    """Whom an answer is for."""

    moment: Moment
    """When its call is too late."""
    now: Callable[[], float]
    """The moment of trio's clock."""

    @property
    def pending(self) -> int:
        """Bytes of the answer that it has not taken."""

    def takes(self) -> bool:
        """Whether it has taken anything since it was last asked."""

    @property
    def stays(self) -> bool:
        """Whether it may ask again on its connection."""

    def send(self, data: bytes) -> None:
        """A part of the answer."""

    def answered(self, *, reusable: bool) -> None:
        """The answer has been sent, whole; `reusable`: another request may come."""

    def broken(self, *, reset: bool) -> None:
        """The answer cannot be ended. `reset`: the end of the connection would be taken for its end."""


class Owner(Protocol):
    """Whose an exchange is. Told one of the two, once."""

    def provider_done(self, seconds: float) -> None:
        """The provider is done with the call, after so many seconds."""

    def failed(self, error: CallFailed) -> None:
        """The call has failed; the client may have a part of the answer."""

    def done(self, now: float, *, reusable: bool) -> None:
        """The answer has been sent, whole."""


class Exchange:
    """A call on its way. `status` is that of the answer, 0 before there is one; `begun`: the client has some of it."""

    __slots__ = (
        "_asks",
        "_began",
        "_bytes",
        "_call",
        "_filters",
        "_head",
        "_last",
        "_paused",
        "_place",
        "_reader",
        "_refusal",
        "_unread",
        "_upstream",
        "_writer",
        "begun",
        "body",
        "client",
        "ends_at",
        "first_byte",
        "gateway",
        "goes_to",
        "others",
        "own_headers",
        "owner",
        "request",
        "route",
        "sent",
        "status",
        "usage",
        "verdict",
    )

    _upstream: Upstream

    def __init__(
        self,
        request: ClientRequest,
        route: Route,
        body: CallBody,
        gateway: GatewayConfig,
        client: Client,
        owner: Owner,
        *,
        ends_at: float = math.inf,
    ) -> None:
        self.request = request
        self.route = route
        self.body = body
        self.gateway = gateway
        self.client = client
        self.owner = owner
        self.own_headers = b""
        """Of the answer, as they are written."""
        self.ends_at = ends_at
        """When the client wants to have its answer, as a moment of trio's clock."""
        self.status = 0
        self.begun = False
        self.first_byte: float | None = None
        """Seconds from admission to the answer's first byte."""
        self.sent = 0
        self.usage: Usage | None = None
        """What the answer says was used, as far as it came."""
        self.verdict: Verdict | None = None
        """What it means: an answer of status 200 may hold an error."""
        self.goes_to: RequestResourceKey | None = None
        """Where the call is made."""
        self.others = False
        """Whether it could go elsewhere: a refusal of this provider's is not passed on then."""
        self._bytes = b""
        self._asks = False
        """Whether it is the gateway that asks for the usage of a stream."""
        self._place: Place | None = None
        self._call: PolledCall | None = None
        self._reader: AnswerReader | None = None
        self._writer: AnswerWriter | None = None
        self._filters: Sequence[UsageFilter | Blotter] = ()
        self._refusal: Refusal | None = None
        """What the client is told in the place of the answer that comes."""
        self._head = b""
        """That has not gone out: there is nothing in it that the first piece could wait for."""
        self._began = 0.0
        self._last = math.inf
        self._paused = False
        self._unread = False
        """Whether the answer is passed on, but read no further."""

    @property
    def provider(self) -> str:
        """Whom the call goes to."""
        return "" if self.goes_to is None else self.goes_to.provider_name

    def aim(self, resource: RequestResourceKey, upstream: Upstream) -> None:
        """Make the call for a provider, by its name for the model. Raises `Refusal` where it cannot be passed on."""
        if resource == self.goes_to:
            return
        self.goes_to, self._upstream = resource, upstream
        self._asks = self.body.hides_usage and upstream.asks_usage
        sent = self.body.rewritten(resource.model_id, ask_usage=self._asks)
        query = self.request.target.partition(b"?")[2].decode("latin-1")
        path = f"{self.route.path}?{query}" if query else self.route.path
        try:
            head = upstream.client.head("POST", path)
            headers = request_headers(self.request, plain=self._asks, stops=upstream.stops)
            self._bytes = head.passing(sent, headers)
        except ValueError:
            raise Refusal(400, "invalid_header", "a header of the request cannot be passed on") from None

    def take(self, place: Place, now: float) -> None:
        """Hold the place that a call has, until it ends."""
        self.status, self.usage, self.verdict, self._reader, self._unread = 0, None, None, None, False
        self._place, self._began = place, now
        self._last = min(self.ends_at, self._began + self.gateway.total_timeout)

    def run(self) -> None:
        """Carry the call out."""
        self.client.moment.set(min(self._last, self._began + self.gateway.first_byte_timeout))
        self._call = self._upstream.client.call(self._bytes, self, self._began)

    # -- what comes --

    def on_answer(self, answer: AnswerParser, now: float) -> None:
        """More of the answer is there."""
        try:
            self._pass_on(answer, now)
        except Exception as error:
            self.fail(Fault.of(error))

    def _pass_on(self, answer: AnswerParser, now: float) -> None:
        reader = self._reader or self._read_head(answer, now)
        data = b"".join(answer.take())  # as one: an answer may come in chunks of a byte each
        if data:
            reader.feed(data)
            if reader.too_large and not self._unread:
                self._tell_unread(reader)
        if self._refusal is not None:
            if answer.done:
                reader.end()
                self.fail(CallFailed(self._refusal))
            return
        assert self._writer is not None
        passes = data
        for filtering in self._filters:
            passes = filtering.feed(passes)
        out = self._head + (self._writer.piece(passes) if self._writer.chunked else passes)
        if answer.done:
            self._finish(out, reader, now)
            return
        if data:
            self._head = b""
            self._put(out)
            if self.client.pending > MOST_KEPT and self._call is not None:
                self._paused = True
                self._call.pause()
                self.client.takes()
        self._wait(now)

    def on_lost(self, error: WireError) -> None:
        """The call has failed on its way."""
        short = own_shortage(error)
        failed = Fault(_short(short)) if short else NoAnswer(self._lost(error))
        failed.__cause__ = error
        self.fail(failed)

    def took(self) -> None:
        """The client has taken what was kept for it."""
        if self._paused and self._call is not None:
            self._paused = False
            self._call.resume()
            self._wait(self.client.now())

    def late(self) -> None:
        """It takes too long; but not where its client takes its answer, however slowly."""
        now = self.client.now()
        if self._paused and now < self._last and self.client.takes():
            self._wait(now)
            return
        self.fail(self._out_of_time())

    def left(self) -> None:
        """The client has left."""
        try:
            self._release(ClientLeft(), self.client.now())
        except Exception as error:  # a plugin's: nobody is left to be told
            Fault.of(error)

    def fail(self, error: CallFailed) -> None:
        """It has failed: its place is given back."""
        try:
            self._release(error, self.client.now())
        except Exception as fault:  # a plugin's: the client is told all the same
            error = Fault.of(fault)
        self.owner.failed(error)

    # -- inside --

    def _read_head(self, answer: AnswerParser, now: float) -> AnswerReader:
        names = {name.decode("latin-1"): value.decode("latin-1") for name, value in answer.named.items()}
        reader = AnswerReader(self._upstream.dialect, answer.status, names, wall_now=datetime.now(UTC), memory=READ)
        self._reader = reader
        self.first_byte = now - self._began
        status = answer.status
        if status == 401:
            self._refusal = self._key_refused()
        elif self.others and (status == 429 or status >= 500):
            self.status = status
            self._refusal = Refusal(502, "provider_failed", f"{self.provider} refused the call", 1.0)
        else:
            self.status = status
            self._refusal = None
            packed = names.get("content-encoding", "identity") != "identity"
            hides = self._asks and not packed
            secrets = self._upstream.secrets
            if hides or (secrets and not packed):
                filters: list[UsageFilter | Blotter] = [UsageFilter()] if hides else []
                self._filters = [*filters, Blotter(secrets)] if secrets and not packed else filters
            else:
                self._filters = ()
            told = None if hides else answer.named.get(b"content-length")
            length = int(told[-LONGEST_LENGTH:]) if told is not None and told.isdigit() else None
            headers = answer_headers(answer.headers, answer.named)
            writer = self._written(status, headers, length)
            if secrets and blotted(writer.head, secrets) is not writer.head:
                writer = self._written(status, [(name, blotted(value, secrets)) for name, value in headers], length)
            self._writer, self._head = writer, writer.head
        return reader

    def _written(self, status: int, headers: list[tuple[bytes, bytes]], length: int | None) -> AnswerWriter:
        chunks, keep_alive = self.request.version == "1.1", self.request.keep_alive and self.client.stays
        return AnswerWriter(status, headers, self.own_headers, length=length, chunks=chunks, keep_alive=keep_alive)

    def _finish(self, out: bytes, reader: AnswerReader, now: float) -> None:
        assert self._writer is not None
        # The provider is done, so the place is free before the last byte goes: a client may answer that by a call.
        reader.end()
        if reader.too_large and not self._unread:
            self._tell_unread(reader)
        self._release(None, now)
        if self._filters:
            rest = b""
            for filtering in self._filters:
                rest = filtering.feed(rest) + filtering.end()
            out += self._writer.piece(rest)
        self._put(out + self._writer.end() if self._writer.chunked else out)
        self.owner.done(now, reusable=self._writer.keep_alive)

    def _tell_unread(self, reader: AnswerReader) -> None:
        self._unread = True
        _log.warning("an answer of %s is passed on unread from here: %s", self.provider, reader.too_large)

    def _put(self, data: bytes) -> None:
        if data:
            self.begun = True
            self.client.send(data)
            self.sent += len(data)

    def _wait(self, now: float) -> None:
        self.client.moment.set(min(self._last, now + self.gateway.idle_timeout))

    def _release(self, error: BaseException | None, now: float) -> None:
        """Give the place back, with what is known of the answer. No time-out is left: whoever waits in line anew has
        that of the line.
        """
        self.client.moment.at = math.inf
        call, self._call = self._call, None
        if call is not None and error is not None:  # else it has ended
            call.cancel()
        place, self._place = self._place, None
        if place is None:
            return
        reader, elapsed = self._reader, now - self._began
        try:
            if reader is not None:
                reader.close()  # first: what a dialect of a third party makes of the answer may raise
                facts, self.usage = counted(reader, elapsed)
                self.verdict = facts.verdict
                place.answered(facts, self.usage)
        finally:
            place.release(error)
        self.owner.provider_done(elapsed)

    def _lost(self, error: WireError) -> Refusal:
        provider = self.provider
        if isinstance(error, CannotConnect):
            return Refusal(502, "provider_unreachable", f"{provider} cannot be reached", 1.0)
        return Refusal(502, "provider_failed", f"{provider} gave no answer that could be read", 1.0)

    def _out_of_time(self) -> CallFailed:
        if self._paused or self.ends_at <= self.client.now():
            return OutOfTime(Refusal(504, "deadline", "there was no answer by the deadline of the call"))
        message = f"{self.provider} gave no answer in time"
        return TooLate(Refusal(504, "provider_timeout", message))

    def _key_refused(self) -> Refusal:
        """That is no affair of the client's, and what the provider says of it may hold parts of the key."""
        message = f"{self.provider} does not accept the key of the gateway"
        return Refusal(502, "provider_refused_key", message)


def _short(what: str) -> Refusal:
    return Refusal(503, "gateway_short", f"the gateway could not make the call: {what}", 1.0)
