"""What a queue is made of: items in lanes, lanes in arenas, and the protocol by which an order is written.

Items of one group with one shape (resource vector) stand in one *lane*, first in, first out, since a
refusal for one of them holds for all. Lanes stand in *arenas*, which know the order: the arena of those
that are ready, and one for each *line*, a set of lanes that were refused under the same cohort.
`lane_queue.py` moves lanes between them; an order plugin writes the two protocols `Order` and `Arena`, and
nothing else of a queue.
"""

from __future__ import annotations

from collections.abc import Collection, Hashable, Iterator
from heapq import heappop, heappush
from typing import Any, Final, Generic, Protocol, TypeVar

from penstock.queueing.ready_groups import ReadyGroups, Resources
from penstock.words.verdicts import Condition, Denied

__all__ = ["ALL", "NOT_FILED", "Arena", "Entry", "Group", "Lane", "Line", "Order", "Shut"]

T = TypeVar("T")

ALL: Final = 1 << 62
"""As much as anybody could need."""


class Entry(Generic[T]):
    """One item in a lane. `sequence` is its place in the order of arrival, `next` what came after it into its lane."""

    __slots__ = ("cost", "item", "lane", "next", "sequence")

    def __init__(self, item: T, sequence: int, cost: float, lane: Lane[T]) -> None:
        self.item = item
        self.sequence = sequence
        self.cost = cost
        self.lane: Lane[T] | None = lane
        """`None` once it has left the queue."""
        self.next: Entry[T] | None = None


class Lane(Generic[T]):
    """The items of one group with one shape. `arena` is where it is ordered; `None` while it is parked alone."""

    __slots__ = (
        "arena", "denied", "filed", "first", "gaps", "group", "head", "key", "last", "line", "live", "position",
        "resources", "returned", "since", "split", "stamp",
    )  # fmt: skip

    def __init__(self, key: Hashable, group: Group[T], resources: Resources) -> None:
        self.key = key
        self.group = group
        self.resources = resources
        self.first: Entry[T] | None = None
        """The items as they came, chained by `next`; some may have been discarded."""
        self.last: Entry[T] | None = None
        self.gaps = 0
        """How many of them were discarded since the chain was mended, at most."""
        self.returned: list[tuple[int, Entry[T]]] = _NONE_YET
        """Items that were refused alone and have come back, as a heap by the order of arrival."""
        self.head: Entry[T] = _NOBODY
        """The first item that has not been discarded. There is one: a lane that runs empty leaves at once."""
        self.live = 0
        """How many of the chain and of `returned` have not been discarded."""
        self.arena: Arena[T] | None = None
        self.line: Line[T] | None = None
        self.denied: Denied | None = None
        self.since = 0.0
        self.filed: set[Condition] = NOT_FILED
        self.stamp = 0
        self.split: tuple[Denied, frozenset[Condition], frozenset[Condition]] | None = None
        """A refusal by which it stood in a line; of its conditions those of this lane alone, and those of the line."""
        self.position: Any = None
        """The arena's own note of where the lane stands."""

    def append(self, entry: Entry[T]) -> None:
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

    def take_back(self, entry: Entry[T]) -> None:
        """An item that stood alone for a while stands here again, in its place."""
        entry.lane = self
        self.live += 1
        self.file_by_number(entry)
        if entry.sequence < self.head.sequence:
            self.head = entry

    def file_by_number(self, entry: Entry[T]) -> None:
        """Keep an item by its number, whenever it came."""
        if not self.returned:
            self.returned = []
        heappush(self.returned, (entry.sequence, entry))

    def discarded(self) -> None:
        """An item in the middle of the chain is no more: when they are most of it, it is mended."""
        self.gaps += 1
        if self.gaps > self.live + 8:
            self._chain([entry for entry in self._chained() if entry.lane is self])

    def unchain(self, entry: Entry[T]) -> None:
        """An item of the chain is kept elsewhere."""
        self._chain([each for each in self._chained() if each is not entry])

    def _chained(self) -> Iterator[Entry[T]]:
        entry = self.first
        while entry is not None:
            yield entry
            entry = entry.next

    def _chain(self, entries: list[Entry[T]]) -> None:
        self.gaps = 0
        self.first = self.last = None
        for entry in entries:
            entry.next = None
            if self.last is None:
                self.first = entry
            else:
                self.last.next = entry
            self.last = entry

    def next_head(self) -> None:
        """The head has left: the next that has not been discarded is the head now, if there is one."""
        first, returned = self.first, self.returned
        while first is not None and first.lane is not self:
            first = first.next
        self.first = first
        if first is None:
            self.last = None
        else:
            self.head = first
        if returned:
            while returned and returned[0][1].lane is not self:
                heappop(returned)
            if returned and (first is None or returned[0][0] < first.sequence):
                self.head = returned[0][1]

    def check_invariants(self) -> None:
        """Counts and head agree with what stands here. Raises `AssertionError`."""
        standing = [entry for entry in (*self._chained(), *(e for _, e in self.returned)) if entry.lane is self]
        assert len(standing) == self.live > 0
        assert self.head is min(standing, key=lambda entry: entry.sequence)


