"""The one timer of a request gate: a scope whose deadline is moved to the earliest moment that matters to anybody.

Nearly always it is moved further away, as those whose wait would have ended first have had their turn. So that is only
noted: the scope ends at the moment before, once, and sleeps on. To move its deadline with each call was a third of what
a call that waits costs above others.
"""

from __future__ import annotations

from collections.abc import Callable
from math import inf

import trio

__all__ = ["GateTimer"]


class GateTimer:
    """A timer that calls `turn` at the moment `at`, `inf` for none, until `turn` says `False`."""

    def __init__(self, turn: Callable[[], bool]) -> None:
        self._turn = turn
        self._scope: trio.CancelScope | None = None
        self._stopped = False
        self._ends = inf
        """The deadline of the scope."""
        self.at = inf

    def move(self, moment: float) -> None:
        """Set the moment of the next turn; at once if that is past."""
        self.at = moment
        if moment < self._ends and self._scope is not None:
            self._scope.deadline = self._ends = moment

    def stop(self) -> None:
        """Turn once more, and no more after that; not at all, if the timer does not run yet."""
        self._stopped = True
        if self._scope is not None:
            self._scope.cancel()

    async def run(self) -> None:
        """Wait and turn, until it is over."""
        going = not self._stopped
        while going:
            self._ends = self.at
            with trio.CancelScope(deadline=self.at) as self._scope:
                await trio.sleep_forever()
            if self._stopped or trio.current_time() >= self.at:
                going = self._turn()
