"""Calls that wait for their turn without a trio task: who waits, and whom to call when the turn has come.

A turn comes in the middle of somebody else's step: of a release, of a registration. It is called back when that step is
over, so what it does may go through the gate again; a turn that comes meanwhile is called back after it, never inside.
"""

from __future__ import annotations

import logging
from collections import deque
from collections.abc import Callable, Sequence
from typing import Final

from penstock.requests.waiters import RequestWaiter

__all__ = ["Turn", "Turns"]

_log: Final = logging.getLogger("penstock.requests")


class Turn:
    """A call that waits in one line or several. `come` is called with the waiter whose wait was over last."""

    __slots__ = ("come", "waiters")

    def __init__(self, waiters: Sequence[RequestWaiter], come: Callable[[RequestWaiter], None]) -> None:
        self.waiters = waiters
        self.come = come


class Turns:
    """The turns of one gate."""

    def __init__(self) -> None:
        self.waiting: dict[RequestWaiter, Turn] = {}
        self.due: deque[tuple[Turn, RequestWaiter]] = deque()
        """Those whose wait is over, and who have not been called back yet."""
        self._calling = False

    def add(self, turn: Turn) -> None:
        """A call waits from now on."""
        for waiter in turn.waiters:
            self.waiting[waiter] = turn

    def settle(self, waiter: RequestWaiter) -> list[RequestWaiter]:
        """The wait of a waiter is over: those of its call's other lines, which are to be left, if that ends the wait of
        the call. It is called back then, when `call_back` is called.
        """
        turn = self.waiting.pop(waiter, None)
        if turn is None or (waiter.lease is None and any(each in self.waiting for each in turn.waiters)):
            return []  # refused in one line, and its turn may come in another
        self.due.append((turn, waiter))
        return [other for other in turn.waiters if self.waiting.pop(other, None) is not None]

    def leave(self, turn: Turn) -> bool:
        """Whether the call had not been called back yet; it never is now."""
        before = len(self.due)
        self.due = deque(entry for entry in self.due if entry[0] is not turn)
        left = [self.waiting.pop(waiter, None) for waiter in turn.waiters]
        return len(self.due) < before or any(each is not None for each in left)

    def call_back(self) -> None:
        """Call those whose wait is over, one after another."""
        if self._calling:
            return
        self._calling = True
        try:
            while self.due:
                turn, waiter = self.due.popleft()
                try:
                    turn.come(waiter)
                except BaseException:  # of whoever waited: whose step this is has no part in it, nor who comes next
                    _log.exception("what a call wanted to do when its turn came has failed")
        finally:
            self._calling = False
