"""The one timer of a request gate: a scope whose deadline is moved to the earliest moment that matters to anybody."""

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
        self.at = inf

    def move(self, moment: float) -> None:
        """Set the moment of the next turn; at once if that is past."""
        if moment != self.at:
            self.at = moment
            if self._scope is not None:
                self._scope.deadline = moment

    def stop(self) -> None:
        """Turn once more, and no more after that; not at all, if the timer does not run yet."""
        self._stopped = True
        if self._scope is not None:
            self._scope.cancel()

    async def run(self) -> None:
        """Wait and turn, until it is over."""
        going = not self._stopped
        while going:
            with trio.CancelScope(deadline=self.at) as self._scope:
                await trio.sleep_forever()
            going = self._turn()
