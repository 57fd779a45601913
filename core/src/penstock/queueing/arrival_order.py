"""The order of arrival: the lane whose head came first goes first."""

from __future__ import annotations

from collections.abc import Hashable
from heapq import heappop, heappush
from typing import Any, Generic, TypeVar

from penstock.queueing.lanes import Lane

__all__ = ["ArrivalOrder"]

T = TypeVar("T")


class ArrivalOrder(Generic[T]):
    """An `Order` in which what came first goes first, whatever group it is of."""

    def arena(self, home: Hashable) -> ArrivalArena[T]:
        return ArrivalArena()

    def forget(self) -> None:
        """There is nothing to forget."""


class ArrivalArena(Generic[T]):
    """Lanes by the arrival of their heads: a heap, in which outdated entries are passed over when they surface."""

    def __init__(self) -> None:
        self._heap: list[tuple[int, int, Lane[Any]]] = []
        self._pushes = 0
        self._lanes = 0

    def insert(self, lane: Lane[T]) -> None:
        self._lanes += 1
        self._push(lane)

    def _push(self, lane: Lane[T]) -> None:
        self._pushes += 1
        entry = (lane.head.sequence, self._pushes, lane)
        lane.position = entry  # the entry itself: a number would also be found in an arena that the lane has left
        heappush(self._heap, entry)

    def remove(self, lane: Lane[T]) -> None:
        lane.position = None
        self._lanes -= 1
        if not self._lanes:
            self._heap = []

    def first(self) -> Lane[T] | None:
        heap = self._heap
        while heap:
            lane = heap[0][2]
            if lane.position is heap[0]:
                return lane
            heappop(heap)
        return None

    def served(self, lane: Lane[T], cost: float) -> None:
        if lane.live:
            self._push(lane)

    def offered(self, begins: bool) -> None:
        """It makes no difference to the order of arrival who else is offered."""

    def short(self, begins: bool) -> None:
        """Nor for whom there is room."""

    @property
    def clock(self) -> float:
        """There is no time: the start tags of all have been reached."""
        return 0.0

    def tags(self, lane: Lane[T]) -> tuple[float, float]:
        return 0.0, lane.head.sequence
