"""What a queue is made of: items in lanes, lanes under their groups, and the protocol by which an order is written.

Items of one group with one shape (resource vector) stand in one *lane*, first in, first out; lanes stand under
their group, groups under the whole queue. A refusal blocks one of these *nodes*, and covers what is below it. Lanes
stand in *arenas*, which know the order; an order plugin writes the two protocols `Order` and `Arena`, and nothing
else of a queue. `lane_queue.py` moves lanes between arenas.
"""

from __future__ import annotations

from collections.abc import Hashable, Iterator
from heapq import heappop, heappush
from typing import Any, Final, Generic, Protocol, TypeVar

import attrs

from penstock.words.native import mypyc_attr
from penstock.words.verdicts import Condition, Denied

__all__ = ["ALL", "NOT_FILED", "Arena", "Entry", "Group", "Lane", "Node", "Order", "Resources"]

T = TypeVar("T")

Resources = tuple[tuple[Hashable, int], ...]
"""What one item asks for: each resource with its amount."""

ALL: Final = 1 << 62
"""As much as anybody could need."""

NOT_FILED: Final[set[Condition]] = set()
"""What nothing was ever filed under: most nodes, so they share it, and nobody puts anything in."""


class Node(Generic[T]):
    """What a refusal can block: the whole queue, a group, or a lane.

    `denied` is the refusal under which it is; by itself alone, or in the class `joined`. While that class is open, the
    refusal is over, and the node stands there until it was asked.
    """

    __slots__ = ("asked", "denied", "filed", "joined", "since")

    def __init__(self) -> None:
        self.denied: Denied | None = None
        self.asked: Entry | None = None
        """Who met that refusal."""
        self.since = 0.0
        self.joined: Any = None
        """A `RefusalClass`, or `None`."""
        self.filed: set[Condition] = NOT_FILED
        """The conditions that end the refusal for this node alone."""

    @property
    def closed(self) -> bool:
        """Whether nothing below it may be asked."""
        return self.denied is not None and (self.joined is None or not self.joined.open)

    def in_force(self, denied: Denied) -> Denied:
        """The refusal under which it is, with what ends it: in a class that is what the latest answer there named."""
        if self.joined is None or denied.until == (until := self.filed | self.joined.filed):
            return denied
        return attrs.evolve(denied, until=until)


@mypyc_attr(allow_interpreted_subclasses=True)
class Entry:
    """One item in a lane. `sequence` is its place in the order of arrival, `next` what came after it into its lane.

    A kind of entry may make its item late, by `make`. (Not generic: an object of a compiled generic class can be
    referred to weakly, and such a reference outlives it.)
    """

    __slots__ = ("cost", "lane", "made", "next", "sequence")

    def __init__(self, item: Any, sequence: int, cost: float, lane: Lane[Any] | None) -> None:
        self.made: Any = item
        """The item; `None`: it has not been made yet."""
        self.sequence = sequence
        self.cost = cost
        self.lane: Lane[Any] | None = lane
        """`None` while it is in no queue."""
        self.next: Entry | None = None

    def make(self) -> Any:
        """The item, which is made now if it was not before."""
        return self.made

    @property
    def item(self) -> Any:
        """The same."""
        return self.make()


_NOBODY: Final[Entry] = Entry(None, 0, 0.0, None)  # the head of a lane that nothing has been put into yet
_NONE_YET: Final[list[tuple[int, Entry]]] = []  # most lanes never have such items; nobody puts anything in
_NOT_SEVERAL: Final[dict[Resources, Lane[Any]]] = {}  # most groups have one lane; likewise
_NOBODY_ALONE: Final[set[Lane[Any]]] = set()  # of most groups likewise


