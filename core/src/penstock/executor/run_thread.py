"""The thread and the clock of the trio run that a request gate belongs to, and the ways into it from other threads."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from threading import get_ident
from typing import TypeVar

import trio

from penstock.executor.thread_work import wait_in_run
from penstock.executor.under_trio import require_trio, under_asyncio
from penstock.words.errors import PenstockError

__all__ = ["RunThread"]

R = TypeVar("R")

_NOT_RUNNING = "the request executor is not running: use it inside `async with executor:`"
_DECIDING = "the request gate is deciding: a rule, a limiter or a queue that is asked must not call the gate"


class RunThread:
    """One run, from `enter` on."""

    def __init__(self) -> None:
        self._token: trio.lowlevel.TrioToken | None = None
        self._ident: int | None = None
        self._time: Callable[[], float] | None = None
        self.deciding = False
        """Whether a step of the gate is under way, in which plugins are asked."""

    def enter(self) -> None:
        """Take the run that this code is in. Raises `RuntimeError` the second time, and where there is none."""
        if self._token is not None:
            raise RuntimeError("this request executor has been entered before; make a new one")
        require_trio("a request executor")
        self._token = trio.lowlevel.current_trio_token()
        self._ident = get_ident()
        self._time = trio.lowlevel.current_clock().current_time

    def now(self) -> float:
        """The run's clock. Raises `RuntimeError` in any thread but the run's own, and before the executor is
        entered.
        """
        time = self._time
        if time is None or get_ident() != self._ident:
            raise self._out_of_place()
        return time()

    def now_to_change(self) -> float:
        """The same for who is about to change the gate. Raises `PenstockError` in the middle of a step."""
        time = self._time
        if time is None or self.deciding or get_ident() != self._ident:
            raise PenstockError(_DECIDING) if self.deciding else self._out_of_place()
        return time()

    def decide(self, change: Callable[..., R], *arguments: object) -> R:
        """What a step of the gate returns, in which plugins are asked."""
        self.deciding = True
        try:
            return change(*arguments)
        finally:
            self.deciding = False

    def wait_for(self, instead: str, function: Callable[..., Awaitable[R]], *arguments: object) -> R:
        """What the async function returns, for code in another thread, which it blocks; `instead` is what the run's own
        thread uses. In a thread that trio started, cancelling its task ends the wait.
        """
        token = self._foreign_token(instead)
        try:
            trio.from_thread.check_cancelled()
        except RuntimeError:  # no thread of trio's: it has no task that could be cancelled
            return trio.from_thread.run(function, *arguments, trio_token=token)
        return wait_in_run(function, *arguments)

    def call(self, instead: str, function: Callable[..., R], *arguments: object) -> R:
        """What the function returns, for code in another thread."""
        return trio.from_thread.run_sync(function, *arguments, trio_token=self._foreign_token(instead))

    def here(self, function: Callable[..., R], *arguments: object) -> R:
        """What the function returns, called in the run's own thread, from whichever thread this is."""
        if self._ident is None or get_ident() == self._ident:
            return function(*arguments)
        return trio.from_thread.run_sync(function, *arguments, trio_token=self._token)

    def _out_of_place(self) -> RuntimeError:
        if self._time is None:
            return RuntimeError(_NOT_RUNNING)
        return RuntimeError(
            under_asyncio("the request executor")
            or "the request executor belongs to the thread of its trio run; "
            "from another thread use acquire_from_thread and release_from_thread, or trio.from_thread.run_sync"
        )

    def _foreign_token(self, instead: str) -> trio.lowlevel.TrioToken:
        if self._token is None:
            raise RuntimeError(_NOT_RUNNING)
        if get_ident() == self._ident:
            raise RuntimeError(f"this is the run's own thread, which must not block: use {instead}")
        return self._token
