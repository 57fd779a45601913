"""Everything about a queue but its order: refusals, waking, and what is told of it.

    add -> lane -> ready arena -> offered -> taken
                      |  ^
              refused |  | woken
                      v  |
          parked alone, or in its cohort's line, or (scope `all`) the whole queue shut

A lane that is parked alone comes back when the first of its conditions comes true. A line is opened
instead: its first lane, in the queue's order, is offered, and the first that is refused again closes the
line with all behind it. So a release with ten thousand blocked groups costs as many offers as there are
places, and one.

Who is parked under `Backlog` is woken by the queue itself, by what changed after it was refused. Such
wake-ups, and those that they bring about, are put off to the end of the round: so a rule that waits for a
peer to be parked is asked while it is. Further rounds are offered until two in a row have parked nobody who
was not parked in this call before: by then everyone was asked after everyone's last change, and two rules
that look at each other's groups have come to rest.

Pure: no clock, no trio. Lost alternatives: one heap of tasks (a blocked group is then skipped task by
task), and waking all that a condition could concern (a herd on every release).
"""

from __future__ import annotations

from collections.abc import Callable, Container, Hashable, Iterable, Iterator
from typing import Generic, TypeVar

from penstock.queueing.lanes import ALL, Entry, Group, Lane, Line, Order, Shut
from penstock.queueing.parking import ParkingLot
from penstock.queueing.ready_groups import ReadyGroups
from penstock.queueing.refusal_classes import Lines
from penstock.queueing.singles import give_back, set_apart
from penstock.words.verdicts import Backlog, Condition, Denied, Uncontested

__all__ = ["LaneQueue"]

T = TypeVar("T")