class Lane(Node[T]):
    """The items of one group with one shape. `place` is where it is ordered; `None` while nothing below it is asked."""

    __slots__ = (
        "first", "gaps", "group", "head", "last", "live", "place", "position", "resources", "returned", "shape",
        "uneven",
    )  # fmt: skip

    def __init__(self, group: Group[T], resources: Resources, shape: Any) -> None:
        self.denied = None  # as of any node: lanes come and go with the tasks of a group
        self.asked = None
        self.since = 0.0
        self.joined = None
        self.filed = NOT_FILED
        self.group = group
        self.resources = resources
        self.shape = shape
        """A `Shape`: what it takes, with all lanes that take the same."""
        self.first: Entry | None = None
        """The items as they came, chained by `next`; some may have been discarded."""
        self.last: Entry | None = None
        self.gaps = 0
        """How many of them were discarded since the chain was mended, at most."""
        self.uneven = False
        """Whether the next head may be another than the next of the chain: for what was discarded or has returned."""
        self.returned: list[tuple[int, Entry]] = _NONE_YET
        """Items that were refused alone and have come back, as a heap by the order of arrival."""
        self.head: Entry = _NOBODY
        """The first item that has not been discarded. There is one: a lane that runs empty leaves at once."""
        self.live = 0
        """How many of the chain and of `returned` have not been discarded."""
        self.place: Any = None
        """A `Place`, or `None`."""
        self.position: Any = None
        """The arena's own note of where the lane stands."""

    def entries(self) -> list[Entry]:
        """What stands here, in no order."""
        return [entry for entry in (*self._chained(), *(e for _, e in self.returned)) if entry.lane is self]

    def append(self, entry: Entry) -> None:
        """A new last item."""
        if not self.live:
            self.head = entry
        last = self.last
        if last is None:
            self.first = entry
        else:
            last.next = entry
        self.last = entry
        self.live += 1

    def vacate(self) -> None:
        """Nothing is here any more, and nothing that was is kept."""
        self.first = self.last = self.asked = None
        self.head = _NOBODY
        self.gaps, self.returned, self.uneven = 0, _NONE_YET, False

    def take_back(self, entry: Entry) -> None:
        """An item that stood alone for a while stands here again, in its place."""
        entry.lane = self
        self.live += 1
        self.file_by_number(entry)
        if entry.sequence < self.head.sequence:
            self.head = entry

    def file_by_number(self, entry: Entry) -> None:
        """Keep an item by its number, whenever it came."""
        if not self.returned:
            self.returned = []
        self.uneven = True
        heappush(self.returned, (entry.sequence, entry))

    def discarded(self) -> None:
        """An item in the middle of the chain is no more: when they are most of it, it is mended."""
        self.gaps += 1
        self.uneven = True
        if self.gaps > self.live + 8:
            self._mend()

    def unchain_last(self, before: Entry | None) -> None:
        """The last item of the chain is kept elsewhere; `before` was the last one before it."""
        self.last = before
        if before is None:
            self.first = None
        else:
            before.next = None

    def _chained(self) -> Iterator[Entry]:
        entry = self.first
        while entry is not None:
            yield entry
            entry = entry.next

    def _mend(self) -> None:
        """Chain those anew that have not been discarded; the others are let go, and let go of what they held."""
        chained = [*self._chained()]
        self.gaps = 0
        self.first = self.last = None
        for entry in chained:
            entry.next = None
            if entry.lane is not self:
                continue
            if self.last is None:
                self.first = entry
            else:
                self.last.next = entry
            self.last = entry

    def next_head(self) -> None:
        """The head has left: the next that has not been discarded is the head now, if there is one."""
        first, returned = self.first, self.returned
        while first is not None and first.lane is not self:
            following, first.next = first.next, None  # whoever keeps an entry that has left keeps none that came later
            first = following
        self.first = first
        if first is None:
            self.last = None
            self.gaps = 0
        else:
            self.head = first
        if returned:
            while returned and returned[0][1].lane is not self:
                heappop(returned)
            if returned and (first is None or returned[0][0] < first.sequence):
                self.head = returned[0][1]
        self.uneven = self.gaps > 0 or bool(returned)

    def check_invariants(self) -> None:
        """Counts and head agree with what stands here. Raises `AssertionError`."""
        standing = [entry for entry in (*self._chained(), *(e for _, e in self.returned)) if entry.lane is self]
        assert len(standing) == self.live > 0
        assert self.head is min(standing, key=lambda entry: entry.sequence)
        assert self.uneven or [*self._chained()] == sorted(standing, key=lambda entry: entry.sequence)


