"""Where lanes stand: among the ready of their shape, or in a class of refusals.

A *shape* is what an item takes. It *fits* if of each resource as much is free as it takes; shapes that do not are
filed under one resource that is short, by need, and cost nothing until as much of it comes free.

A *class* is all that was refused under one cohort. It waits for what the latest answer under it named. When that comes
true it is *open*: its lanes are asked in order, where they stand, among those that are ready, until one is refused
under the same cohort again; then it is closed with all that are left in it.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterable, Mapping
from heapq import heappop, heappush
from typing import Any, Final, Generic, TypeVar

from penstock.queueing.lanes import NOT_FILED, Arena, Entry, Group, Lane, Node, Order, Resources
from penstock.words.native import mypyc_attr
from penstock.words.verdicts import Condition

__all__ = ["Place", "RefusalClass", "Room", "Shape", "Shapes"]

T = TypeVar("T")

KEPT: Final = 64
"""So many shapes are known before it is seen which are nobody's any more."""

VACANT: Final = 32
"""So many groups that have run empty are kept at hand."""


@mypyc_attr(allow_interpreted_subclasses=True)
class Room:
    """What is free of each resource, live, and what of it is reserved."""

    def __init__(self, limits: Mapping[Any, int], free: Mapping[Any, int], always: str | None) -> None:
        self.limits = limits
        self.free = free
        self.always = always
        """What every shape takes some of: if nothing of it is free, nobody fits. `None`: there is no such resource."""
        self.reserved: dict[Hashable, int] = {}
        self.limits_move = False
        """Whether limits change without being told."""

    def apart(self) -> Callable[[Hashable, Hashable], bool] | None:
        """Whether two homes have nothing in common, so that who is in one passes nobody in the other; `None`: none
        have."""
        return None

    def short_of(self, needs: Resources) -> Hashable | None:
        """A resource of which less is free than this takes, if there is one."""
        free = self.free
        for resource, amount in needs:
            if free[resource] < amount:
                return resource
        return None

    def fits_beside(self, needs: Resources, kept: Mapping[Hashable, int]) -> bool:
        """Whether there is room for this, and for what is kept."""
        free = self.free
        return all(free[resource] - amount >= kept.get(resource, 0) for resource, amount in needs)

    def within_limits(self, needs: Iterable[Resources]) -> bool:
        """Whether all these could be held at once."""
        return all(amount <= self.limits[resource] for resource, amount in total(dict(each) for each in needs).items())

    def can_be_passed(self, needs: Resources) -> bool:
        """Whether others could take what this waits for, so that room has to be kept for it."""
        return True

    def home(self, needs: Resources) -> Hashable:
        """The resource that this takes the largest share of, beside what all take; that, if it takes nothing else."""
        assert self.always is not None
        typed = [(-amount / self.limits[r], r) for r, amount in needs if r != self.always]
        return min(typed)[1] if typed else self.always


def total(amounts: Iterable[Mapping[Hashable, int]]) -> dict[Hashable, int]:
    """All these together."""
    found: dict[Hashable, int] = {}
    for each in amounts:
        for resource, amount in each.items():
            found[resource] = found.get(resource, 0) + amount
    return found


class Place(Generic[T]):
    """An arena with lanes of one shape, of the ready ones or of one class; `able`: how many are of groups below their
    limits."""

    __slots__ = ("able", "arena", "lanes", "noted", "of", "offered", "shape")

    def __init__(self, shape: Shape[T], of: RefusalClass[T] | None, arena: Arena[T]) -> None:
        self.shape = shape
        self.of = of
        self.arena = arena
        self.lanes = 0
        self.able = 0
        self.offered = False
        """Whether it is among those where some may be asked."""
        self.noted = 0
        """By what number it is noted among those that are short; 0: it is not."""

    @property
    def candidate(self) -> bool:
        """Whether its lanes may be asked."""
        return self.of is None or self.of.open


