"""The way back to the callers of one event loop, and the end of that loop.

A timer stands in the loop that is renewed each day, and holds the loop's life: nothing else holds that. So the life
ends when the loop is closed, which drops its timers, and when the loop is collected unclosed; or when the thread
ends in which the loop has run and it does not run elsewhere. Then all comes back that its callers have. The life holds
the futures too, lest the gate keep a loop alive that nobody else wants, or let a waiting task be collected that nobody
else holds.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import Any, Final
from weakref import WeakSet, ref

from penstock_asyncio.call import Call
from penstock_asyncio.crossing import Step
from penstock_asyncio.run import GateRun

__all__ = ["LoopPort"]

A_DAY: Final = 86_400.0
"""Seconds: as long as asyncio itself sleeps at most, so the timer wakes no loop that would sleep on."""


class _Life:
    """What one loop knows of one gate. Ends with the loop."""

    def __init__(self, loop: asyncio.AbstractEventLoop, port: LoopPort) -> None:
        self.waiting: dict[Call, asyncio.Future[None]] = {}
        self._loop = ref(loop)
        self._port = ref(port)
        _threads.lives.add(self)

    def keep(self) -> None:
        """Called by the timer that holds this: another one does from now on, if the gate is still there."""
        port = self._port()
        if port is not None:
            port.hold(self)

    def thread_ended(self) -> None:
        """The thread has ended in which the loop ran."""
        loop = self._loop()
        if loop is None or not loop.is_running():
            self._end("the thread of its event loop has ended")

    def _end(self, why: str) -> None:
        port = self._port()
        if port is not None:
            port.lose(why)

    def __del__(self) -> None:
        self._end("its event loop is closed")


class _ThreadEnd(threading.local):
    """The lives of the loops that run in this thread, which are told of its end."""

    def __init__(self) -> None:
        self.lives = _Lives()


class _Lives(WeakSet[_Life]):
    def __del__(self) -> None:
        for life in self:
            life.thread_ended()


_threads: Final = _ThreadEnd()


class LoopPort:
    """The callers of one event loop at one gate. Made in the thread of the loop."""

    def __init__(self, loop: asyncio.AbstractEventLoop, run: GateRun) -> None:
        self._run = run
        self._loop = ref(loop)
        life = _Life(loop, self)
        self._life = ref(life)
        self.hold(life)
        self._to_be_woken = False

    def hold(self, life: _Life) -> None:
        """Have the loop hold its life, for a day. Called in the thread of the loop."""
        loop = self._loop()
        if loop is not None:
            self._timer = ref(loop.call_later(A_DAY, life.keep))

    def lose(self, why: str) -> None:
        """The loop is no more: what its callers have comes back."""
        self._run.lose(self, why)

    def close(self) -> None:
        """The gate has ended, and the loop need not know it any more."""
        loop, timer = self._loop(), self._timer()
        if loop is not None and timer is not None:
            with suppress(RuntimeError):  # it is closed
                loop.call_soon_threadsafe(timer.cancel)

    async def ask(self, call: Call) -> Any:
        """The answer to a new call. Raises it if it is an error; where this is cancelled the call is too."""
        return await self._answer(call, self._run.start, call)

    async def reply(self, call: Call, error: BaseException) -> Any:
        """The next answer to a call whose attempt failed with this error. Raises the error if the gate has ended."""
        if self._life() is None:
            raise error
        return await self._answer(call, self._run.reply, call, error)

    async def _answer(self, call: Call, post: Callable[..., None], *arguments: object) -> Any:
        life = self._life()
        if life is None:
            self._run.require()
            raise RuntimeError("the event loop of this call is closed")
        future = asyncio.get_running_loop().create_future()
        life.waiting[call] = future
        waiting = life.waiting
        del life  # nothing but the loop may hold it
        try:
            post(*arguments)
            await future
        except BaseException:
            waiting.pop(call, None)
            self._run.cancel(call)
            raise
        return call.take()

    def end(self, step: Step, *arguments: Any) -> None:
        """Have the end of a call carried out: at once where anybody may wait for it, else together with what else this
        turn of the loop posts, so that one call after the other wakes the gate once each. Called in any thread.
        """
        inbox, loop = self._run.inbox, self._loop()
        try:
            here = loop is asyncio.get_running_loop()
        except RuntimeError:  # this code was left in another way than its loop goes
            here = False
        inbox.leave(step, *arguments)
        if loop is None or not here or not self._run.nobody_waits:
            inbox.wake()
        elif not self._to_be_woken:
            self._to_be_woken = True
            loop.call_soon(self._wake_gate)

    def _wake_gate(self) -> None:
        self._to_be_woken = False
        self._run.inbox.wake()

    def deliver(self, calls: Sequence[Call]) -> bool:
        """Whether the loop is still there. Its callers go on in its next turn."""
        loop = self._loop()
        if loop is None:
            return False
        try:
            loop.call_soon_threadsafe(self._wake, calls)
        except RuntimeError:
            return False
        return True

    def _wake(self, calls: Sequence[Call]) -> None:
        life = self._life()
        if life is None:
            return
        for call in calls:
            future = life.waiting.pop(call, None)
            if future is not None and not future.done():
                future.set_result(None)
