"""The transport: between an httpx2 client and the one that really sends, where every outbound request passes."""

from __future__ import annotations

import httpx2

import penstock
from penstock_httpx.body import AdmittedBody
from penstock_httpx.door import Describe, Door
from penstock_httpx.exchange import Exchange

__all__ = ["AdmissionTransport"]


class AdmissionTransport(httpx2.AsyncBaseTransport):
    """Admits each request, sends it through `inner`, and holds its lease until the body of the answer ends
    or is closed.

    `inner`     what sends; default: an `httpx2.AsyncHTTPTransport`. It is closed with this transport.
    `provider`  the provider's name in the configuration, for the default `describe`; default: the host of
    the request
    `describe`  says what a request is admitted as; default: `describe_openai`
    `executor`  the request gate to ask; default: that of the scheduler whose task makes the request

    What a caller knows better it says per request, in `extensions={"penstock": {...}}`, with the fields of
    `RequestDescription`.

    Raises `RequestAdmissionError` for a request that is refused here, `ConfigError` for one that cannot be
    described; what `inner` raises passes through. Retries belong above: give an SDK `max_retries=0`, or it
    hides every 429 from the limiters.
    """

    def __init__(
        self,
        inner: httpx2.AsyncBaseTransport | None = None,
        *,
        provider: str | None = None,
        describe: Describe | None = None,
        executor: penstock.ModelRequestExecutor | None = None,
    ) -> None:
        self._inner = inner if inner is not None else httpx2.AsyncHTTPTransport()
        self._door = Door(provider, describe, executor)

    async def handle_async_request(self, request: httpx2.Request) -> httpx2.Response:
        """Wait for a place, send, and return the answer as soon as its head is here."""
        exchange: Exchange | None = None
        try:
            async with self._door.attempt(self._door.describe(request), self._door.executor()) as attempt:
                exchange = Exchange(attempt)
            response = await self._inner.handle_async_request(request)
            exchange.answered(response)
        except BaseException as error:
            if exchange is not None:
                exchange.failed(error)
            raise
        if response.is_closed:  # its body came with it
            exchange.took(response.content)
            exchange.complete()
        else:
            assert isinstance(response.stream, httpx2.AsyncByteStream), (
                "an async transport answers with an async stream"
            )
            response.stream = AdmittedBody(response.stream, exchange)
        return response

    async def aclose(self) -> None:
        """Close the inner transport. Bodies that are still read keep their leases until they end."""
        await self._inner.aclose()