class Shape(Generic[T]):
    """What some lanes take, and the places where those stand that may be asked."""

    __slots__ = ("can_be_passed", "home", "needs", "places", "queued", "ready", "resources", "short_of", "stamp")

    def __init__(self, needs: Resources, home: Hashable, can_be_passed: bool = True) -> None:
        self.needs = needs
        self.can_be_passed = can_be_passed
        self.home = home
        self.resources = frozenset(resource for resource, _ in needs)
        self.ready: Place[T] | None = None
        self.places: list[Place[T]] = []
        """Of the ready ones, and of open classes."""
        self.short_of: Hashable | None = None
        self.stamp = 0
        self.queued = 0
        """How many items take this."""

    @property
    def stood_in(self) -> bool:
        """Whether anybody stands where some may be asked."""
        return any(place.lanes for place in self.places)


class RefusalClass(Generic[T]):
    """What was refused under one cohort."""

    __slots__ = ("asked", "cohort", "contended", "filed", "nodes", "open", "places")

    def __init__(self, cohort: Hashable, contended: bool) -> None:
        self.cohort = cohort
        self.contended = contended
        """Whether it is for want of room, so that who is admitted stays with those that wait for the same."""
        self.open = False
        self.asked: Entry | None = None
        """Who met the latest refusal of it."""
        self.nodes: dict[Node[T], None] = {}
        self.places: dict[Shape[T], Place[T]] = {}
        self.filed: set[Condition] = NOT_FILED


