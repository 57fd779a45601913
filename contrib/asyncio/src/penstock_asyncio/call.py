"""One thing that the gate's thread does for a caller elsewhere, and the attempts that callers hold."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from threading import Lock
from typing import Any, Protocol

import trio

import penstock
from penstock_asyncio.crossing import Step

__all__ = ["Ask", "Call", "Held", "OnTurn", "Port", "Work"]

Work = Callable[["Call", penstock.ModelRequestExecutor], Awaitable[Any]]
OnTurn = Callable[[penstock.Attempt | penstock.PenstockError], None]
Ask = Callable[[penstock.ModelRequestExecutor, OnTurn], penstock.Attempt | penstock.WaitingAttempt]
"""As `penstock.ModelRequestExecutor.ask`, with the resource and the options that the caller gave."""


class Port(Protocol):
    """The way back to callers: to those of an event loop, or to threads that are blocked."""

    def deliver(self, calls: Sequence[Call]) -> bool:
        """Whether the callers are still there. Those who wait for these calls go on. Called in any thread."""
        ...

    def end(self, step: Step, *arguments: Any) -> None:
        """Have the end of a call carried out in the gate's thread. Called in any thread."""
        ...


class Call:
    """What a caller asked for. All but the answer belongs to the gate's thread.

    `work` is carried out by a task in the gate's thread; what it returns or raises is the answer. `ask`, where there is
    one, is tried before that and needs no task. `discard` undoes an answer that nobody takes.
    """

    __slots__ = (
        "ask", "asked_at", "cancel", "cancelled", "discard", "done", "error", "port", "quiet", "reply", "timeout",
        "value", "wake", "work",
    )  # fmt: skip

    def __init__(
        self, port: Port, work: Work, discard: Callable[[Any], None] | None = None, ask: Ask | None = None
    ) -> None:
        self.port = port
        self.work = work
        self.ask = ask
        self.discard = discard
        self.cancel: Callable[[], object] | None = None
        """Ends what is under way."""
        self.asked_at = 0.0
        """When it asked, in seconds of the run's clock."""
        self.timeout: float | None = None
        """What is left of the time in which it must have its turn, in seconds, where it has asked before."""
        self.cancelled = False
        self.done = False
        self.quiet = False
        """Whether its caller has gone on, content."""
        self.value: Any = None
        self.error: BaseException | None = None
        self.reply: Reply | None = None
        self.wake: Lock | None = None
        """What the thread of its caller is blocked by."""

    def take(self) -> Any:
        """The answer, for the caller. Raises it if it is an error."""
        error, self.error = self.error, None
        if error is not None:
            try:
                raise error
            finally:
                del error  # or the frame and the traceback would hold each other
        return self.value


class Reply:
    """How the call ended that a caller makes under an attempt, awaited in the gate's thread."""

    __slots__ = ("_error", "_there")

    def __init__(self) -> None:
        self._there = trio.Event()
        self._error: BaseException | None = None

    def give(self, error: BaseException | None) -> None:
        """Say how it ended: with this error, or well."""
        self._error = error
        self._there.set()

    async def wait(self) -> BaseException | None:
        """The error, or `None`, once it is said."""
        await self._there.wait()
        error, self._error = self._error, None
        return error


class Held:
    """An attempt that a caller elsewhere makes. It belongs to the gate's thread, but for the words of `attempt` that
    only note something (`answered`, `finish`), which may be said anywhere.
    """

    __slots__ = ("_book", "_end", "attempt", "port")

    def __init__(self, attempt: penstock.Attempt, port: Port, book: set[Held]) -> None:
        self.attempt = attempt
        self.port = port
        self._book = book
        self._end: penstock.DetachedAttempt | None = None

    def take_over(self) -> None:
        """From now on its lease comes back by `release` alone; until then it stands in the book."""
        if self._end is None:
            self._end = self.attempt.detach()
            self._book.add(self)

    def release(
        self,
        outcome: penstock.RequestReleaseOutcome | None = None,
        error: BaseException | None = None,
        ended_at: float | None = None,
    ) -> None:
        """Give the lease back, classified by the outcome, the error or the facts; the call was over at `ended_at`. Only
        the first time counts.
        """
        self.take_over()
        assert self._end is not None
        self._book.discard(self)
        self._end.release(outcome, error, ended_at=ended_at)

    def give_up(self, detail: str, went_out: bool = True) -> None:
        """Give the lease back for a caller who cannot, which says nothing of the provider; `detail` is why."""
        self.release(penstock.RequestReleaseOutcome(kind="local_cancelled", went_out=went_out, detail=detail))
