"""The transport of the run: between an asynchronous httpx2 client and the one that really sends."""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterator, Callable, Mapping

import httpx2

import penstock
from penstock_dialects import Decoder
from penstock_httpx.admission import Admission, Describe
from penstock_httpx.door import AsyncDoor, RunDoor
from penstock_httpx.exchange import Exchange
from penstock_httpx.proxies import AsyncProxiedTransport

__all__ = ["AdmissionTransport"]


class AdmissionTransport(httpx2.AsyncBaseTransport):
    """Admission of each request before `inner` sends it, and a lease that is held until the body of the answer
    ends or is closed.

    `inner`     what sends; default: `httpx2.AsyncHTTPTransport` without a limit of its own, since the gate has them,
                by the environment's proxies, but never to this machine. It is closed with this transport.
    `provider`  the provider's name in the configuration, for the default `describe`; default: the host of
    the request
    `describe`  says what a request is admitted as; default: `describe_openai`
    `executor`  the request gate to ask; default: that of the scheduler whose task makes the request
    `dialect`   how the provider answers, a name of `penstock_dialects`; default: what is known of the host, else any
    `decoders`  what unpacks br and zstd, to read such answers too: encoding to a function that makes a `Decoder`
    `door`      where to ask in place of `executor`, for code of another event loop

    What a caller knows better it says per request, in `extensions={"penstock": {...}}`, with the fields of
    `RequestDescription`.

    Raises `RequestAdmissionError` for a request that is refused here, `ConfigError` for one that cannot be
    described; what `inner` raises passes through. Each request is one attempt. Retries belong above: give an SDK
    `max_retries=0`, or its pauses hold a call back that nobody knows of. A request that could not be sent for want of
    something of our own (open files, ports, a place in the pool) waits, and asks again, until its deadline or timeout.
    """

    def __init__(
        self,
        inner: httpx2.AsyncBaseTransport | None = None,
        *,
        provider: str | None = None,
        describe: Describe | None = None,
        executor: penstock.ModelRequestExecutor | None = None,
        dialect: str | None = None,
        decoders: Mapping[str, Callable[[], Decoder]] | None = None,
        door: AsyncDoor | None = None,
    ) -> None:
        self._inner = inner if inner is not None else AsyncProxiedTransport()
        self._admission = Admission(provider, describe, dialect, decoders)
        self._door = RunDoor(executor) if door is None else door

    async def handle_async_request(self, request: httpx2.Request) -> httpx2.Response:
        """The answer to an admitted request, as soon as its head is here."""
        exchange: Exchange | None = None
        while True:
            exchange = await self._door.open(self._admission.admit(request, exchange))
            try:
                response = await self._inner.handle_async_request(request)
                exchange.answered(response)
                break
            except BaseException as error:
                exchange.failed(error)
                if not exchange.tries_again(request, error):
                    raise
        if not response.is_closed:
            assert isinstance(response.stream, httpx2.AsyncByteStream), "an async transport answers with such a stream"
            response.stream = _Body(response.stream, exchange)
        return response

    async def aclose(self) -> None:
        """Close the inner transport. Bodies that are being read keep their leases until they end."""
        await self._inner.aclose()


class _Body(httpx2.AsyncByteStream):
    """The pieces of an answer as they come; its exchange ends when they do, or when the body is closed.

    An iterator and no async generator, for a generator that its reader leaves early lives on until it is collected,
    and with it would live the lease. The openai SDK iterates a second time, to drain what follows the last event: the
    same reading goes on.
    """

    def __init__(self, inner: httpx2.AsyncByteStream, exchange: Exchange) -> None:
        self._inner = inner
        self._chunks = aiter(inner)
        self._exchange = exchange

    def __aiter__(self) -> AsyncIterator[bytes]:
        return self

    async def __anext__(self) -> bytes:
        try:
            chunk = await anext(self._chunks)
        except StopAsyncIteration:
            self._exchange.complete()
            raise
        except BaseException as error:
            self._exchange.failed(error)
            raise
        try:
            self._exchange.took(chunk)
        except httpx2.ReadError as error:
            self._exchange.failed(error)
            raise
        return chunk

    async def aclose(self) -> None:
        """Close the answer; closing one that has not ended gives the lease back too."""
        try:
            try:
                if isinstance(self._chunks, AsyncGenerator):
                    await self._chunks.aclose()
            finally:
                await self._inner.aclose()
        finally:
            self._exchange.abandoned("closed before its end")
