"""The body of an admitted answer: passes every byte on as it comes, and ends the exchange when the body does.

An iterator class and no async generator, for a generator that its reader leaves early lives on until it is
collected, and with it would live the lease.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterator

import httpx2

from penstock_httpx.exchange import Exchange

__all__ = ["AdmittedBody"]


class AdmittedBody(httpx2.AsyncByteStream):
    """Wraps the stream of an answer. The lease is held until it ends, raises, is closed, or is collected."""

    def __init__(self, inner: httpx2.AsyncByteStream, exchange: Exchange) -> None:
        self._inner = inner
        self._exchange = exchange
        self._chunks: AsyncIterator[bytes] | None = None

    def __aiter__(self) -> AsyncIterator[bytes]:
        # The openai SDK iterates a second time, to drain what follows the last event: the same reading goes on.
        if self._chunks is None:
            self._chunks = aiter(self._inner)
        return _Reader(self._chunks, self._exchange, self)

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

    def __del__(self) -> None:
        self._exchange.dropped()


class _Reader(AsyncIterator[bytes]):
    """One reading of the body. It keeps the body alive, whose collection ends the exchange."""

    def __init__(self, chunks: AsyncIterator[bytes], exchange: Exchange, body: AdmittedBody) -> None:
        self._chunks = chunks
        self._exchange = exchange
        self._body = body

    async def __anext__(self) -> bytes:
        try:
            chunk = await anext(self._chunks)
        except StopAsyncIteration:
            self._exchange.complete()
            raise
        except BaseException as error:
            self._exchange.failed(error)
            raise
        self._exchange.took(chunk)
        return chunk
