"""One call of a client, from the line until its answer is sent: at the first place where its turn comes, and at the
others, as long as the client has nothing of an answer.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final

import attrs

from penstock import PenstockError, RequestResourceKey
from penstock_gateway.admission import refusal_of
from penstock_gateway.call_book import CallBook
from penstock_gateway.call_failures import CallFailed, Fault, OutOfTime
from penstock_gateway.call_line import CallLine
from penstock_gateway.exchange import Client, Exchange
from penstock_gateway.gate import Admission, Gate, NotAdmitted, Place, Waiting
from penstock_gateway.refusal import Refusal
from penstock_gateway.refused import refused
from penstock_gateway.request_parser import ClientRequest
from penstock_gateway.upstreams import Upstream

__all__ = ["Call"]

BY_ITSELF: Final = ("stop", "tool_calls")
"""How an answer ends of which nothing is to be told."""


class Call:
    """A call, from `begin` until its client is `answered`, `broken`, or has `left`."""

    __slots__ = (
        "_exchange",
        "_places",
        "_waiting",
        "admission",
        "book",
        "client",
        "gate",
        "line",
        "over",
        "request",
        "upstreams",
    )
    __deletable__ = ["_exchange"]  # noqa: RUF012 -- mypyc's word for what `_end` does

    _exchange: Exchange

    def __init__(
        self,
        gate: Gate,
        upstreams: Mapping[str, Upstream],
        book: CallBook,
        client: Client,
        request: ClientRequest,
        line: CallLine,
        admission: Admission,
    ) -> None:
        self.gate = gate
        self.upstreams = upstreams
        self.book = book
        self.client = client
        self.request = request
        self.line = line
        self.admission = admission
        self.over = False
        """Whether its client has been told all."""
        self._places: Sequence[RequestResourceKey] = ()
        self._waiting: Waiting | None = None

    def begin(self, exchange: Exchange, places: Sequence[RequestResourceKey]) -> None:
        """Ask for its turn, at the first of these places. Raises `Refusal`, before it waits."""
        self._exchange, self._places = exchange, places
        exchange.aim(places[0], self.upstreams[places[0].provider_name])  # what cannot be passed on is told now
        self._ask(self.line.began)

    def _ask(self, now: float) -> None:
        self.line.admitted = None
        self._exchange.others = len(self._places) > 1
        try:
            turn = self.gate.ask(self._places, self.admission, self._on_turn)
        except NotAdmitted as error:
            self._refuse(self._refusal_of(error))
            return
        if isinstance(turn, Waiting):
            self._waiting = turn
        else:
            self._go(turn, now)

    def _on_turn(self, turn: Place | NotAdmitted | PenstockError) -> None:
        self._waiting = None
        if isinstance(turn, NotAdmitted):
            self._refuse(self._refusal_of(turn))
        elif isinstance(turn, PenstockError):
            self._refuse(Fault.of(turn).refusal)
        else:
            self._go(turn, self.client.now())

    def _refusal_of(self, error: NotAdmitted) -> Refusal:
        waited = self.client.now() - self.line.began
        return refusal_of(error, waited, self.book.usual_wait(self.line.model))

    def _go(self, place: Place, now: float) -> None:
        """Its turn has come."""
        line, exchange = self.line, self._exchange
        exchange.take(place, now)
        line.admitted = now
        line.waited = (line.waited or 0.0) + now - (line.failed_at or line.began)
        self.book.admitted(line, line.waited)
        resource = place.resource
        try:
            if resource is not exchange.goes_to:
                exchange.aim(resource, self.upstreams[resource.provider_name])
            line.provider, line.tries, line.failed = resource.provider_name, line.tries + 1, ""
            line.cause = ""
            if line.alias:
                line.served = str(resource.provider_model)
            exchange.own_headers = line.headers()
            exchange.run()
        except Refusal as refusal:
            exchange.fail(Fault(refusal))
        except Exception as error:
            exchange.fail(Fault.of(error))

    # -- what its client does --

    @property
    def begun(self) -> bool:
        """Whether its client has some of its answer."""
        return self._exchange.begun

    def left(self) -> None:
        """Its client has left: its place in line goes, or its call to the provider."""
        if self._waiting is not None:
            self._waiting.cancel()
            self._waiting = None
        self._exchange.left()
        self._end(self.client.now())

    def took(self) -> None:
        """Its client has taken what was kept for it."""
        self._exchange.took()

    def late(self) -> None:
        """It takes too long at its provider, or its client does."""
        self._exchange.late()

    # -- what becomes of it at a provider --

    def provider_done(self, seconds: float) -> None:
        """The provider is done with it, after so many seconds."""
        line, exchange = self.line, self._exchange
        line.status, line.first_byte, line.usage = exchange.status, exchange.first_byte, exchange.usage
        verdict = exchange.verdict
        ended = None if verdict is None else verdict.ended
        line.ended = "" if ended is None or ended in BY_ITSELF else ended
        limited = exchange.status == 429 or (
            ended == "error" and verdict is not None and verdict.kind == "rate_limited"
        )
        assert exchange.goes_to is not None
        self.book.provider_done(line, exchange.goes_to, seconds, exchange.usage, limited=limited)

    def done(self, now: float, *, reusable: bool) -> None:
        """Its answer has been sent, whole."""
        self._end(now)
        self.client.answered(reusable=reusable and self.client.stays)

    def failed(self, error: CallFailed) -> None:
        """It has failed there."""
        if self.over:  # by a fault behind its end, when its client went on
            self.client.broken(reset=True)
            return
        line, exchange = self.line, self._exchange
        line.failed, line.failed_at = error.refusal.code, self.client.now()
        line.cause = "" if error.__cause__ is None else str(error.__cause__)
        if exchange.begun:
            self._end(line.failed_at)
            self.client.broken(reset=self.request.version != "1.1")
        elif exchange.others and not isinstance(error, OutOfTime | Fault):
            self._places = [place for place in self._places if place != exchange.goes_to]
            self._ask_again()
        else:
            self._refuse(attrs.evolve(error.refusal, waited=line.waited))

    def _ask_again(self) -> None:
        try:
            self._ask(self.client.now())
        except Exception as error:
            self._refuse(Fault.of(error).refusal)

    # -- its end --

    def _refuse(self, refusal: Refusal) -> None:
        self.book.refused(self.line, refusal)
        reusable = self.request.keep_alive and self.client.stays
        self.client.send(refused(self.request, refusal, self.line, close=not reusable))
        self._end(self.client.now())
        self.client.answered(reusable=reusable)

    def _end(self, now: float) -> None:
        self.over = True
        self.line.bytes_out = self._exchange.sent
        del self._exchange  # it knows this call: both would stay until the collector of circles comes
        self.book.over(self.request, self.line, now)
