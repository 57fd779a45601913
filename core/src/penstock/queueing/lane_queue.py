"""A queue of items in lanes: what comes, what leaves, and what waits for what.

    offered -> ready -> asked -> taken
                ^  |       |
         freed  |  |       | refused
                |  v       v
    blocked: under a refusal of a lane, its group or the whole queue; alone, or in the class of its cohort

The law that this follows, with its proof and the alternatives that lost, is in `docs/design/refusals.md`. Where lanes
stand is in `refusals.py`, who is asked in `passes.py`.

Pure: no clock, no trio.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterable, Iterator
from typing import Any, Generic, TypeVar

from penstock.queueing.contenders import Contenders
from penstock.queueing.highest import HighestByName
from penstock.queueing.lanes import Entry, Group, Lane, Node, Order, Resources
from penstock.queueing.passes import Passes
from penstock.queueing.places import Place, Room, Shape
from penstock.queueing.refusals import Refusals
from penstock.words.verdicts import Denied

__all__ = ["LaneQueue"]

T = TypeVar("T")


class LaneQueue(Generic[T]):
    """A queue of items in lanes, in the order that `order` gives.

    `name_of` gives the name under which conditions know a group, if that is not its key. `when_empty` is called
    whenever the last item has left.
    """

    def __init__(
        self,
        order: Order[T],
        name_of: Callable[[Any], Hashable] | None = None,
        when_empty: Callable[[], None] | None = None,
    ) -> None:
        self._order = order
        self._name_of = name_of
        self._when_empty = when_empty
        self._refusals: Refusals[T] = Refusals(order)
        self._passes: Passes[T] = Passes(self._refusals)
        self.choose = self._passes.choose
        self.wake, self.waiting = self._refusals.wake, self._refusals
        self.next_moment = self._refusals.lot.next_moment
        self.groups: dict[Hashable, Group[T]] = self._refusals.groups
        self.contenders: Contenders[T] = self._refusals.contenders
        self._hand_over: Callable[[Denied, list[T]], Any]
        self.arrived = 0
        """How many items ever came in; the number of the last."""
        self.left = 0
        """How many of them have left."""
        self._most_queued = HighestByName()
        """Of groups that have run empty how many items there were at once."""

    @property
    def total(self) -> int:
        """How many items there are."""
        return self.arrived - self.left

    @property
    def version(self) -> int:
        """Another figure whenever an item has come or left."""
        return self.arrived + self.left

    def most_queued(self) -> HighestByName:
        """Of each group how many items there have been at once."""
        found = self._most_queued.copy()
        for key, group in self.groups.items():
            found.note(key, group.most_queued)
        return found

    @property
    def shapes(self) -> Iterable[Shape[T]]:
        """What the items take, with how many there are of each; some may have none."""
        return self._refusals.shapes.all()

    def make_room(self, room: Room, give_up: Callable[[Denied, list[T]], Any] | None = None) -> None:
        """From now on who does not fit into `room` is not asked. What stands here already is filed anew.

        With `give_up`, what is refused for good leaves at once, with all that the refusal covers, and is handed there.
        """
        self._refusals.make_room(room)
        if give_up is not None:
            self._hand_over, self._passes.give_up = give_up, self._give_up

    @property
    def room(self) -> Room | None:
        """What there is room in, if that is known here."""
        return self._refusals.shapes.room

    @property
    def refusals_given(self) -> int:
        """How many refusals have been given to items that stand here, ever."""
        return self._refusals.given

    # -- coming and going

    def add(self, item: T, group_key: Hashable, weight: float, resources: Resources, cost: float) -> Entry:
        """Put an item at the end of its lane.

        `resources` are what it takes, `cost` (> 0) is what it counts for in the order.
        """
        entry = Entry(item, 0, cost, None)
        self.put(entry, group_key, weight, resources)
        return entry

    def put(self, entry: Entry, group_key: Hashable, weight: float, resources: Resources) -> None:
        """The same for an entry that the caller has made, with its cost; it stands in no queue."""
        refusals = self._refusals
        group = self.groups.get(group_key)
        if group is None:
            group = self.groups[group_key] = self._begin(group_key, weight, resources)
        lane = group.sole
        if lane is None or lane.resources is not resources:  # mostly they are one object
            lane = group.lane_of(resources)
            if lane is None:
                lane = Lane(group, resources, refusals.shapes.of(resources))
                group.add_lane(lane)
        self.arrived = arrived = self.arrived + 1
        entry.sequence = arrived
        entry.lane = lane
        last = lane.last
        live = lane.live
        if last is None:
            lane.first = entry
            if not live:
                lane.head = entry
        else:
            last.next = entry
        lane.last = entry
        lane.live = live + 1
        lane.shape.queued += 1
        group.queued = queued = group.queued + 1
        if queued > group.most_queued:
            group.most_queued = queued
        if not live:
            refusals.settle(lane)
        if refusals.lot.soft:
            refusals.backlog_changed(lane)

    def _begin(self, key: Hashable, weight: float, resources: Resources) -> Group[T]:
        """The books of a group that has something again, for an item that takes these: those of before, if they are at
        hand."""
        refusals = self._refusals
        group = refusals.shapes.vacant.pop(key, None)
        if group is None:
            group = Group(key, weight)
            group.most_queued = group.most_noted = self._most_queued.figures.get(key, 0)
            if self._name_of is not None:
                group.name = self._name_of(key)
        else:
            group.weight = weight
            if group.lane_of(resources) is None:
                group.sole = None
        group.capped = key in refusals.contenders.capped
        return group

    def take(self, entry: Entry) -> None:
        """The item was chosen: it leaves, and its cost counts."""
        lane = entry.lane
        if lane is None or lane.head is not entry:
            raise ValueError("only the head of a lane can be taken")
        following = entry.next
        entry.lane = None
        lane.live = live = lane.live - 1
        lane.shape.queued -= 1
        lane.group.queued -= 1
        self.left += 1
        if live:
            if following is None or lane.uneven:
                lane.next_head()
            else:  # as it mostly is
                lane.first = lane.head = following
        lane.place.arena.served(lane, entry.cost)
        if not live:
            self._drop(lane)
        if not self._refusals.calm:
            self._refusals.taken(lane)

    def discard(self, entry: Entry) -> None:
        """The item is not to be done any more."""
        lane = entry.lane
        if lane is None:
            raise ValueError("the item has left the queue before")
        was_head = lane.head is entry
        entry.lane = None
        lane.live -= 1
        lane.shape.queued -= 1
        lane.group.queued -= 1
        self.left += 1
        lane.next_head()
        refused = was_head and (lane.denied is not None or lane.group.denied is not None)
        met = self._refusals.met_by(entry, lane) if refused else ([], [])
        if not lane.live:
            self._drop(lane)
        elif not was_head:
            lane.discarded()
        elif lane.place is not None:
            lane.place.arena.remove(lane)  # its head is another now, and so perhaps its place
            lane.place.arena.insert(lane)
        if refused:
            self._refusals.end(*met)
        if self._refusals.lot.soft:
            self._refusals.backlog_changed(lane)

    def _drop(self, lane: Lane[T]) -> None:
        """A lane has run empty: leave no trace of it, nor of refusals that covered nobody else."""
        if lane.place is not None:
            self._refusals.leave(lane, lane.place)
        group = lane.group
        if group.has_one_lane():
            del self.groups[group.key]
            if group.most_queued > group.most_noted:
                group.most_noted = self._most_queued.note(group.key, group.most_queued)
            if lane.denied is None and group.denied is None and not group.singles:
                self._refusals.shapes.keep_vacant(lane)
            else:
                self._forget_lane(lane)
                if group.denied is not None:
                    self._refusals.forget(group)
            if not self.groups:
                self._order.forget()
                self._refusals.emptied()
                if self._when_empty is not None:
                    self._when_empty()
        else:
            self._forget_lane(lane)

    def _forget_lane(self, lane: Lane[T]) -> None:
        group = lane.group
        if group.singles:
            group.singles.discard(lane)
        group.drop_lane(lane)
        if lane.denied is not None:
            self._refusals.forget(lane)

    def refuse(self, entry: Entry, denied: Denied, now: float) -> None:
        """File an item under a refusal that it met after it was selected."""
        lane = entry.lane
        if lane is None:
            raise ValueError("the item has left the queue before")
        if lane.head is not entry:
            raise ValueError("only the head of a lane can be refused")
        self._refusals.refuse(lane, denied, now)

    def _give_up(self, lane: Lane[T], denied: Denied) -> None:
        """For good: who is covered now leaves. Nothing is remembered, so who comes later is asked."""
        group = lane.group
        if denied.scope == "task":
            entries = [lane.head]
        else:
            groups = [*self.groups.values()] if denied.scope == "all" else [group]
            lanes = [each for one in groups for each in one.all_lanes()]
            if denied.scope == "shape":
                lanes = [each for each in lanes if each.resources == lane.resources]
            entries = sorted((e for each in lanes for e in each.entries()), key=lambda entry: entry.sequence)
        self._hand_over(denied, [entry.make() for entry in entries])
        for entry in entries:
            if entry.lane is not None:
                self.discard(entry)

    def forget_refusals(self) -> None:
        """Nobody is left whom a refusal covers: so the one of the whole queue is over, too."""
        root = self._refusals.root
        if root.denied is not None:
            self._refusals.free(root)

    def keeps_nobody_back(self) -> bool:
        """Whether nobody is refused, short of room, or kept from room that is reserved."""
        refusals = self._refusals
        return not (refusals.lot.standing or refusals.shapes.short or refusals.reservations.lanes)

    def somebody_waits_for(self) -> bool:
        """Whether a condition could change anything: for somebody who is refused, or who has no room."""
        return bool(self._refusals.lot.standing or self._refusals.shapes.short)

    def short_of(self) -> list[Hashable]:
        """The resources that somebody has too little room in."""
        return self._refusals.shapes.wanted()

    def nobody_fits(self) -> bool:
        """Whether it is plain that nobody is to be asked: of one shape at most, and that does not fit."""
        refusals = self._refusals
        shapes, room = refusals.shapes, refusals.shapes.room
        if refusals.calm and shapes.sole is not None:  # as it mostly is
            return room is not None and room.short_of(shapes.sole.shape.needs) is not None
        if refusals.lot.standing or refusals.pending or refusals.deferred:
            return False
        for shape in shapes.fitting:
            return len(shapes.fitting) == 1 and room is not None and room.short_of(shape.needs) is not None
        return room is not None

    def look_at_room(self, of: Callable[[list[Hashable]], list[Hashable]]) -> None:
        """Room may have changed by itself: shapes that are short of what `of` finds among it are looked at again, and
        room is kept no longer for those who would not fit if all were free."""
        for resource in of(self.short_of()):
            self._refusals.shapes.freed(resource)
        for lane in self._refusals.reservations.too_many():
            self._refusals.end_reservation(lane)

    def refusal_of(self, entry: Entry) -> tuple[Denied, float] | None:
        """The refusal under which an item stands, and since when; `None` if it may be asked."""
        lane = entry.lane
        assert lane is not None
        nodes: list[Node[Any]] = [self._refusals.root, lane.group, lane]
        for node in nodes:
            if node.denied is not None and node.closed:
                return node.in_force(node.denied), node.since
        return None

    def blocked(self) -> Iterator[tuple[object, Hashable, Denied, float, int]]:
        """Every refusal in force: scope key, group key, refusal, since when, how many items it keeps back."""
        root = self._refusals.root
        if root.denied is not None and self.total:
            yield "all", None, root.in_force(root.denied), root.since, self.total
        for group in self.groups.values():
            for scope_key, denied, since, items in group.refusals():
                yield scope_key, group.key, denied, since, items

    def without_room(self) -> Iterator[tuple[Lane[T], Hashable]]:
        """The lanes that nothing refuses and that do not fit, with a resource that they are short of; `None` if they
        would fit, but for what is reserved."""
        room = self._refusals.shapes.room
        for group in () if room is None or self._refusals.root.closed else self.groups.values():
            for lane in () if group.closed else group.all_lanes():
                if lane.place is None or lane.closed or not lane.place.candidate:
                    continue
                short_of = room.short_of(lane.resources)  # type: ignore[union-attr]
                if short_of is not None or not self._refusals.reservations.leave_room_for(lane.resources):
                    yield lane, short_of

    def reserved(self) -> list[Lane[T]]:
        """For whom room is kept, in the order in which they came to be next."""
        return [*self._refusals.reservations.lanes]

    def check_invariants(self) -> None:
        """Every item is in one live lane, every lane in one place, every count true. Raises `AssertionError`."""
        self._refusals.lot.check_invariants()
        lanes = [lane for group in self.groups.values() for lane in group.all_lanes()]
        assert self.total == sum(lane.live for lane in lanes)
        for group in self.groups.values():
            assert group.queued == sum(lane.live for lane in group.all_lanes()) <= group.most_queued
        nodes: list[Node[T]] = [self._refusals.root, *self.groups.values(), *lanes]
        for node in nodes:
            assert node.joined is None or node in node.joined.nodes, "a node knows its class"
            assert node.denied is None or node.joined is not None or node.filed, "a refusal waits for something"
        for joined in self._refusals.classes.values():
            assert joined.nodes, "a class has members"
            assert joined.open or joined.filed, "a closed class waits for something"
        standing: dict[Place[T], int] = {}
        for lane in lanes:
            lane.check_invariants()
            if lane.place is None:
                alone = [n for n in (lane, lane.group) if n.closed and n.joined is None]
                assert alone, "a lane that stands nowhere is blocked by a refusal without a class"
                continue
            standing[lane.place] = standing.get(lane.place, 0) + 1
            closed = [n.joined for n in (lane, lane.group) if n.closed]
            assert lane.place.candidate or lane.place.of in closed, "who may not be asked is under a closed refusal"
            assert lane.place.of is not None or not closed, "who is ready is under no refusal"
        for place, count in standing.items():
            assert place.lanes == count
            able = sum(lane.place is place and not lane.group.capped for lane in lanes)
            assert place.able == able
            assert (place in place.shape.places) == place.candidate
        self._refusals.reservations.check_invariants()
        assert not self._refusals.calm or self._refusals.nobody_waits(), "who waits is known of"
