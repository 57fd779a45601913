"""Who could run now, for policies that hold a group back for its peers.

A group could run if it is below its limit and has something that nothing refuses, of a shape that fits beside what is
reserved. Per place it is kept how many lanes are of groups below their limits; the rest is worked out when it is asked:
that costs the number of shapes that fit, whatever is queued. `competing` walks the groups, and costs their number.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterable, Iterator, Mapping
from typing import Generic, TypeVar

from penstock.queueing.lanes import Group, Lane
from penstock.queueing.places import Place, Shape, Shapes
from penstock.queueing.reservations import Reservations

__all__ = ["Contenders"]

T = TypeVar("T")


class Contenders(Generic[T]):
    """Live counts of who could run. Pure.

    `moved` is called with the lanes of a group that has come to its limit: for others the queue has changed.
    """

    def __init__(self, groups: Mapping[Hashable, Group[T]], moved: Callable[[Iterable[Lane[T]]], None]) -> None:
        self._groups = groups
        self._moved = moved
        self._shapes: Shapes[T]
        self._reservations: Reservations[T]
        self.capped: set[Hashable] = set()
        """The groups at their limits, whether something of them is queued or not; to be read only."""
        self.resting = False
        """Whether those are asked once more who look at the queue: then nobody could run."""

    def look_at(self, shapes: Shapes[T], reservations: Reservations[T]) -> None:
        """Count by these from now on."""
        self._shapes, self._reservations = shapes, reservations

    def cap(self, key: Hashable, begins: bool) -> None:
        """A group has come to its limit, or is below it again."""
        (self.capped.add if begins else self.capped.discard)(key)
        group = self._groups.get(key)
        if group is None or group.capped == begins:
            return
        group.capped = begins
        lanes = group.all_lanes()
        for lane in lanes:
            if lane.place is not None:
                lane.place.able += -1 if begins else 1
        if begins:
            self._moved(lanes)

    def _asking(self, resource: Hashable, besides: Hashable) -> list[Shape[T]]:
        """The shapes that fit beside what is reserved for others: what this group has itself, it may give up."""
        room = self._shapes.room
        found = [shape for shape in self._shapes.fitting if resource in shape.resources]
        if room is None:
            return found
        reserved = self._reservations.besides(besides)
        return [shape for shape in found if room.fits_beside(shape.needs, reserved)]

    def count(self, resource: Hashable, besides: Hashable, nor: Iterable[Hashable] = ()) -> int:
        """How many lanes of groups other than this, and than these, could run now that ask for the resource."""
        if self.resting:
            return 0
        shapes = self._asking(resource, besides)
        found = 0
        for shape in shapes:
            for place in shape.places:
                found += place.able
        for key in (besides, *(each for each in nor if each != besides)) if found else ():
            group = self._groups.get(key)
            if group is not None and not group.capped:
                found -= sum(self._stands_in(lane, shapes) for lane in group.all_lanes())
        return found

    @staticmethod
    def _stands_in(lane: Lane[T], shapes: list[Shape[T]]) -> bool:
        place: Place[T] | None = lane.place
        return place is not None and place.candidate and place.shape in shapes

    def competing(self, resource: Hashable) -> Iterator[tuple[Hashable, float]]:
        """The groups below their limits with something that nothing refuses, and that waits for room in this resource
        at most, with their weights. It walks all groups."""
        room = self._shapes.room
        for key, group in self._groups.items():
            if group.capped:
                continue
            for lane in group.all_lanes():
                place = lane.place
                if place is None or not place.candidate or all(r != resource for r, _ in lane.resources):
                    continue
                if room is None or all(
                    r == resource or room.free[r] - room.reserved.get(r, 0) >= n for r, n in lane.resources
                ):
                    yield key, group.weight
                    break
