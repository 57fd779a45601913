"""Where lanes stand: who is under which refusal, what ends it, and what has changed for those who look at the queue.

    state of a node    free -> (refused) -> blocked -> (the first of its conditions) -> free
    state of a class   closed -> (a condition of its latest refusal) -> open -> (one refused under it) -> closed
                       any -> (its last node is free, blocked otherwise, or gone) -> gone

A lane stands among the ready of its shape; or in a class, under a closed refusal that covers it, or under an open one
until it was asked; or nowhere, under a refusal without a class. Blocking and freeing moves the lanes below a node;
opening and closing a class moves nobody. A lane that is covered twice stands under one of those that are closed: when
it surfaces in a class that was opened, it is moved to the other.
"""

from __future__ import annotations

from collections.abc import Hashable, Iterable
from typing import Generic, TypeVar

from penstock.queueing.changes import Changes
from penstock.queueing.contenders import Contenders
from penstock.queueing.lanes import Entry, Group, Lane, Node, Order, Resources
from penstock.queueing.parking import ParkingLot
from penstock.queueing.places import Place, RefusalClass, Room, Shapes
from penstock.queueing.reservations import Reservations
from penstock.queueing.shortage import Shortage
from penstock.words.verdicts import Backlog, Condition, Denied, Released, Uncontested

__all__ = ["Refusals"]

T = TypeVar("T")


