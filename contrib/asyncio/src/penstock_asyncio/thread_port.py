"""The way back to threads that are blocked until their calls are answered."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from threading import Lock
from typing import Any

import trio

from penstock_asyncio.call import Call
from penstock_asyncio.crossing import Step
from penstock_asyncio.run import GateRun

__all__ = ["ThreadPort"]


class ThreadPort:
    """The callers of one gate that block their threads, of which each has a lock of its own while it waits."""

    def __init__(self, run: GateRun) -> None:
        self._run = run

    def require(self) -> None:
        """Raises `RuntimeError` where an event loop runs, which must not be blocked."""
        if trio.lowlevel.in_trio_run():
            raise RuntimeError("this would block the trio run: open a run with `async with penstock.open_scheduler`")
        if _in_asyncio():
            raise RuntimeError(
                "this would block the event loop: use `gate.for_asyncio`, or make the call in `asyncio.to_thread`"
            )

    def ask(self, call: Call) -> Any:
        """The answer to a new call. Raises it if it is an error; an interrupt of the wait cancels the call."""
        return self._answer(call, self._run.start, call)

    def reply(self, call: Call, error: BaseException) -> Any:
        """The next answer to a call whose attempt failed with this error."""
        return self._answer(call, self._run.reply, call, error)

    def end(self, step: Step, *arguments: Any) -> None:
        """Have the end of a call carried out."""
        self._run.inbox.post(step, *arguments)

    def _answer(self, call: Call, post: Callable[..., None], *arguments: object) -> Any:
        call.wake = wake = Lock()
        wake.acquire()
        try:
            post(*arguments)
            wake.acquire()
        except BaseException:
            self._run.cancel(call)
            raise
        return call.take()

    def deliver(self, calls: Sequence[Call]) -> bool:
        """True: a blocked thread is always there."""
        for call in calls:
            wake, call.wake = call.wake, None
            if wake is not None:
                wake.release()
        return True


def _in_asyncio() -> bool:
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return False
    return True