class Group(Node[T]):
    """The lanes of one group. It leaves with its last item."""

    __slots__ = ("capped", "key", "lanes", "most_noted", "most_queued", "name", "queued", "singles", "sole", "weight")

    def __init__(self, key: Hashable, weight: float) -> None:
        super().__init__()
        self.key = key
        self.name = key
        """What conditions about the group name."""
        self.weight = weight
        self.sole: Lane[T] | None = None
        """Its lane, if it has one alone."""
        self.lanes: dict[Resources, Lane[T]] = _NOT_SEVERAL
        """Its lanes, if they are several."""
        self.singles: set[Lane[T]] = _NOBODY_ALONE
        """Lanes of one item that was refused alone."""
        self.capped = False
        """Whether it is at its limit: then it counts for nobody as one that could run."""
        self.queued = 0
        """How many items there are, in all its lanes."""
        self.most_queued = 0
        """How many there have been at once, and how many of that the queue has noted."""
        self.most_noted = 0

    def all_lanes(self) -> list[Lane[T]]:
        """Every lane of the group, those of one refused item included."""
        return [*self.shared_lanes(), *self.singles]

    def shared_lanes(self) -> list[Lane[T]]:
        """Those that what comes is put into."""
        return [*self.lanes.values()] if self.sole is None else [self.sole]

    def lane_of(self, resources: Resources) -> Lane[T] | None:
        """The lane of items that take these."""
        sole = self.sole
        if sole is None:
            return self.lanes.get(resources)
        return sole if sole.resources == resources else None

    def add_lane(self, lane: Lane[T]) -> None:
        """One more lane; there is none for these resources."""
        if self.lanes:
            self.lanes[lane.resources] = lane
        elif self.sole is None:
            self.sole = lane
        else:
            self.lanes, self.sole = {self.sole.resources: self.sole, lane.resources: lane}, None

    def drop_lane(self, lane: Lane[T]) -> None:
        """One lane less."""
        if self.sole is lane:
            self.sole = None
        elif self.lanes.get(lane.resources) is lane:
            del self.lanes[lane.resources]
            if len(self.lanes) == 1:
                (self.sole,) = self.lanes.values()
                self.lanes = _NOT_SEVERAL

    def has_one_lane(self) -> bool:
        """Whether all its items stand in one lane."""
        return (not self.singles) if self.sole is not None else (len(self.lanes) + len(self.singles) == 1)

    def set_apart(self, lane: Lane[T]) -> Lane[T]:
        """The head of a lane in a lane of its own, so that it alone is blocked, and not those that come after it."""
        if lane in self.singles:
            return lane
        if not self.singles:
            self.singles = set()
        if lane.live == 1:
            self.drop_lane(lane)
            self.singles.add(lane)
            return lane
        entry = lane.head
        single: Lane[T] = Lane(self, lane.resources, lane.shape)
        entry.lane = single
        lane.live -= 1
        lane.next_head()
        entry.next = None
        single.append(entry)
        self.singles.add(single)
        return single

    def give_back(self, single: Lane[T]) -> Lane[T] | None:
        """The lane of its shape, in which the item is to stand again; `None` if there is none, and its own is that."""
        self.singles.remove(single)
        lane = self.lane_of(single.resources)
        if lane is None:
            self.add_lane(single)
        return lane

    def refusals(self) -> Iterator[tuple[object, Denied, float, int]]:
        """What keeps lanes back: scope key, refusal, since when, how many items."""
        whole = 0
        for lane in self.all_lanes():
            if lane.denied is not None and lane.closed:
                yield (
                    lane.head.make() if lane in self.singles else (self.key, lane.resources),
                    lane.in_force(lane.denied),
                    lane.since,
                    lane.live,
                )
            else:
                whole += lane.live
        if whole and self.denied is not None and self.closed:
            yield self.key, self.in_force(self.denied), self.since, whole


class Arena(Protocol[T]):
    """Lanes in order. What an order plugin writes; `Order` makes them."""

    def insert(self, lane: Lane[T]) -> None:
        """A lane comes in, from another arena or fresh."""
        ...

    def remove(self, lane: Lane[T]) -> None:
        """A lane leaves; it keeps its group's lag or lead."""
        ...

    def first(self) -> Lane[T] | None:
        """The lane whose head is next. Changes nothing that could be seen."""
        ...

    def served(self, lane: Lane[T], cost: float) -> None:
        """The lane's head was taken, at this cost. The lane has a new head, or is about to be removed."""
        ...

    def offered(self, begins: bool) -> None:
        """The arena's lanes may be asked from now on, or no longer. Those that are offered together compete."""
        ...

    def short(self, begins: bool) -> None:
        """There is no room for what the arena's lanes ask for, or there is again. They go on competing."""
        ...

    @property
    def clock(self) -> float:
        """The time of its home, in which its tags are. It does not go back as long as anything is queued."""
        ...

    def tags(self, lane: Lane[T]) -> tuple[float, float]:
        """The start and the finish tag of the lane's head: lanes whose start tags the clock has reached go first, the
        one with the smallest finish tag before all; of equals the one that came first. Between homes the distance to
        the clock counts. While the lane stands here and its head stays, its tags only grow.
        """
        ...


class Order(Protocol[T]):
    """The order of a queue."""

    def arena(self, home: Hashable) -> Arena[T]:
        """A new arena, which is not offered yet, for lanes of one shape; `home` is the resource that it takes most of.

        Lanes of the same home compete for the same, whatever their amounts.
        """
        ...

    def forget(self) -> None:
        """The queue is empty: a new busy period begins with the next item."""
        ...
