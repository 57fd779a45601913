"""The client of one base URL: calls go out on connections that are kept for the next.

    connection, idle or new → the request's bytes → the answer's head → its body, piece by piece → idle again

A call that is left before its answer has ended, by an error or a cancellation too, closes its connection: what still
comes is nobody's. Nothing is sent twice: where a connection that was kept turns out to be closed, the call has failed,
and whoever made it knows whether to make it again. There is no redirect, no cookie, no proxy and no decompression.
"""

from __future__ import annotations

import ssl
from collections import deque
from types import TracebackType
from typing import Self

import trio

from penstock_wire.answer import AnswerParser
from penstock_wire.connection import Connection, Origin
from penstock_wire.errors import CannotConnect
from penstock_wire.given import check_client, check_texts, require_trio
from penstock_wire.idle import IdleConnections
from penstock_wire.request import Headers
from penstock_wire.target import Target, tls_context

__all__ = ["WireAnswer", "WireCall", "WireClient"]


class WireClient:
    """A client of `base_url`, which its calls' paths are put behind: `async with WireClient(...) as client:`.

    `headers` go with each call. `tls` is the context for `https`, one of its own without it. A connection that no call
    uses is kept for `keep_alive` seconds, and at most `most_idle` are; a new one must be there, with TLS, after
    `connect_timeout` seconds. Raises `ValueError` for a URL that is not of `http` or `https`, or holds a user, a query
    or a fragment, for what is no header, and for what is no time.
    """

    def __init__(
        self,
        base_url: str,
        *,
        headers: Headers = (),
        tls: ssl.SSLContext | None = None,
        keep_alive: float = 30.0,
        most_idle: int = 1000,
        connect_timeout: float = 30.0,
    ) -> None:
        check_client(tls, keep_alive, most_idle, connect_timeout)
        target = self._target = Target(base_url, headers)
        context = (tls or tls_context()) if target.secure else None
        self.origin = Origin(target.host, target.port, context)
        """Where its calls go."""
        self._idle: IdleConnections[Connection] = IdleConnections(most_idle, keep_alive)
        self._connect_timeout = connect_timeout

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Close all connections that no call uses."""
        for connection in self._idle.clear():
            connection.close()

    @property
    def idle(self) -> int:
        """How many connections wait for a call."""
        return len(self._idle)

    def call(self, method: str, path: str, body: bytes = b"", headers: Headers = ()) -> WireCall:
        """A call, to be made by `async with client.call("POST", "/chat/completions", body) as answer:`. Raises
        `ValueError` for a method, a path or a header that would not be one on the wire, and for a body that is not of
        bytes.
        """
        check_texts(method=method, path=path)
        if not isinstance(body, bytes):
            raise ValueError(f"body must be bytes, not {type(body).__name__}: of a text, text.encode()")
        head = self._target.head(method, path)
        return WireCall(self, head.with_body(body, headers), body_follows=method != "HEAD")

    async def connection(self) -> Connection:
        """A connection for one call. Raises `CannotConnect`."""
        require_trio("penstock-wire")
        now = trio.current_time()
        while (kept := self._idle.take(now)) is not None:
            if kept.usable:
                return kept
            kept.close()
        try:
            with trio.fail_after(self._connect_timeout):
                return await self.origin.connect()
        except trio.TooSlowError:
            where = f"{self.origin.host}:{self.origin.port}"
            raise CannotConnect(f"no connection to {where} within {self._connect_timeout:g} s") from None

    def keep(self, connection: Connection) -> None:
        """Keep a connection whose call has ended for the next."""
        for old in self._idle.put(connection, trio.current_time()):
            old.close()


class WireCall:
    """One call, as a block: the answer's head is there when it begins. Good for one use."""

    __slots__ = ("_answer", "_body_follows", "_client", "_request")

    def __init__(self, client: WireClient, request: bytes, *, body_follows: bool) -> None:
        self._client = client
        self._request = request
        self._body_follows = body_follows

    async def __aenter__(self) -> WireAnswer:
        connection = await self._client.connection()
        answer = WireAnswer(connection, AnswerParser(body_follows=self._body_follows))
        try:
            await connection.send(self._request)
            await answer.read_head()
        except BaseException:
            connection.close()
            raise
        self._answer = answer
        return answer

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        answer = self._answer
        if error is None and answer.reusable:
            self._client.keep(answer.connection)
        else:
            answer.connection.close()


class WireAnswer:
    """An answer: its `status`, its `headers` as they came (names in lower case), and `async for piece in answer`, its
    body as it comes, not unpacked.
    """

    __slots__ = ("_parser", "_pieces", "connection")

    def __init__(self, connection: Connection, parser: AnswerParser) -> None:
        self.connection = connection
        self._parser = parser
        self._pieces: deque[bytes] = deque()

    @property
    def status(self) -> int:
        """The status: 200 to 999."""
        return self._parser.status

    @property
    def headers(self) -> list[tuple[bytes, bytes]]:
        """The headers as they came, names in lower case."""
        return self._parser.headers

    @property
    def reusable(self) -> bool:
        """Whether it has ended so that its connection can carry another call."""
        return self._parser.done and self._parser.reusable

    @property
    def ended(self) -> bool:
        """Whether all of it has come and been taken: the next piece would be the end."""
        return self._parser.done and not self._pieces and not self._parser.pending

    async def read_head(self) -> None:
        """Read until the head is there. Raises `ConnectionLost`, `BadAnswer`."""
        while not self._parser.status:
            await self._read()

    async def _read(self) -> None:
        data = await self.connection.receive()
        if data:
            self._parser.feed(data)
        else:
            self._parser.feed_eof()

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> bytes:
        """The next piece of the body. Raises `ConnectionLost`, `BadAnswer`."""
        while not self._pieces:
            self._pieces.extend(self._parser.take())
            if self._pieces:
                break
            if self._parser.done:
                raise StopAsyncIteration
            await self._read()
        return self._pieces.popleft()

    async def read(self) -> bytes:
        """The whole body, or what is left of it. Raises as `async for`."""
        while not self._parser.done:
            await self._read()
        rest = b"".join((*self._pieces, *self._parser.take()))
        self._pieces.clear()
        return rest
