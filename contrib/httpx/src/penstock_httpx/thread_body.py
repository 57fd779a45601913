"""The body of an admitted answer that a worker thread reads: every piece as it comes, and the lease until its end."""

from __future__ import annotations

from collections.abc import Generator, Iterator

import httpx2

from penstock_httpx.thread_exchange import ThreadExchange, raise_if_cancelled

__all__ = ["ThreadAdmittedBody"]


class ThreadAdmittedBody(httpx2.SyncByteStream):
    """Wraps the stream of an answer. The lease is held until it ends, raises, is closed, or is collected.

    Reading raises trio's `Cancelled` with the first piece that comes after the task of the thread was cancelled.
    """

    def __init__(self, inner: httpx2.SyncByteStream, exchange: ThreadExchange) -> None:
        self._inner = inner
        self._exchange = exchange
        self._chunks: Iterator[bytes] | None = None

    def __iter__(self) -> Iterator[bytes]:
        # The openai SDK iterates a second time, to drain what follows the last event: the same reading goes on.
        if self._chunks is None:
            self._chunks = iter(self._inner)
        return _Reader(self._chunks, self._exchange, self)

    def close(self) -> None:
        """Close the answer; closing one that has not ended gives the lease back too."""
        try:
            try:
                if isinstance(self._chunks, Generator):
                    self._chunks.close()
            finally:
                self._inner.close()
        finally:
            self._exchange.abandoned("closed before its end")

    def __del__(self) -> None:
        self._exchange.dropped()


class _Reader(Iterator[bytes]):
    """One reading of the body. It keeps the body alive, whose collection ends the exchange."""

    def __init__(self, chunks: Iterator[bytes], exchange: ThreadExchange, body: ThreadAdmittedBody) -> None:
        self._chunks = chunks
        self._exchange = exchange
        self._body = body

    def __next__(self) -> bytes:
        try:
            chunk = next(self._chunks)
            raise_if_cancelled()
        except StopIteration:
            self._exchange.complete()
            raise
        except BaseException as error:
            self._exchange.failed(error)
            raise
        self._exchange.took(chunk)
        return chunk