class LaneQueue(Generic[T]):
    """A queue of items in lanes, in the order that `order` gives."""

    def __init__(self, order: Order[T]) -> None:
        self._order = order
        self._ready = order.arena(contended=True)
        self._ready.offered(True)
        self.groups: dict[Hashable, Group[T]] = {}
        self._shut = Shut()
        self._lot = ParkingLot()
        self.waited_for: Container[Condition] = self._lot.standing  # while no line is open, no other needs a wake
        self.arrived = 0
        """How many items ever came in; the number of the last."""
        self._busy = False
        self._changes = 0
        self._put_off: dict[Condition, int] = {}
        """What of the backlog has changed and was not told yet, and by which change last."""
        self.ready_groups = ReadyGroups(self._came_true)
        self._lines: Lines[T] = Lines(order, self._lot, self.ready_groups, self._changed)
        self.open = self._lines.open
        self.version = 0
        self.total = 0

    # -- coming and going

    def add(
        self,
        item: T,
        group_key: Hashable,
        weight: float,
        shape: Hashable,
        resources: tuple[tuple[Hashable, int], ...],
        cost: float,
    ) -> Entry[T]:
        """Put an item at the end of its lane.

        `resources` are what its shape takes, `cost` (> 0) is what it counts for in the order.
        """
        group = self.groups.get(group_key)
        if group is None:
            group = self.groups[group_key] = Group(group_key, weight)
        lane = group.lanes.get(shape)
        fresh = lane is None
        if lane is None:
            lane = group.lanes[shape] = Lane(shape, group, resources)
        self.arrived += 1
        entry = Entry(item, self.arrived, cost, lane)
        lane.append(entry)
        group.queued += 1
        self.total += 1
        self.version += 1
        if fresh:
            if group.denied is None:
                self._make_ready(lane)
            else:
                lane.denied, lane.since = group.denied, group.since
                self._lot.file(lane, group.denied.until)
        if self._lot.backlog_conditions:
            self._backlog_changed(lane)
        return entry

    def take(self, entry: Entry[T]) -> None:
        """The item was chosen: it leaves, and its cost counts."""
        lane = entry.lane
        if lane is None or lane.head is not entry:
            raise ValueError("only the head of a lane can be taken")
        arena = lane.arena
        assert arena is not None, "a parked lane cannot be served"
        entry.lane = None
        lane.live = live = lane.live - 1
        lane.group.queued -= 1
        self.total -= 1
        self.version += 1
        following = entry.next
        if lane.returned or following is None or following.lane is not lane:
            lane.next_head()
        else:  # as it mostly is
            lane.first = lane.head = following
        arena.served(lane, entry.cost)
        line = lane.line
        if line is not None:
            self._lines.served(line)
        if not live:
            self._drop(lane)
        elif line is not None and not line.contended:
            self._unpark(lane)
        if self._lot.backlog_conditions or not self.total:
            self._after_leaving(lane)

    def discard(self, entry: Entry[T]) -> None:
        """The item is not to be done any more."""
        lane = self._lane_of(entry)
        was_head = lane.head is entry
        entry.lane = None
        lane.live -= 1
        lane.group.queued -= 1
        self.total -= 1
        self.version += 1
        lane.next_head()
        if not lane.live:
            self._drop(lane)
        elif was_head and lane.denied is not None:
            self._unpark(lane)  # the refusal was its head's: the next one is asked for its own sake
        elif was_head and lane.arena is not None:
            lane.arena.remove(lane)  # its head is another now, and so perhaps its place
            lane.arena.insert(lane)
        elif not was_head:
            lane.discarded()
        self._after_leaving(lane)

    def _lane_of(self, entry: Entry[T]) -> Lane[T]:
        if entry.lane is None:
            raise ValueError("the item has left the queue before")
        return entry.lane

    def _after_leaving(self, lane: Lane[T]) -> None:
        if self._lot.backlog_conditions:
            self._backlog_changed(lane)
        if not self.total:
            self._order.forget()
            self.groups = {}  # an emptied dict keeps its memory

    def _drop(self, lane: Lane[T]) -> None:
        """A lane has run empty: leave no trace of it."""
        if lane.line is not None:
            self._lines.leave(lane)
        elif lane.arena is not None:
            self._end_ready(lane)
        if lane.filed:
            self._lot.unfile(lane)
        group = lane.group
        if group.singles:
            group.singles.discard(lane)
        if group.lanes.get(lane.key) is lane:
            del group.lanes[lane.key]
        if not group.queued:
            self.groups.pop(group.key, None)

    # -- choosing

    def first(self, now: float) -> Entry[T] | None:
        """The item that is to be asked first, if any is offered."""
        if self._lot.moments:
            for moment in self._lot.due(now):
                self.wake(moment)
        if self._put_off and (self._shut.denied is None or not self._shut.filed.isdisjoint(self._put_off)):
            self._settle()
        if self._shut.denied is not None:
            return None
        lane = self._first() if self.open else self._ready.first()
        return None if lane is None else lane.head

    def select_after(
        self, entry: Entry[T] | None, denied: Denied | None, ask: Callable[[T], Denied | None], now: float
    ) -> Entry[T] | None:
        """Go on after the first was refused, in rounds, until somebody is eligible or everything has come to rest.

        What is refused on the way is parked under its refusal.
        """
        parked: set[Lane[T]] = set()
        before = idle_rounds = 0
        self._busy = True
        try:
            while True:
                while entry is not None:
                    if denied is None:
                        denied = ask(entry.item)
                        if denied is None:
                            return entry
                    lane = entry.lane
                    if lane is not None:  # unless the one who was asked took it out meanwhile
                        self._refuse(lane, denied, now)
                        parked.add(lane)
                    denied = None
                    entry = self._next()
                if not self._put_off:
                    return None
                idle_rounds = 0 if len(parked) > before else idle_rounds + 1
                if idle_rounds == 2:  # at rest: whoever was woken again would say the same
                    self._put_off.clear()
                    return None
                before = len(parked)
                self._settle()
                entry = self._next()
        finally:
            self._busy = False

    def _next(self) -> Entry[T] | None:
        lane = None if self._shut.denied is not None else self._first()
        return None if lane is None else lane.head

    def _first(self) -> Lane[T] | None:
        arena = self._ready
        first = arena.first()
        for line in self.open:
            lane = line.arena.first()
            if lane is not None and (first is None or line.arena.rank(lane) < arena.rank(first)):
                first, arena = lane, line.arena
        return first

    # -- refusing

    def refuse(self, entry: Entry[T], denied: Denied, now: float) -> None:
        """File an item under a refusal that it met after it was selected."""
        lane = self._lane_of(entry)
        if lane.head is not entry:
            raise ValueError("only the head of a lane can be refused")
        self._refuse(lane, denied, now)

    def _refuse(self, lane: Lane[T], denied: Denied, now: float) -> None:
        if denied.scope == "all":
            self._shut.denied, self._shut.since, self._shut.stamp = denied, now, self._changes
            self._lot.file(self._shut, denied.until)
        elif denied.scope == "group":
            group = lane.group
            group.denied, group.since = denied, now
            for each in group.all_lanes():
                self._park(each, denied, now)
            for each in group.all_lanes():
                each.stamp = self._changes
        elif denied.scope == "task":
            self._park(set_apart(lane), denied, now)
        else:
            self._park(lane, denied, now)

    def _park(self, lane: Lane[T], denied: Denied, now: float) -> None:
        was_ready = lane.denied is None
        if was_ready:
            lane.since = now
        lane.denied = denied
        line = self._lines.under(denied)
        if lane.line is not None and lane.line is not line:
            was_ready = was_ready or lane.line in self.open
            self._lines.leave(lane)
        elif lane.line is None and lane.arena is not None:
            self._end_ready(lane)
        self._lot.unfile(lane)
        if line is None:
            self._lot.file(lane, denied.until)
        else:
            self._lines.join(lane, line, denied)
        if was_ready:
            self._backlog_changed(lane)
        lane.stamp = self._changes
        if line is not None:
            line.stamp = self._changes

    # -- waking

    def wake(self, condition: Condition, amount: int = ALL) -> None:
        """A condition came true. Those parked alone are ready again; a line is opened; a shut queue is open.

        `amount` is how much is free of what was released: who needs more is not woken, and a line is open
        for so much.
        """
        if self.open:
            self._lines.more(condition, amount)
        if condition in self._lot.standing:
            if condition.__class__ is Uncontested:
                self._came_true(condition)
            else:
                self._wake(condition, amount, ALL)

    def _wake(self, condition: Condition, amount: int, change: int) -> None:
        """Wake those under a condition that were refused before this change."""
        for target in self._lot.standing_under(condition):
            if condition not in target.filed or target.stamp >= change:
                continue  # woken meanwhile, by one of those before it; or it was asked after the change
            if isinstance(target, Line):
                if target.amount <= amount and target not in self.open:
                    self._lines.wake(target, amount)
            elif isinstance(target, Lane):
                assert target.denied is not None
                if target.denied.amount <= amount:
                    self._unpark(target)
            elif self._shut.denied is not None and self._shut.denied.amount <= amount:
                self._shut.denied = None
                self._lot.unfile(self._shut)

    def _unpark(self, lane: Lane[T]) -> None:
        self._lot.unfile(lane)
        if lane.line is not None:
            self._lines.leave(lane)
        if lane not in lane.group.singles or not give_back(lane):
            lane.group.denied = None
            self._make_ready(lane)
        self._backlog_changed(lane)

    def next_moment(self) -> float | None:
        """The earliest moment for which somebody waits."""
        return self._lot.next_moment() if self._lot.moments else None

    def _backlog_changed(self, lane: Lane[T]) -> None:
        """What is queued or parked for this lane's group and resources changed."""
        if self._lot.backlog_conditions:
            self._changed([*(resource for resource, _ in lane.resources), lane.group.key])

    def _changed(self, keys: Iterable[Hashable]) -> None:
        if not self._lot.backlog_conditions:
            return
        self._changes += 1
        for key in keys:
            self._put_off[Backlog(key)] = self._changes
        if not self._busy:
            self._settle()

    def _settle(self) -> None:
        """Tell the changes of backlog that were put off. Those that this brings about are put off in turn."""
        changes, self._put_off = self._put_off, {}
        was_busy, self._busy = self._busy, True
        try:
            for condition, change in changes.items():
                if condition.__class__ is not Uncontested or self.ready_groups.still(condition):
                    self._wake(condition, ALL, change)
        finally:
            self._busy = was_busy

    def _came_true(self, condition: Condition) -> None:
        """Those who wait for it are told before anybody is selected, if it is still true then."""
        if condition in self._lot.standing:
            self._changes += 1
            self._put_off[condition] = self._changes

    def _make_ready(self, lane: Lane[T]) -> None:
        lane.denied = None
        lane.arena = self._ready
        self._ready.insert(lane)
        self.ready_groups.begin(lane.group.key, lane.resources)

    def _end_ready(self, lane: Lane[T]) -> None:
        self._ready.remove(lane)
        lane.arena = None
        self.ready_groups.end(lane.group.key, lane.resources)

    # -- telling

    def blocked(self) -> Iterator[tuple[object, Hashable, Denied, float, int]]:
        """Every refusal in force: scope key, group key, refusal, since when, how many items it keeps back."""
        if self._shut.denied is not None and self.total:
            yield "all", None, self._shut.denied, self._shut.since, self.total
        for group in self.groups.values():
            for scope_key, denied, since, items in group.refusals(self._lines.open):
                yield scope_key, group.key, denied, since, items

    def check_invariants(self) -> None:
        """Every item is in one live lane, every lane in one place, every count true. Raises `AssertionError`."""
        self._lot.check_invariants()
        self._lines.check_invariants()
        lanes = [lane for group in self.groups.values() for lane in group.all_lanes()]
        assert self.total == sum(lane.live for lane in lanes) == sum(g.queued for g in self.groups.values())
        for lane in lanes:
            lane.check_invariants()
            assert (lane.denied is None) == (lane.arena is self._ready), "a lane is ready or refused"
            assert (lane.line is None) or lane in lane.line.lanes
            assert lane.denied is None or lane.filed or lane.line is not None
