"""The transport of the run's worker threads: between a synchronous httpx2 client and the one that really sends."""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterator, Mapping

import httpx2

import penstock
from penstock_dialects import Decoder
from penstock_httpx.admission import Admission, Describe
from penstock_httpx.door import ThreadDoor, WorkerDoor
from penstock_httpx.exchange import Exchange
from penstock_httpx.proxies import ProxiedTransport

__all__ = ["ThreadAdmissionTransport"]


class ThreadAdmissionTransport(httpx2.BaseTransport):
    """`AdmissionTransport` for an `httpx2.Client`, in code that trio runs in a worker thread
    (`trio.to_thread.run_sync`).

    The parameters and the errors are the same; `inner` is synchronous, by default an `httpx2.HTTPTransport`, and the
    default `executor` is that of the scheduler whose task the thread works for.

    The thread is blocked while its call waits for its place. Cancelling its task ends that wait with trio's
    `Cancelled`, at once; a call that is out is not cut short (a blocked thread cannot be): `Cancelled` comes with
    its head, or with the next piece of its body.

    Raises `RuntimeError` in a thread that trio did not start, and in the run's own, which it would block. A body may be
    read and closed in any thread.
    """

    def __init__(
        self,
        inner: httpx2.BaseTransport | None = None,
        *,
        provider: str | None = None,
        describe: Describe | None = None,
        executor: penstock.ModelRequestExecutor | None = None,
        dialect: str | None = None,
        decoders: Mapping[str, Callable[[], Decoder]] | None = None,
        door: ThreadDoor | None = None,
    ) -> None:
        self._inner = inner if inner is not None else ProxiedTransport()
        self._admission = Admission(provider, describe, dialect, decoders)
        self._door = WorkerDoor(executor) if door is None else door

    def handle_request(self, request: httpx2.Request) -> httpx2.Response:
        """The answer to an admitted request, as soon as its head is here."""
        exchange: Exchange | None = None
        while True:
            exchange = self._door.open(self._admission.admit(request, exchange))
            try:
                return self._sent(request, exchange)
            except BaseException as error:
                exchange.failed(error)
                if not exchange.tries_again(request, error):
                    raise

    def _sent(self, request: httpx2.Request, exchange: Exchange) -> httpx2.Response:
        """The answer to a request that has its place."""
        # An abandoned thread waits on, as nobody can stop it; it must not send what nobody wants any more.
        self._door.raise_if_cancelled()
        response = self._inner.handle_request(request)
        exchange.answered(response)
        if not response.is_closed:
            assert isinstance(response.stream, httpx2.SyncByteStream), "a sync transport answers with such a stream"
            try:
                self._door.raise_if_cancelled()
            except BaseException:
                response.close()
                raise
            response.stream = _Body(response.stream, exchange, self._door)
        return response

    def close(self) -> None:
        """Close the inner transport. Bodies that are being read keep their leases until they end."""
        self._inner.close()


class _Body(httpx2.SyncByteStream):
    """The pieces of an answer as they come; its exchange ends when they do, or when the body is closed.

    Reading raises trio's `Cancelled` with the first piece that comes after the task of the thread was cancelled. The
    openai SDK iterates a second time, to drain what follows the last event: the same reading goes on.
    """

    def __init__(self, inner: httpx2.SyncByteStream, exchange: Exchange, door: ThreadDoor) -> None:
        self._inner = inner
        self._chunks = iter(inner)
        self._exchange = exchange
        self._door = door

    def __iter__(self) -> Iterator[bytes]:
        # Not itself: a generator around it, left early, would close it (`yield from`).
        return iter(self._next, None)

    def _next(self) -> bytes | None:
        """The next piece, or `None` at the end."""
        try:
            chunk = next(self._chunks, None)
            if chunk is not None:
                self._door.raise_if_cancelled()
        except BaseException as error:
            self._exchange.failed(error)
            raise
        if chunk is None:
            self._exchange.complete()
            return None
        try:
            self._exchange.took(chunk)
        except httpx2.ReadError as error:
            self._exchange.failed(error)
            raise
        return chunk

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
