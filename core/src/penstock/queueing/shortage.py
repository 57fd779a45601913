"""Who of those that do not fit is first in the order: for them room is to be kept, when it is their turn.

Per home (what competes for one resource has one clock) their places stand in two heaps: those whose first lane the
clock has reached, by its finish tag, and the others by their start tags. Tags only grow while a lane stands where it
is, so what a heap says is a lower bound, and is put right when it surfaces; what may lower it is noted anew. So it
costs the same with one shape that is short as with a hundred.
"""

from __future__ import annotations

from collections.abc import Callable, Container, Hashable
from heapq import heappop, heappush
from typing import Generic, TypeVar

from penstock.queueing.lanes import Lane
from penstock.queueing.places import Place

__all__ = ["Rank", "Shortage", "rank_of"]

T = TypeVar("T")

Rank = tuple[bool, float, int]
"""Comparable between all lanes of an order, at one moment: the smallest goes first."""

NOISE = 1e-12
"""Tags that differ by no more than this part of the clock are equal: they are sums of floats."""


def rank_of(place: Place[T], lane: Lane[T]) -> Rank:
    """First those that their clock has reached, by how far from it they would finish; then the others, by how far it
    has to go."""
    clock = place.arena.clock
    start, finish = place.arena.tags(lane)
    if start > clock + NOISE * (1.0 + clock):
        return True, start - clock, lane.head.sequence
    return False, finish - clock, lane.head.sequence


class _Home(Generic[T]):
    """The places of one home."""

    __slots__ = ("bound", "clock", "fresh", "noted", "reached", "waiting")

    def __init__(self) -> None:
        self.noted = 0
        """How many places are noted here."""
        self.fresh: dict[Place[T], None] = {}
        """Those whose first lane is to be looked at."""
        self.reached: list[tuple[float, int, int, Place[T]]] = []
        self.waiting: list[tuple[float, int, Place[T]]] = []
        self.clock = 0.0
        self.bound: Rank | None = None
        """At this clock nobody here comes before this."""


class Shortage(Generic[T]):
    """The places of shapes that do not fit."""

    def __init__(
        self,
        first: Callable[[Place[T]], Lane[T] | None],
        apart: Callable[[Hashable, Hashable], bool] | None = None,
    ) -> None:
        self._first = first
        self._apart = apart
        self._homes: dict[Hashable, _Home[T]] = {}
        self._stamp = 0

    def note(self, place: Place[T]) -> None:
        """Somebody stands there now, does not fit, and may be the first."""
        if not place.shape.can_be_passed:
            return
        home = self._homes.get(place.shape.home)
        if home is None:
            home = self._homes[place.shape.home] = _Home()
        if not place.noted:
            home.noted += 1
            place.noted = -1
        home.fresh[place] = None
        home.bound = None

    def remove(self, place: Place[T]) -> None:
        """Nobody there is short any more."""
        home = self._homes.get(place.shape.home)
        if home is None or not place.noted:
            return
        place.noted = 0
        home.fresh.pop(place, None)
        home.noted -= 1
        if not home.noted:
            del self._homes[place.shape.home]

    def before(self, rank: Rank, besides: Container[Lane[T]], of: Hashable) -> Lane[T] | None:
        """The first of all, if it comes before this one of the home `of`. Those of `besides` are passed over until they
        are noted again."""
        best: Lane[T] | None = None
        for key, home in [*self._homes.items()]:
            if self._apart is not None and key != of and self._apart(key, of):
                continue
            if home.bound is not None and home.bound >= rank and home.clock == self._clock_of(home):
                continue
            place = self._first_of(home, besides)
            lane = None if place is None else self._first(place)
            if place is None or lane is None:
                continue
            home.clock, home.bound = place.arena.clock, rank_of(place, lane)
            if home.bound < rank:
                best, rank = lane, home.bound
        return best

    @staticmethod
    def _clock_of(home: _Home[T]) -> float | None:
        if home.reached:
            return home.reached[0][3].arena.clock
        return home.waiting[0][2].arena.clock if home.waiting else None

    def _file(self, home: _Home[T], place: Place[T], besides: Container[Lane[T]]) -> None:
        """Put a place where its first lane's tags say; if there is none to be looked for, it is removed."""
        lane = self._first(place)
        if lane is None or lane in besides:
            self.remove(place)
            return
        self._stamp += 1
        place.noted = stamp = self._stamp
        clock = place.arena.clock
        start, finish = place.arena.tags(lane)
        if start > clock + NOISE * (1.0 + clock):
            heappush(home.waiting, (start, stamp, place))
        else:
            heappush(home.reached, (finish, lane.head.sequence, stamp, place))
        if len(home.reached) > 2 * home.noted + 16:
            home.reached = sorted(entry for entry in home.reached if entry[3].noted == entry[2])
        if len(home.waiting) > 2 * home.noted + 16:
            home.waiting = sorted(entry for entry in home.waiting if entry[2].noted == entry[1])

    def _first_of(self, home: _Home[T], besides: Container[Lane[T]]) -> Place[T] | None:
        while home.fresh:
            self._file(home, home.fresh.popitem()[0], besides)
        waiting = home.waiting
        while waiting:
            start, stamp, place = waiting[0]
            clock = place.arena.clock
            if place.noted == stamp and start > clock + NOISE * (1.0 + clock):
                break
            heappop(waiting)
            if place.noted == stamp:
                self._file(home, place, besides)
            waiting = home.waiting
        while home.reached:
            finish, sequence, stamp, place = home.reached[0]
            lane = self._first(place) if place.noted == stamp else None
            right = lane is not None and (place.arena.tags(lane)[1], lane.head.sequence) == (finish, sequence)
            if right and lane not in besides:
                return place
            heappop(home.reached)
            if place.noted == stamp:
                self._file(home, place, besides)
        return home.waiting[0][2] if home.waiting else None
