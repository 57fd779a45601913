"""Moments at which something is to be done, most of which never come: time-outs. Pure: `now` is passed in.

A time-out is moved with every step of a call, and nearly always further away. So to move one is to note a figure, and
nothing is sorted: the moment lies in a slot of a coarse wheel, which is looked at when its time has come, and lies in
another one then if it was moved meanwhile. None comes early, and none later than `TICK`.
"""

from __future__ import annotations

from collections.abc import Callable
from heapq import heappop, heappush
from math import ceil, inf
from typing import Final

__all__ = ["Moment", "Moments"]

TICK: Final = 1 / 64
"""Seconds."""


class Moment:
    """A moment `at` which a callback is due, `inf` for none."""

    __slots__ = ("_moments", "_slot", "at", "callback")

    def __init__(self, moments: Moments, callback: Callable[[], None]) -> None:
        self.at = inf
        self.callback = callback
        self._moments = moments
        self._slot: float = inf
        """Where it lies: in ticks."""

    def set(self, at: float) -> None:
        """Have it come then, and not when it was to come before."""
        self.at = at
        if at < self._slot * TICK:
            self._moments.lay(self)

    def drop(self) -> None:
        """It is not needed any more, and holds nothing of whom it was for."""
        self.at, self.callback = inf, _nothing
        self._moments.take_out(self)


def _nothing() -> None:
    pass


class Moments:
    """All moments of one shell."""

    def __init__(self) -> None:
        self._slots: dict[float, set[Moment] | None] = {}
        """`None` in the place of a set that was emptied: of the slots of minutes to come most are, and each stays."""
        self._order: list[float] = []

    @property
    def next(self) -> float:
        """When `come` is due next."""
        return self._order[0] * TICK if self._order else inf

    def new(self, callback: Callable[[], None]) -> Moment:
        """A moment that is not set."""
        return Moment(self, callback)

    def come(self, now: float) -> list[Moment]:
        """The moments that have come by now; they are not set any more."""
        due = []
        while self._order and self._order[0] * TICK <= now:
            for moment in self._slots.pop(heappop(self._order)) or ():
                moment._slot = inf
                if moment.at <= now:
                    moment.at = inf
                    due.append(moment)
                elif moment.at < inf:
                    self.lay(moment)
        return due

    def lay(self, moment: Moment) -> None:
        """Put a moment into the slot of its time. For `Moment`."""
        self.take_out(moment)
        moment._slot = slot = float(ceil(moment.at / TICK))
        there = self._slots.get(slot)
        if there is not None:
            there.add(moment)
            return
        if slot not in self._slots:
            heappush(self._order, slot)
        self._slots[slot] = {moment}

    def take_out(self, moment: Moment) -> None:
        """Take a moment out of its slot, if it lies in one. For `Moment`."""
        if moment._slot < inf:
            there = self._slots[moment._slot]
            assert there is not None
            there.discard(moment)
            if not there:
                self._slots[moment._slot] = None
            moment._slot = inf
