"""The way into the gate's thread: steps that any thread posts, carried out there in the order of posting.

All that is posted within one turn of the gate is carried out at once, and wakes it once. Nothing locks, so a
finalizer may post too, in the middle of anything.
"""

from __future__ import annotations

import logging
from collections import deque
from collections.abc import Callable
from typing import Any, Final

import trio

__all__ = ["Inbox", "Step"]

_log: Final = logging.getLogger("penstock.asyncio")

Step = Callable[..., None]


class Inbox:
    """The steps that are to be carried out in the gate's thread. What a step raises is logged, and ends nothing.

    `undone` is called with each step that came after the gate's end, in whatever thread finds it.
    """

    def __init__(self, undone: Callable[[Step, tuple[Any, ...]], None]) -> None:
        self._steps: deque[tuple[Step, tuple[Any, ...]]] = deque()
        self._due = False
        self._token: trio.lowlevel.TrioToken | None = None
        self._closed = False
        self._undone = undone

    def open(self) -> None:
        """Take the trio run that this code is in. What was posted before is carried out in its next turn."""
        self._token = trio.lowlevel.current_trio_token()
        if self._steps:
            self._token.run_sync_soon(self._carry_out)

    def close(self) -> None:
        """No step is carried out any more. Called when the trio run has ended."""
        self._closed = True
        self._give_back()

    def discard(self) -> None:
        """Nothing is carried out any more, and nobody asks why: there is no such thread in this process."""
        self._closed = True
        self._undone = _unheard
        self._steps.clear()

    def post(self, step: Step, *arguments: Any) -> None:
        """Have `step(*arguments)` called in the gate's thread, soon."""
        self._steps.append((step, arguments))
        self.wake()

    def leave(self, step: Step, *arguments: Any) -> None:
        """Have `step(*arguments)` called in the gate's thread at its next turn, which whoever leaves it may `wake`."""
        self._steps.append((step, arguments))
        if self._closed:
            self._give_back()

    def wake(self) -> None:
        """Have the gate's thread take its next turn soon, if there is anything to do."""
        if not self._steps:
            return
        if self._closed:
            self._give_back()
        elif self._token is not None and not self._due:
            self._due = True
            try:
                self._token.run_sync_soon(self._carry_out)
            except trio.RunFinishedError:
                return  # `close` is on its way, and finds the step

    def _carry_out(self) -> None:
        self._due = False  # first: whoever posts from here on sees to another turn
        steps = self._steps
        while steps:
            step, arguments = steps.popleft()
            try:
                step(*arguments)
            except BaseException as error:
                _log.error("a step in the gate's thread failed", exc_info=error)
            del step, arguments  # an error of another step knows this frame, and whoever keeps it would keep these

    def _give_back(self) -> None:
        while True:
            try:
                step, arguments = self._steps.popleft()
            except IndexError:
                return
            self._undone(step, arguments)


def _unheard(step: Step, arguments: tuple[Any, ...]) -> None:
    pass
