"""The client of one model's calls: `penstock_wire` where the way is straight, httpx2 where a proxy stands in it.

Both are asked in one way, and what goes wrong is told in the words of the wire: whether a call can have been made.
Admission bounds the calls; a pool that bounded them too would be a second, hidden queue.
"""

from __future__ import annotations

import ssl
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from contextlib import AbstractAsyncContextManager, asynccontextmanager, contextmanager
from typing import TYPE_CHECKING, Final, Protocol
from urllib.parse import urlsplit

from penstock_wire import BadAnswer, CannotConnect, ConnectionLost, WireAnswer, WireClient

if TYPE_CHECKING:
    import httpx2

__all__ = ["CONNECT_TIMEOUT", "ClientAnswer", "ModelClient", "ProxiedClient", "StraightClient"]

CONNECT_TIMEOUT: Final = 30.0
"""Seconds that a connection may take, with TLS."""
_CLOSED: Final = {
    "Server disconnected": "the connection was closed without an answer",
    "peer closed connection": "the connection was closed in the middle of the answer",
}
"""How httpx2 begins to say that the other side has closed, by which alone it tells that from what is no answer."""


class ClientAnswer(Protocol):
    """An answer: its status, its headers by lower-case name, and its body as it comes, not unpacked."""

    @property
    def status(self) -> int: ...

    @property
    def headers(self) -> Mapping[str, str]: ...

    def pieces(self) -> AsyncIterator[bytes]:
        """The body. Raises `WireError`."""
        ...


class ModelClient(Protocol):
    """The client of one model, with connections of its own; close it at the end. Its errors are those of the wire."""

    host: str
    """The host that is called."""
    netloc: str
    """The host with its port, for people."""

    def post(self, path: str, body: bytes) -> AbstractAsyncContextManager[ClientAnswer]:
        """A call, as a block in which its answer is read. Raises `WireError`."""
        ...

    async def drop_connections(self) -> None:
        """Close the connections that no call uses, where none is under way: others are short of open files."""
        ...

    async def aclose(self) -> None:
        """Close all connections."""
        ...


class StraightClient:
    """A client without a proxy."""

    def __init__(self, url: str, headers: Mapping[str, str], tls: ssl.SSLContext | None) -> None:
        self._wire = WireClient(url, headers=headers.items(), tls=tls, connect_timeout=CONNECT_TIMEOUT)
        parts = urlsplit(url)
        self.host = parts.hostname or ""
        self.netloc = parts.netloc

    @asynccontextmanager
    async def post(self, path: str, body: bytes) -> AsyncIterator[ClientAnswer]:
        """A call, as a block in which its answer is read. Raises `WireError`."""
        async with self._wire.call("POST", path, body) as answer:
            yield _Straight(answer)

    async def drop_connections(self) -> None:
        """Close the connections that no call uses."""
        self._wire.close()

    async def aclose(self) -> None:
        """Close all connections."""
        self._wire.close()


class _Straight:
    def __init__(self, answer: WireAnswer) -> None:
        self._answer = answer
        self.status = answer.status
        headers: dict[str, str] = {}
        for name, value in answer.headers:
            key, text = name.decode("latin-1"), value.decode("latin-1")
            headers[key] = f"{headers[key]}, {text}" if key in headers else text
        self.headers = headers

    def pieces(self) -> AsyncIterator[bytes]:
        return self._answer


class ProxiedClient:
    """A client through the proxy that the environment names. `make` opens one of httpx2's."""

    def __init__(self, url: str, make: Callable[[], httpx2.AsyncClient]) -> None:
        self._make = make
        self._http = make()
        parts = urlsplit(url)
        self.host = parts.hostname or ""
        self.netloc = parts.netloc

    @asynccontextmanager
    async def post(self, path: str, body: bytes) -> AsyncIterator[ClientAnswer]:
        """A call, as a block in which its answer is read. Raises `WireError`."""
        with _in_words_of_the_wire():
            async with self._http.stream("POST", path, content=body) as answer:
                yield _Proxied(answer)

    async def drop_connections(self) -> None:
        """Close the connections that no call uses, where none is under way."""
        before, self._http = self._http, self._make()
        await before.aclose()

    async def aclose(self) -> None:
        """Close all connections."""
        await self._http.aclose()


class _Proxied:
    def __init__(self, answer: httpx2.Response) -> None:
        self._answer = answer
        self.status = answer.status_code
        self.headers = {name.lower(): value for name, value in answer.headers.items()}

    def pieces(self) -> AsyncIterator[bytes]:
        return self._answer.aiter_raw()


@contextmanager
def _in_words_of_the_wire() -> Iterator[None]:
    import httpx2

    try:
        yield
    except (httpx2.ConnectError, httpx2.ProxyError) as error:  # a proxy that refuses to connect has passed nothing on
        raise CannotConnect(str(error)) from error
    except httpx2.ConnectTimeout as error:
        raise CannotConnect(f"no connection within {CONNECT_TIMEOUT:g} s") from error
    except httpx2.NetworkError as error:
        raise ConnectionLost(f"the connection broke while the call was out: {error}") from error
    except httpx2.RemoteProtocolError as error:
        said = str(error)
        for begins, words in _CLOSED.items():
            if said.startswith(begins):
                raise ConnectionLost(words) from error
        raise BadAnswer(f"the answer is no HTTP/1.1: {said}") from error
    except httpx2.HTTPError as error:
        raise BadAnswer(str(error)) from error