_NOBODY: Final[Any] = None  # the head of a lane that nothing has been put into yet
_NONE_YET: Final[Any] = ()  # most lanes never have such items, and an empty list for each of them is memory too
_NOBODY_ALONE: Final[Any] = frozenset()
NOT_FILED: Final[Any] = frozenset()
"""What nothing was ever filed under: most lanes, so they share it."""


class Group(Generic[T]):
    """The lanes of one group, and how much of it is queued. It leaves with its last item."""

    __slots__ = ("denied", "key", "lanes", "queued", "since", "singles", "weight")

    def __init__(self, key: Hashable, weight: float) -> None:
        self.key = key
        self.weight = weight
        self.lanes: dict[Hashable, Lane[T]] = {}
        self.singles: set[Lane[T]] = _NOBODY_ALONE
        """Lanes of one item that was refused alone."""
        self.queued = 0
        self.denied: Denied | None = None
        self.since = 0.0

    def set_apart(self, lane: Lane[T]) -> None:
        """A lane of one item that was refused alone."""
        if not self.singles:
            self.singles = set()
        self.singles.add(lane)

    def all_lanes(self) -> list[Lane[T]]:
        """Every lane of the group, those of one refused item included."""
        return [*self.lanes.values(), *self.singles]

    def refusals(self, offered: Collection[Line[T]]) -> Iterator[tuple[object, Denied, float, int]]:
        """What keeps lanes back that are in no `offered` line: scope key, refusal, since when, how many items."""
        whole = 0
        for lane in self.all_lanes():
            if lane.denied is None or lane.line in offered:
                continue
            if lane.denied is self.denied:
                whole += lane.live
            else:
                scope_key = lane.head.item if lane in self.singles else (self.key, lane.key)
                yield scope_key, lane.denied, lane.since, lane.live
        if whole and self.denied is not None:
            yield self.key, self.denied, self.since, whole


class Shut:
    """The whole queue, refused at once."""

    __slots__ = ("denied", "filed", "since", "stamp")

    def __init__(self) -> None:
        self.denied: Denied | None = None
        self.since = 0.0
        self.filed: set[Condition] = set()
        self.stamp = 0


class Arena(Protocol[T]):
    """Lanes in order. What an order plugin writes; `Order` makes them."""

    def insert(self, lane: Lane[T]) -> None:
        """A lane comes in, from another arena or fresh."""
        ...

    def remove(self, lane: Lane[T]) -> None:
        """A lane leaves; it keeps in its group's account what it is owed or owes."""
        ...

    def first(self) -> Lane[T] | None:
        """The lane whose head is next. Changes nothing that could be seen."""
        ...

    def served(self, lane: Lane[T], cost: float) -> None:
        """The lane's head was taken, at this cost. The lane has a new head, or is about to be removed."""
        ...

    def offered(self, begins: bool) -> None:
        """The arena's lanes are offered from now on, or no longer. Those that are offered together compete."""
        ...

    def rank(self, lane: Lane[T]) -> float:
        """How early the lane's head is, comparable between the arenas of one order: the smallest goes first."""
        ...


class Order(Protocol[T]):
    """The order of a queue."""

    def arena(self, *, contended: bool) -> Arena[T]:
        """A new arena. `contended`: its lanes compete for something, and go on competing while they wait."""
        ...

    def forget(self) -> None:
        """The queue is empty: a new busy period begins with the next item."""
        ...


class Line(Generic[T]):
    """Lanes refused under one cohort: they stand and fall together, and are asked one at a time."""

    __slots__ = (
        "amount", "arena", "cohort", "competes", "contended", "filed", "fresh", "groups", "lanes", "left", "stamp",
        "timed", "until",
    )  # fmt: skip

    def __init__(self, cohort: Hashable, arena: Arena[T], contended: bool, groups: ReadyGroups) -> None:
        self.cohort = cohort
        self.arena = arena
        self.contended = contended
        self.competes: bool = getattr(cohort, "competes", False)
        """Whether its lanes compete also while it is closed."""
        self.groups = groups
        """Which groups stand in it, per resource: while it is open they may be able to run."""
        self.lanes: set[Lane[T]] = set()
        self.fresh: dict[Lane[T], None] = {}
        """Those that have no place in the arena yet: it is given when the line is opened, if they still stand here."""
        self.until: frozenset[Condition] = frozenset()
        self.timed = False
        """Whether a moment is among these."""
        self.amount = 1
        self.left = 0
        """While it is open: how much of what was released is left for it."""
        self.filed: set[Condition] = set()
        self.stamp = 0
