"""The one place where a shell sleeps: until it is rung for, or a moment has come. A ring is never lost."""

from __future__ import annotations

import math

import trio

__all__ = ["WakeUp"]


class WakeUp:
    """A bell for one sleeper. Ringing while nobody sleeps lets the next sleep end at once."""

    def __init__(self) -> None:
        self.rung = False
        """Whether the next sleep ends at once; to be read only."""
        self._sleeper: trio.lowlevel.Task | None = None

    def ring(self) -> None:
        """The sleeper wakes. Costs nothing when it is awake."""
        self.rung = True
        if self._sleeper is not None:
            trio.lowlevel.reschedule(self._sleeper)
            self._sleeper = None

    async def sleep_until(self, deadline: float = math.inf) -> None:
        """A sleep until rung for, or until `deadline`, a moment of `trio.current_time()`."""
        if self.rung:
            self.rung = False
            await trio.lowlevel.checkpoint()
            return
        with trio.CancelScope(deadline=deadline):
            self._sleeper = trio.lowlevel.current_task()
            await trio.lowlevel.wait_task_rescheduled(self._abort)
        self.rung = False

    def _abort(self, _: object) -> trio.lowlevel.Abort:
        self._sleeper = None
        return trio.lowlevel.Abort.SUCCEEDED
