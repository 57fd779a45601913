"""The same wire as a transport of httpx2: `httpx2.AsyncClient(transport=WireTransport())`. Needs the extra `httpx2`.

One client per origin. What httpx2 asks for in time-outs is heeded: for connecting, and for each read. There is no
proxy: httpx2 does not ask a transport that it is given for one.
"""

from __future__ import annotations

import math
import ssl
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from typing import Final

import httpx2
import trio

from penstock_wire.client import WireAnswer, WireCall, WireClient
from penstock_wire.errors import BadAnswer, CannotConnect, ConnectionLost
from penstock_wire.given import check_client, require_trio
from penstock_wire.target import tls_context

__all__ = ["WireTransport"]

_OURS: Final = frozenset({b"host", b"content-length", b"transfer-encoding", b"connection"})


class WireTransport(httpx2.AsyncBaseTransport):
    """A transport for requests to `http` and `https` URLs under trio. `tls` is the context for `https`. Raises
    `ValueError` for what is none, or no time.
    """

    def __init__(self, *, tls: ssl.SSLContext | None = None, keep_alive: float = 30.0) -> None:
        check_client(tls, keep_alive, 0, math.inf)
        self._tls = tls
        self._keep_alive = keep_alive
        self._clients: dict[tuple[str, str, int | None], WireClient] = {}

    async def handle_async_request(self, request: httpx2.Request) -> httpx2.Response:
        """The answer to a request, whose body is read from the wire as it is asked for."""
        require_trio("penstock-wire")
        body = await request.aread()
        timeouts = request.extensions.get("timeout") or {}
        with _as_httpx2(request):
            headers = [(name.decode("latin-1"), value.decode("latin-1")) for name, value in _foreign(request)]
            client = self._client(request, timeouts.get("connect"))
            call = client.call(request.method, request.url.raw_path.decode("ascii"), body, headers)
            with _in_time(timeouts.get("read"), httpx2.ReadTimeout):
                answer = await call.__aenter__()
        stream = _Body(call, answer, request, timeouts.get("read"))
        return httpx2.Response(answer.status, headers=answer.headers, stream=stream, request=request)

    async def aclose(self) -> None:
        """Close all connections that no call uses."""
        for client in self._clients.values():
            client.close()

    def _client(self, request: httpx2.Request, connect_timeout: float | None) -> WireClient:
        url = request.url
        key = url.scheme, url.host, url.port
        client = self._clients.get(key)
        if client is None:
            if url.scheme not in ("http", "https"):
                raise httpx2.UnsupportedProtocol(f"{url.scheme!r} is neither http nor https", request=request)
            if url.scheme == "https" and self._tls is None:
                self._tls = tls_context()
            origin = f"{url.scheme}://{url.netloc.decode('ascii')}"
            client = self._clients[key] = WireClient(
                origin,
                tls=self._tls,
                keep_alive=self._keep_alive,
                connect_timeout=math.inf if connect_timeout is None else connect_timeout,
            )
        return client


class _Body(httpx2.AsyncByteStream):
    """The body of an answer; closing it ends the call."""

    def __init__(self, call: WireCall, answer: WireAnswer, request: httpx2.Request, timeout: float | None) -> None:
        self._call: WireCall | None = call
        self._answer = answer
        self._request = request
        self._timeout = timeout

    async def __aiter__(self) -> AsyncIterator[bytes]:
        while True:
            with _as_httpx2(self._request), _in_time(self._timeout, httpx2.ReadTimeout):
                piece = await anext(self._answer, None)
            if piece is None:
                return
            yield piece

    async def aclose(self) -> None:
        call, self._call = self._call, None
        if call is not None:
            await call.__aexit__(None, None, None)


def _foreign(request: httpx2.Request) -> Iterator[tuple[bytes, bytes]]:
    return ((name, value) for name, value in request.headers.raw if name.lower() not in _OURS)


@contextmanager
def _in_time(seconds: float | None, error: type[httpx2.TimeoutException]) -> Iterator[None]:
    with trio.move_on_after(math.inf if seconds is None else seconds) as scope:
        yield
    if scope.cancelled_caught:
        raise error("timed out")


@contextmanager
def _as_httpx2(request: httpx2.Request) -> Iterator[None]:
    """The errors of the wire as httpx2's own."""
    try:
        yield
    except CannotConnect as error:
        raise httpx2.ConnectError(str(error), request=request) from error.__cause__
    except ConnectionLost as error:
        raise httpx2.ReadError(str(error), request=request) from error.__cause__
    except BadAnswer as error:
        raise httpx2.RemoteProtocolError(str(error), request=request) from error
    except ValueError as error:
        raise httpx2.LocalProtocolError(str(error), request=request) from error