class Shapes(Generic[T]):
    """The shapes of all lanes, those that fit apart from those that do not. Without `room` all fit.

    `on_short` is called for each place where some may be asked, when it falls short, and when it does not any more.
    """

    def __init__(
        self,
        order: Order[T],
        room: Room | None = None,
        on_short: Callable[[Place[T], bool], Any] | None = None,
    ) -> None:
        self._order = order
        self._kept = KEPT
        self._emptied = 0
        self.room = room
        self._on_short = on_short
        self._by_needs: dict[Resources, Shape[T]] = {}
        self.fitting: dict[Shape[T], None] = {}
        """Those that fitted when they were looked at last, and in which somebody may be asked, or could be before."""
        self.sole: Place[T] | None = None
        """The place of the ready where all stand that may go, as long as it is one."""
        self.short: dict[Shape[T], None] = {}
        self.vacant: dict[Hashable, Group[T]] = {}
        """Groups that have run empty, with the one lane that they had, for when something of them comes again."""
        self._by_want: dict[Hashable, list[tuple[int, int, Shape[T]]]] = {}
        self._stamp = 0

    def of(self, needs: Resources) -> Shape[T]:
        """The shape of what takes these."""
        shape = self._by_needs.get(needs)
        if shape is None:
            if len(self._by_needs) >= self._kept:
                self._forget_empty()
            room = self.room
            shape = Shape(needs, None) if room is None else Shape(needs, room.home(needs), room.can_be_passed(needs))
            self._by_needs[needs] = shape
        return shape

    def keep_vacant(self, lane: Lane[T]) -> None:
        """The last lane of its group has run empty: keep both at hand."""
        if len(self.vacant) >= VACANT:
            self._forget_vacant()
        lane.vacate()
        lane.group.asked = None
        self.vacant[lane.group.key] = lane.group

    def _forget_vacant(self) -> None:
        for group in self.vacant.values():
            group.sole = None  # nothing is left that only a collection of circles would find
        self.vacant.clear()

    def _forget_empty(self) -> None:
        self._forget_vacant()
        for shape in [each for each in self._by_needs.values() if not each.queued]:
            self._withdraw_all(shape)
            shape.ready = None
            del self._by_needs[shape.needs]
        self._kept = KEPT + 2 * len(self._by_needs)

    def all(self) -> Iterable[Shape[T]]:
        """Every shape that is known; of some there may be nothing now."""
        return self._by_needs.values()

    def emptied(self) -> None:
        """Nothing is queued any more. A few shapes are kept for a while, so that an order begins anew now and then; but
        none where what they are may change."""
        self._emptied += 1
        limits_move = self.room is not None and self.room.limits_move
        if limits_move or len(self._by_needs) > KEPT or self._emptied > KEPT:
            self._emptied = 0
            self._forget_empty()

    def _withdraw_all(self, shape: Shape[T]) -> None:
        for place in [*shape.places]:
            self.withdraw(place)

    def place_for(self, shape: Shape[T], of: RefusalClass[T] | None) -> Place[T]:
        """Where lanes of this shape stand that are ready, or that are of this class."""
        place = shape.ready if of is None else of.places.get(shape)
        if place is None:
            place = Place(shape, of, self._order.arena(shape.home))
            if of is None:
                shape.ready = place
            else:
                of.places[shape] = place
        if place.candidate and not place.offered:
            self.offer(place)
        return place

    def offer(self, place: Place[T]) -> None:
        """Those who stand there may be asked from now on."""
        shape = place.shape
        if not shape.places:
            self._file(shape)
        shape.places.append(place)
        place.offered = True
        place.arena.offered(True)
        if shape.short_of is not None:
            self._note_short(place, True)
        self._look()

    def _look(self) -> None:
        """See again where all stand that may go, if it is one place."""
        self.sole = None
        if len(self.fitting) == 1:
            (shape,) = self.fitting
            if len(shape.places) == 1 and shape.places[0].of is None:
                self.sole = shape.places[0]

    def _note_short(self, place: Place[T], begins: bool) -> None:
        place.arena.short(begins)
        if self._on_short is not None:
            self._on_short(place, begins)

    def withdraw(self, place: Place[T]) -> None:
        """They may not be asked any longer."""
        shape = place.shape
        shape.places.remove(place)
        place.offered = False
        if shape.short_of is not None:
            self._note_short(place, False)
        place.arena.offered(False)
        if not shape.places:
            self.fitting.pop(shape, None)
            self.short.pop(shape, None)
            shape.short_of = None
            shape.stamp = 0
        self._look()

    def drop(self, place: Place[T]) -> None:
        """Nobody stands there any more. A place of the ready where there is room stays offered until somebody looks for
        others, since mostly somebody comes again before that."""
        if place.of is None:
            if place.shape.short_of is not None:
                self.withdraw(place)
            return
        if place.candidate:
            self.withdraw(place)
        del place.of.places[place.shape]

    def _file(self, shape: Shape[T]) -> bool:
        """File a shape as it is now; whether it fits."""
        short_of = None if self.room is None else self.room.short_of(shape.needs)
        if short_of is None:
            self.fitting[shape] = None
            return True
        self._stamp += 1
        shape.short_of, shape.stamp = short_of, self._stamp
        self.short[shape] = None
        want = next(amount for resource, amount in shape.needs if resource == short_of)
        heap = self._by_want.setdefault(short_of, [])
        if len(heap) > 2 * len(self.short) + 16:
            heap[:] = sorted(entry for entry in heap if entry[2].stamp == entry[1])
        heappush(heap, (want, self._stamp, shape))
        return False

    def fell_short(self, shape: Shape[T]) -> None:
        """It fitted, and does not any more."""
        del self.fitting[shape]
        self._file(shape)
        for place in shape.places:
            self._note_short(place, True)
        self._look()

    def wanted(self) -> list[Hashable]:
        """The resources that some shape is short of."""
        for resource, heap in [*self._by_want.items()]:
            while heap and heap[0][2].stamp != heap[0][1]:
                heappop(heap)
            if not heap:
                del self._by_want[resource]
        return [*self._by_want]

    def freed(self, resource: Hashable) -> None:
        """More of a resource is free: shapes that were short of it are looked at again."""
        heap = self._by_want.get(resource)
        if heap is None or self.room is None:
            return
        free = self.room.free[resource]
        while heap and heap[0][0] <= free:
            _, stamp, shape = heappop(heap)
            if shape.stamp != stamp:
                continue
            del self.short[shape]
            shape.short_of, shape.stamp = None, 0
            if self._file(shape):
                for place in shape.places:
                    self._note_short(place, False)
                self._look()
        if not heap:
            del self._by_want[resource]
