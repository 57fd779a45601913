"""Lanes in which the earliest deadline goes first, and who has none comes after those who have one; or the highest
priority.

The order between groups is not touched: a deadline says who of a group goes next, when it is the group's turn. So
an item's number, by which a lane is ordered, is not its place in the order of arrival but its deadline followed
by that place. A lane keeps such items in a heap, so coming and going costs the logarithm of its length, and
nobody looks at the others. A refused lane stays refused when somebody more urgent joins it, since a refusal for
one of them holds for all.

Source of the rule: C. L. Liu and J. W. Layland, "Scheduling algorithms for multiprogramming in a hard-real-time
environment", Journal of the ACM 20(1), 1973.
"""

from __future__ import annotations

import math
from collections.abc import Hashable
from heapq import heapify
from struct import pack, unpack
from typing import Final, TypeVar

from penstock.queueing.lane_queue import LaneQueue
from penstock.queueing.lanes import Entry, Lane

__all__ = ["DeadlineLanes", "urgency"]

T = TypeVar("T")

_ARRIVALS: Final = 64
"""Bits for the place in the order of arrival."""


def urgency(deadline: float | None, arrived: int) -> int:
    """A number that is smaller for an earlier deadline (a moment; `None`: never); of equals, for who came first.

    >>> urgency(1.5, 9) < urgency(2.0, 1) < urgency(2.0, 2) < urgency(None, 1)
    True
    """
    moment = math.inf if deadline is None else deadline + 0.0  # there is no minus zero then
    (bits,) = unpack(">q", pack(">d", moment))
    ordered: int = (
        bits if bits >= 0 else bits ^ 0x7FFF_FFFF_FFFF_FFFF
    )  # the bits of a float are in order but for its sign
    return (ordered << _ARRIVALS) + arrived


class DeadlineLanes(LaneQueue[T]):
    """A `LaneQueue` in which items of a group go by their deadlines. Pure."""

    def add_due(
        self,
        item: T,
        group_key: Hashable,
        weight: float,
        resources: tuple[tuple[Hashable, int], ...],
        cost: float,
        deadline: float | None,
    ) -> Entry:
        """As `add`, with the moment by which the item is to be served."""
        there = self._lane(group_key, resources)
        last = None if there is None else there.last
        entry = self.add(item, group_key, weight, resources, cost)
        lane = entry.lane
        assert lane is not None
        number = urgency(deadline, entry.sequence)
        new_head = lane.head is entry or number < lane.head.sequence  # it may be head by its place in the order alone
        arena = lane.place.arena if new_head and lane.place is not None else None
        if arena is not None:
            arena.remove(lane)  # its head is another now, and so perhaps its place
        lane.unchain_last(last)
        entry.sequence = number
        lane.file_by_number(entry)
        if new_head:
            lane.next_head()
        if arena is not None:
            arena.insert(lane)
            if lane.place.shape.short_of is not None and lane.place.candidate:
                self._refusals.shortage.note(lane.place)
        return entry

    def add_by_priority(
        self,
        item: T,
        group_key: Hashable,
        weight: float,
        resources: tuple[tuple[Hashable, int], ...],
        cost: float,
        priority: int,
    ) -> Entry:
        """As `add`, for an item that goes before all of its group with a lower priority, and behind those with a higher
        one or as high a one that came before. The number of one with priority 0 is its place in the order of arrival,
        so where all have that, nothing is other than in the order of arrival.
        """
        lane = self._lane(group_key, resources)
        if priority == 0 and (lane is None or not lane.returned):
            return self.add(item, group_key, weight, resources, cost)
        return self.add_due(item, group_key, weight, resources, cost, -float(priority))

    def _lane(self, group_key: Hashable, resources: tuple[tuple[Hashable, int], ...]) -> Lane[T] | None:
        group = self.groups.get(group_key)
        return None if group is None else group.lane_of(resources)

    def discard(self, entry: Entry) -> None:
        """As of any lanes; and what left from the middle of a heap does not stay there for ever."""
        lane = entry.lane
        super().discard(entry)
        if lane is not None and len(lane.returned) > 2 * lane.live + 8:
            lane.returned = [(number, each) for number, each in lane.returned if each.lane is lane]
            heapify(lane.returned)