class Refusals(Generic[T]):
    """The tree queue > group > lane, and what blocks its nodes."""

    def __init__(self, order: Order[T]) -> None:
        self._order = order
        self.shapes: Shapes[T] = Shapes(order)
        self.shortage: Shortage[T] = Shortage(self.first)
        self.reservations: Reservations[T] = Reservations(self.shapes)
        self.root: Node[T] = Node()
        self.classes: dict[Hashable, RefusalClass[T]] = {}
        self.lot = ParkingLot()
        self.groups: dict[Hashable, Group[T]] = {}
        self.contenders: Contenders[T] = Contenders(self.groups, self._capped)
        self.contenders.look_at(self.shapes, self.reservations)
        self.changes: Changes[T] = Changes(self.groups, self.lot.soft)
        """What has changed since the queue was at rest."""
        self.given = 0
        """How many refusals have been given, ever."""
        self.passing = False
        """Whether a pass is under way: then nobody is woken."""
        self.pending: list[Condition] = []
        """What came true by items that left during a pass."""
        self.deferred: list[Condition] = []
        """What others said during a pass; it counts from the next choice on."""
        self.calm = False
        """Whether it is known that nobody is refused, short of room, or kept from room that is reserved, and that there
        is nothing to catch up with."""

    def make_room(self, room: Room) -> None:
        """From now on who does not fit into `room` is not asked. What stands here already is filed anew."""
        standing = [(lane, lane.place) for group in self.groups.values() for lane in group.all_lanes()]
        for lane, place in standing:
            if place is not None:
                self.leave(lane, place)
        self.shapes = Shapes(self._order, room, self._fell_or_fits)
        self.shortage = Shortage(self.first, room.apart())
        self.reservations = Reservations(self.shapes)
        self.contenders.look_at(self.shapes, self.reservations)
        for lane, _ in standing:
            lane.shape = self.shapes.of(lane.resources)
            lane.shape.queued += lane.live
        for lane, _ in standing:
            self.settle(lane)

    def settle(self, lane: Lane[T]) -> None:
        """Let a lane stand where its refusals say: under a closed one that covers it, if there is one."""
        group = lane.group
        of: RefusalClass[T] | None = None
        if lane.denied is not None or group.denied is not None:
            closed = lane if lane.closed else group if group.closed else None
            if closed is not None and closed.joined is None:
                if lane.place is not None:
                    self.leave(lane, lane.place)
                return
            of = closed.joined if closed is not None else lane.joined or group.joined
        place = lane.place
        if place is not None:
            if place.of is of:
                return
            self._withdraw(lane, place)
        place = lane.shape.ready if of is None else None
        if place is None or not place.offered:
            place = self.shapes.place_for(lane.shape, of)
        lane.place = place
        place.lanes += 1
        place.able += not group.capped
        place.arena.insert(lane)
        if not place.candidate:
            self.reservations.end(lane)
        elif place.shape.short_of is not None:
            self.shortage.note(place)

    def leave(self, lane: Lane[T], place: Place[T]) -> None:
        """A lane stands nowhere for now, and nothing is kept for it."""
        self._withdraw(lane, place)
        if self.reservations.lanes:
            self.end_reservation(lane)

    def _withdraw(self, lane: Lane[T], place: Place[T]) -> None:
        lane.place = None
        place.arena.remove(lane)
        place.lanes -= 1
        place.able -= not lane.group.capped
        if not place.lanes and (place.of is not None or place.shape.short_of is not None):
            self.shapes.drop(place)

    def lanes_of(self, node: Node[T]) -> Iterable[Lane[T]]:
        """What is below a node; of the whole queue nothing, since nobody is moved when it is blocked."""
        if isinstance(node, Lane):
            return (node,)
        return node.all_lanes() if isinstance(node, Group) else ()

    def first(self, place: Place[T]) -> Lane[T] | None:
        """The first lane of a place that nothing closed covers. Those that are covered are put where they belong."""
        lane = place.arena.first()
        if place.of is not None:
            while lane is not None and (lane.closed or lane.group.closed):
                self.settle(lane)
                lane = place.arena.first() if place.lanes else None
        return lane

    def _fell_or_fits(self, place: Place[T], short: bool) -> None:
        self.calm = False
        (self.shortage.note if short else self.shortage.remove)(place)

    def nobody_waits(self) -> bool:
        """Whether there is nobody to be told of what is taken, or comes free, and nothing to catch up with."""
        waits = self.lot.standing or self.classes or self.shapes.short or self.reservations.lanes
        return not (waits or self.pending or self.deferred)

    def end_reservation(self, lane: Lane[T]) -> None:
        """Nothing is kept for it any more: if it does not fit, it may be the first of those again."""
        if self.reservations.end(lane) and lane.place is not None and lane.place.shape.short_of is not None:
            self.shortage.note(lane.place)

    def refuse(self, lane: Lane[T], denied: Denied, now: float) -> None:
        """The head of a lane was refused: that blocks the node that its scope names."""
        self.given += 1
        scope, asked = denied.scope, lane.head
        node: Node[T] = lane
        if scope == "group":
            node = lane.group
        elif scope == "all":
            node = self.root
        elif scope == "task":
            node = self._set_apart(lane)
        if lane is not node and lane.denied is not None:
            self.free(lane)  # it was asked, and stands where this refusal says
        joined = None if denied.cohort is None else self._class_of(denied)
        if joined is not None and joined.open:
            self._close(joined)
        node.asked = asked
        if joined is not None:
            joined.asked = asked
        self._block(node, denied, joined, now)

    def met_by(self, entry: Entry, lane: Lane[T]) -> tuple[list[Node[T]], list[RefusalClass[T]]]:
        """The refusals that one met, and that cover others of its group, or of its class. One of the whole queue is not
        among them: it is about the queue, whoever met it."""
        nodes = [node for node in (lane, lane.group) if node.denied is not None]
        classes = [node.joined for node in nodes if node.joined is not None and node.joined.asked is entry]
        return [node for node in nodes if node.asked is entry], [c for c in classes if self.root not in c.nodes]

    def end(self, nodes: Iterable[Node[T]], classes: Iterable[RefusalClass[T]]) -> None:
        """Who met these has left: whom they cover is asked for its own sake."""
        for node in nodes:
            if node.denied is not None and any(True for _ in self.lanes_of(node)):
                self.free(node)
        for joined in classes:
            if joined.nodes and not joined.open and not self.passing:
                self._open(joined)

    def _set_apart(self, lane: Lane[T]) -> Lane[T]:
        single = lane.group.set_apart(lane)
        if single is not lane and lane.place is not None:
            place = lane.place
            place.arena.remove(lane)  # its head is another now
            place.arena.insert(lane)
        return single

    def _class_of(self, denied: Denied) -> RefusalClass[T]:
        joined = self.classes.get(denied.cohort)
        if joined is None:
            joined = self.classes[denied.cohort] = RefusalClass(denied.cohort, denied.reason == "no_capacity")
        return joined

    def _block(self, node: Node[T], denied: Denied, joined: RefusalClass[T] | None, now: float) -> None:
        was_closed, self.calm = node.closed, False
        if node.joined is not None and node.joined is not joined:
            self._quit(node, node.joined)
        if not was_closed or node.joined is not joined:
            node.since = now
        self.lot.unfile(node)
        node.denied, node.joined = denied, joined
        if joined is None:
            self.lot.file(node, denied.until)
        else:
            joined.nodes[node] = None
            group = node.group if isinstance(node, Lane) else node
            own_key = group.name if isinstance(group, Group) else None
            self.lot.file(node, [c for c in denied.until if isinstance(c, Released | Backlog) and c.key == own_key])
            self.lot.unfile(joined)
            self.lot.file(joined, denied.until)
        for lane in [*self.reservations.lanes] if node is self.root else ():
            self.end_reservation(lane)
        for lane in self.lanes_of(node):
            self.settle(lane)
        self._moved_node(node)
        if self.reservations.lanes and not self.contenders.resting:  # it saw peers whom its own one holds back
            self.changes.of_what_is_in(denied.until)

    def taken(self, lane: Lane[T]) -> None:
        """The head of this lane was admitted."""
        if self.reservations.lanes:
            self.end_reservation(lane)
        if lane.denied is not None:
            self._admitted(lane)
        if lane.group.denied is not None:
            self._admitted(lane.group)
        if self.lot.soft:
            self.backlog_changed(lane)
        if self.pending:
            self.wake_pending()

    def _admitted(self, node: Node[T]) -> None:
        """One of an open class was not refused: it stands with the ready again, unless all there wait for room."""
        if node.joined is not None and not node.joined.contended:
            self.free(node)

    def wake(self, condition: Condition) -> None:
        """A condition came true: what was refused until then is free, or its class is open."""
        if condition.__class__ is Released:
            self.shapes.freed(condition.key)
        if condition not in self.lot.standing:
            return
        if self.passing:
            self.deferred.append(condition)
            return
        for target in self.lot.standing_under(condition):
            if condition not in target.filed:
                continue  # woken meanwhile, by one of those before it
            if isinstance(target, RefusalClass):
                self._open(target)
            elif isinstance(target, Node):
                self.free(target)

    def came_free(self, key: Hashable, needs: Resources, _: float = 0.0) -> None:
        """Something of this key gave back what it needed: who was refused until then may be asked, and what was short
        of it fits, perhaps. How much is free is seen in the room."""
        released, short = self.lot.released, self.shapes.short
        for resource, _amount in needs:
            if short:
                self.shapes.freed(resource)
            if resource in released:
                self.wake(released[resource])
        if key in released:
            self.wake(released[key])

    def wake_pending(self) -> None:
        """What came true during a pass counts now."""
        pending, self.pending = self.pending, []
        for condition in pending:
            self.wake(condition)

    def _open(self, joined: RefusalClass[T]) -> None:
        self.lot.unfile(joined)
        joined.open = True
        for place in joined.places.values():
            self.shapes.offer(place)
        self._moved_class(joined)
        if self.root in joined.nodes:
            self.free(self.root)

    def _close(self, joined: RefusalClass[T]) -> None:
        joined.open = False
        for lane in [each for each in self.reservations.lanes if each.place in joined.places.values()]:
            self.end_reservation(lane)
        for place in joined.places.values():
            self.shapes.withdraw(place)
        self._moved_class(joined)

    def free(self, node: Node[T]) -> None:
        """The refusal of this node is over."""
        self.forget(node)
        lanes = self.lanes_of(node)
        if isinstance(node, Lane) and node.group.singles and node in node.group.singles:
            lane = node.group.give_back(node)
            if lane is not None:
                lanes = (self._merge(node, lane),)
        for lane in lanes:
            self.settle(lane)
        self._moved_node(node)

    def _merge(self, single: Lane[T], lane: Lane[T]) -> Lane[T]:
        """The item of a lane of its own stands with the others of its shape again, in its place."""
        if single.place is not None:
            self.leave(single, single.place)
        place = lane.place
        if place is not None:
            place.arena.remove(lane)
        lane.take_back(single.head)
        if place is not None:
            place.arena.insert(lane)
            if place.shape.short_of is not None and place.candidate:
                self.shortage.note(place)
        return lane

    def forget(self, node: Node[T]) -> None:
        """Nothing refuses this node any more; where its lanes stand is not looked at."""
        joined, node.denied, node.joined = node.joined, None, None
        self.lot.unfile(node)
        if joined is not None:
            self._quit(node, joined)

    def _quit(self, node: Node[T], joined: RefusalClass[T]) -> None:
        """A node is of a class no longer. Its lanes leave it when they are settled; the last that does ends it."""
        del joined.nodes[node]
        if not joined.nodes:
            self.lot.unfile(joined)
            if self.classes.get(joined.cohort) is joined:
                del self.classes[joined.cohort]

    def emptied(self) -> None:
        """Nothing is queued any more."""
        self.groups.clear()  # an emptied dict keeps its memory
        self.shapes.emptied()
        self.changes.clear()

    def backlog_changed(self, lane: Lane[T]) -> None:
        """What is queued for this lane's group and resources changed: something came, or left."""
        if lane not in self.changes.lanes:
            self.changes.of_lane(lane)
        if self.lot.backlogs:
            conditions = [Backlog(lane.group.name), *(Backlog(resource) for resource, _ in lane.resources)]
            if self.passing:
                self.pending += conditions
            else:
                for condition in conditions:
                    self.wake(condition)

    def _moved_node(self, node: Node[T]) -> None:
        """Who could run has changed: something was blocked, or freed."""
        if self.lot.soft and not self.contenders.resting:
            self.changes.all = self.changes.all or node is self.root
            self.changes.of_lanes(self.lanes_of(node))

    def _moved_class(self, joined: RefusalClass[T]) -> None:
        if self.lot.soft and not self.contenders.resting:
            self.changes.of_class(joined)

    def _capped(self, lanes: Iterable[Lane[T]]) -> None:
        """A group has come to its limit: for others that is a change of what is queued for what it asks for."""
        self.changes.of_lanes(lanes)
        for resource in dict.fromkeys(r for lane in lanes for r, _ in lane.resources) if self.lot.soft else ():
            self.wake(Backlog(resource))
            if Uncontested(resource) in self.lot.soft and not self.contenders.count(resource, None):
                self.wake(Uncontested(resource))
