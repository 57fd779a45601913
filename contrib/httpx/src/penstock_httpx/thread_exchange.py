"""An exchange whose call is made in a worker thread: what is told about it is told in the thread of the run.

The request gate belongs to its run. So the head of an answer, its first piece and its end are handed over;
the pieces between are looked at where they come, for they need no clock. Any thread may end the exchange, the
run's own among them, where an answer is closed that a worker thread brought.
"""

from __future__ import annotations

from collections.abc import Callable
from threading import get_ident

import httpx2
import trio

from penstock import ModelRequestExecutor
from penstock_httpx.description import RequestDescription
from penstock_httpx.door import Door
from penstock_httpx.exchange import Exchange

__all__ = ["ThreadExchange", "open_from_thread", "raise_if_cancelled"]


class ThreadExchange:
    """`Exchange` for other threads: the same words, and the same rule that the first who ends it decides how."""

    def __init__(self, exchange: Exchange) -> None:
        self._exchange = exchange
        self._run = trio.lowlevel.current_trio_token()
        self._run_thread = get_ident()
        self._begun = False

    def answered(self, response: httpx2.Response) -> None:
        """The head of the answer is here."""
        self._tell(lambda: self._exchange.answered(response))

    def took(self, chunk: bytes) -> None:
        """A piece of the body came by."""
        if self._begun:
            self._exchange.took(chunk)
        else:
            self._begun = True
            self._tell(lambda: self._exchange.took(chunk))

    def complete(self) -> None:
        """The body has ended."""
        self._end(self._exchange.complete)

    def failed(self, error: BaseException) -> None:
        """Sending, waiting or reading ended with this exception."""
        self._end(lambda: self._exchange.failed(error))

    def abandoned(self, detail: str) -> None:
        """Nobody wants the rest of the body."""
        self._end(lambda: self._exchange.abandoned(detail))

    def dropped(self) -> None:
        """The body was collected as garbage, in whatever thread that happened."""
        self._exchange.dropped()

    def _end(self, end: Callable[[], None]) -> None:
        if not self._exchange.ended:
            self._tell(end)

    def _tell(self, what: Callable[[], None]) -> None:
        if get_ident() == self._run_thread:
            what()
            return
        try:
            # With the token it is told whether or not the task of this thread is cancelled: leases must come back.
            trio.from_thread.run_sync(what, trio_token=self._run)
        except trio.RunFinishedError:
            self._exchange.ended = True  # there is no gate any more that it could be given back to


def open_from_thread(door: Door, wanted: RequestDescription, executor: ModelRequestExecutor) -> ThreadExchange:
    """Wait for a place, in a worker thread of trio's. Cancelling the task that it works for ends the wait.

    Raises `RequestAdmissionError`, `RuntimeError` in the thread of the run, and trio's `Cancelled`.
    """

    async def opened() -> ThreadExchange:
        async with door.attempt(wanted, executor) as attempt:
            return ThreadExchange(Exchange(attempt))

    trio.from_thread.check_cancelled()
    exchange = trio.from_thread.run(opened)
    try:
        # A thread that may be abandoned waits on, as nobody can stop it; it must not send what nobody wants any more.
        trio.from_thread.check_cancelled()
    except BaseException as error:
        exchange.failed(error)
        raise
    return exchange


def raise_if_cancelled() -> None:
    """Raise trio's `Cancelled` if this thread works for a task that is cancelled; other threads work for none."""
    try:
        trio.from_thread.check_cancelled()
    except RuntimeError:
        return
