"""Items that were refused alone: each stands in a lane of its own until it is woken, and then with the others again."""

from __future__ import annotations

from typing import TypeVar

from penstock.queueing.lanes import Lane

__all__ = ["give_back", "set_apart"]

T = TypeVar("T")


def set_apart(lane: Lane[T]) -> Lane[T]:
    """The head in a lane of its own, so that it alone is parked, and not those that come after it."""
    group = lane.group
    if lane in group.singles:
        return lane
    if lane.live == 1:
        del group.lanes[lane.key]
        group.set_apart(lane)
        return lane
    entry = lane.head
    arena = lane.arena
    if arena is not None:
        arena.remove(lane)
    single: Lane[T] = Lane(lane.key, group, lane.resources)
    entry.lane = single
    lane.live -= 1
    lane.next_head()
    entry.next = None
    single.append(entry)
    if arena is not None:
        arena.insert(lane)
    group.set_apart(single)
    return single


def give_back(single: Lane[T]) -> bool:
    """Whether the item stands with the others of its shape again; otherwise there are none, and its lane is theirs."""
    group = single.group
    group.singles.remove(single)
    lane = group.lanes.get(single.key)
    if lane is None:
        group.lanes[single.key] = single
        return False
    arena = lane.arena
    if arena is not None:
        arena.remove(lane)  # its head may be another, and so its place
    lane.take_back(single.head)
    if arena is not None:
        arena.insert(lane)
    return True
