"""Room that is kept for a large item, so that small ones do not starve it.

While it is not first in the order, smaller ones may pass it: a free place is there to be used. Once it is first and
does not fit, what it is short of is *reserved*: all that comes free of it is kept, and others go only beside that
(backfill). When enough of that is there and it is short of something else by then, that is reserved too. So it starts
within one turnover of each resource that it asks for, one after another at worst, and no place is kept empty of a
resource that it could not use yet. Several have reservations at once if all that they ask for fits into the limits
together; each starts as soon as it fits beside those before it.

Lost: strict head of line (nobody passes), which leaves half of the places empty wherever sizes are mixed; one resource
at a time, which starves who needs much of two; all resources from the first on, which keeps a place of `submission`
empty for as long as the one gpu is out; and reservations by expected ends, as in the EASY backfilling of batch
systems (D. Lifka, 1995), which need to know how long a task runs.
"""

from __future__ import annotations

from collections.abc import Hashable, Mapping
from typing import Generic, TypeVar

from penstock.queueing.lanes import Lane, Resources
from penstock.queueing.places import Shapes, total

__all__ = ["Reservations"]

T = TypeVar("T")


class Reservations(Generic[T]):
    """The lanes for whose heads room is kept, in the order in which they came to be next. Pure."""

    def __init__(self, shapes: Shapes[T]) -> None:
        self._room = shapes.room
        self.lanes: dict[Lane[T], dict[Hashable, int]] = {}
        """With what is kept for each: all of its need of a resource, or nothing."""

    def would_take(self, lane: Lane[T]) -> bool:
        """Whether this has none yet, and could have one beside the others."""
        if lane in self.lanes or self._room is None:
            return False
        return self._room.within_limits([*(each.resources for each in self.lanes), lane.resources])

    def begin(self, lane: Lane[T]) -> bool:
        """Keep room for a lane; whether there was none for it before."""
        if lane in self.lanes:
            return False
        self.lanes[lane] = self._short_of(lane, total(self.lanes.values()))
        self._changed()
        return True

    def end(self, lane: Lane[T]) -> bool:
        """Its head has started, or may not start now: nothing is kept for it. Whether something was."""
        if lane not in self.lanes:
            return False
        del self.lanes[lane]
        self._changed()
        return True

    def too_many(self) -> list[Lane[T]]:
        """Those that could not be held beside the ones before them, since the limits are lower than they were."""
        held: list[Lane[T]] = []
        found = []
        for lane in self.lanes:
            assert self._room is not None
            if self._room.within_limits([*(each.resources for each in held), lane.resources]):
                held.append(lane)
            else:
                found.append(lane)
        return found

    def _changed(self) -> None:
        assert self._room is not None
        self._room.reserved.clear()
        self._room.reserved.update(total(self.lanes.values()))

    def _short_of(self, lane: Lane[T], kept: Mapping[Hashable, int]) -> dict[Hashable, int]:
        """The resources of which less is free than this takes, beside what is kept for others, with what it takes."""
        assert self._room is not None
        free = self._room.free
        return {resource: n for resource, n in lane.resources if free[resource] - kept.get(resource, 0) < n}

    def first_that_fits(self) -> Lane[T] | None:
        """The first that fits beside what is kept for those before it."""
        before: dict[Hashable, int] = {}
        for lane, kept in self.lanes.items():
            short_of = self._short_of(lane, before)
            if not short_of:
                return lane
            if kept.keys().isdisjoint(short_of):
                kept |= short_of
                self._changed()
            before = total([before, kept])
        return None

    def besides(self, group: Hashable) -> Mapping[Hashable, int]:
        """What is kept for others than this group."""
        if not self.lanes or self._room is None:
            return {}
        return total(kept for lane, kept in self.lanes.items() if lane.group.key != group)

    def leave_room_for(self, needs: Resources) -> bool:
        """Whether this fits beside all that is kept."""
        return not self.lanes or self._room is None or self._room.fits_beside(needs, self._room.reserved)

    def check_invariants(self) -> None:
        """Room is kept only for those who may be asked. Raises `AssertionError`."""
        if self._room is not None:
            assert self._room.reserved == total(self.lanes.values())
            assert self._room.limits_move or not self.too_many()
        assert all(lane.place is not None and lane.place.candidate and lane.live for lane in self.lanes)
