"""Sockets that call back, on one trio task: for shells in which a call is no task of its own.

A task per socket costs more than all that is done with the bytes of a small answer. Here the task owns an epoll (a
kqueue, on systems that have that), in which each socket lies once for as long as it lives. Trio waits for the epoll
alone; what has come is handed to whoever the socket is of, one read each, and then other tasks have their turn. What a
callback raises is logged, and costs its own socket alone.

What the callbacks of a round send goes out at its end, one after the other: whoever waits for it wakes up once for all
that it gets, and not for each while the next is worked out, which costs both sides more than the message itself.
"""

from __future__ import annotations

import logging
import socket
import sys
from collections.abc import Callable, Coroutine
from math import inf
from typing import Any, Final, Protocol

import trio

from penstock_wire.moments import Moment, Moments
from penstock_wire.polled import Polled

if sys.platform == "linux":
    from penstock_wire.epoll import Epoll as Sockets
else:
    from penstock_wire.selected import Selected as Sockets

__all__ = ["Poller"]

_log: Final = logging.getLogger("penstock.wire")
TOGETHER: Final = 32
"""So many go out without waiting for the end of the round."""


class Sends(Protocol):
    """Who has something to send."""

    def flush(self) -> None:
        """Let it go. Must not raise."""


class Poller:
    """The sockets and time-outs of a shell. Made by `open_poller`."""

    def __init__(self) -> None:
        self._sockets = Sockets()
        self.now: Callable[[], float] = trio.lowlevel.current_clock().current_time
        """The moment of trio's clock, for shells that ask for it with each call."""
        self._moments = Moments()
        self._soon: list[Callable[[], None]] = []
        self._scope = trio.CancelScope()
        self._tasks: set[trio.CancelScope] = set()
        self._closed = False
        self._hands_out = False
        self._sending: list[Sends] = []

    # -- sockets --

    def watch(self, sock: socket.socket, polled: Polled, events: int, before: int) -> None:
        """Call for these events (`Polled`) from now on, where before it was for those `before`; 0: for none."""
        self._sockets.watch(sock, polled, events, before)

    def collects(self, who: Sends) -> bool:
        """Whether `flush` will be called, soon: in the middle of a round."""
        if self._hands_out:
            self._sending.append(who)
            if len(self._sending) >= TOGETHER:
                self._flush()
        return self._hands_out

    def _flush(self) -> None:
        while self._sending:
            sending, self._sending = self._sending, []
            for who in sending:
                who.flush()

    # -- moments --

    def moment(self, callback: Callable[[], None]) -> Moment:
        """A moment of trio's clock, not set yet, at which the callback is called."""
        return self._moments.new(callback)

    def soon(self, callback: Callable[[], None]) -> None:
        """Call it when what goes on now is over."""
        self._soon.append(callback)
        self._scope.deadline = -inf

    def start(self, work: Coroutine[Any, Any, None]) -> trio.CancelScope:
        """Have something done that has to wait, such as a connection to be made; the scope ends it."""
        scope = trio.CancelScope()
        self._tasks.add(scope)
        trio.lowlevel.spawn_system_task(self._run, work, scope)
        return scope

    async def _run(self, work: Coroutine[Any, Any, None], scope: trio.CancelScope) -> None:
        try:
            with scope:
                await work
        except Exception:
            _log.exception("what a socket was waiting for has failed")
        finally:
            self._tasks.discard(scope)
            work.close()

    # -- the task --

    async def run(self) -> None:
        """Hand out what comes, until `close`."""
        while not self._closed:
            # One scope for many rounds, until a time-out has come: to make one costs more than to wait.
            with trio.CancelScope() as self._scope:
                while not self._closed:
                    due = -inf if self._soon else self._moments.next
                    if due != self._scope.deadline:
                        self._scope.deadline = due
                    await trio.lowlevel.wait_readable(self._sockets.fileno)
                    self._hand_out()
            self._hand_out()
        self._sockets.close()

    def _hand_out(self) -> None:
        self._hands_out = True
        for polled, events in self._sockets.ready():
            try:
                polled.ready(events)
            except Exception:
                _log.exception("a connection ended by a fault of the program's own")
                polled.failed()
        for moment in self._moments.come(self.now()):
            self._call(moment.callback)
        soon, self._soon = self._soon, []
        for callback in soon:
            self._call(callback)
        self._flush()
        self._hands_out = False

    def _call(self, callback: Callable[[], None]) -> None:
        try:
            callback()
        except Exception:
            _log.exception("a time-out was not carried out, by a fault of the program's own")

    def close(self) -> None:
        """What goes on is handed out, and nothing after that."""
        self._closed = True
        self._scope.cancel()
        for scope in tuple(self._tasks):
            scope.cancel()
