"""The transport for worker threads: between a synchronous httpx2 client and the one that really sends."""

from __future__ import annotations

import httpx2
import trio

import penstock
from penstock_httpx.door import Describe, Door
from penstock_httpx.thread_body import ThreadAdmittedBody
from penstock_httpx.thread_exchange import ThreadExchange, open_from_thread, raise_if_cancelled

__all__ = ["ThreadAdmissionTransport"]


class ThreadAdmissionTransport(httpx2.BaseTransport):
    """`AdmissionTransport` for an `httpx2.Client`, in code that trio runs in a worker thread
    (`trio.to_thread.run_sync`): admits each request, sends it through `inner`, and holds its lease until the body
    of the answer ends or is closed.

    `inner`     what sends; default: an `httpx2.HTTPTransport`. It is closed with this transport.
    `provider`  the provider's name in the configuration, for the default `describe`; default: the host of
    the request
    `describe`  says what a request is admitted as; default: `describe_openai`
    `executor`  the request gate to ask; default: that of the scheduler whose task the thread works for

    The thread is blocked while its call waits for its place. Cancelling its task ends that wait with trio's
    `Cancelled`, at once; a call that is out is not cut short (a blocked thread cannot be): `Cancelled` comes with
    its head, or with the next piece of its body.

    Raises `RuntimeError` in a thread that trio did not start, and in the run's own, which it would block;
    `RequestAdmissionError` for a request that is refused here, `ConfigError` for one that cannot be described; what
    `inner` raises passes through. Each request is one attempt. Retries belong above: give an SDK `max_retries=0`.
    """

    def __init__(
        self,
        inner: httpx2.BaseTransport | None = None,
        *,
        provider: str | None = None,
        describe: Describe | None = None,
        executor: penstock.ModelRequestExecutor | None = None,
    ) -> None:
        self._inner = inner if inner is not None else httpx2.HTTPTransport()
        self._door = Door(provider, describe, executor)

    def handle_request(self, request: httpx2.Request) -> httpx2.Response:
        """Wait for a place, send, and return the answer as soon as its head is here."""
        _raise_unless_worker()
        exchange = open_from_thread(self._door, self._door.describe(request), self._door.executor())
        try:
            response = self._inner.handle_request(request)
            exchange.answered(response)
            _go_on_with(response, exchange)
        except BaseException as error:
            exchange.failed(error)
            raise
        return response

    def close(self) -> None:
        """Close the inner transport. Bodies that are still read keep their leases until they end."""
        self._inner.close()


def _go_on_with(response: httpx2.Response, exchange: ThreadExchange) -> None:
    if response.is_closed:  # its body came with it
        exchange.took(response.content)
        exchange.complete()
        return
    assert isinstance(response.stream, httpx2.SyncByteStream), "a synchronous transport answers with such a stream"
    try:
        raise_if_cancelled()
    except BaseException:
        response.stream.close()
        raise
    response.stream = ThreadAdmittedBody(response.stream, exchange)


def _raise_unless_worker() -> None:
    if trio.lowlevel.in_trio_run():
        raise RuntimeError(
            "ThreadAdmissionTransport would block the trio run: use AdmissionTransport with an httpx2.AsyncClient, "
            "or make the call in trio.to_thread.run_sync"
        )
    try:
        trio.from_thread.check_cancelled()
    except RuntimeError:
        raise RuntimeError(
            "ThreadAdmissionTransport works in threads that trio started: make the call in trio.to_thread.run_sync"
        ) from None
