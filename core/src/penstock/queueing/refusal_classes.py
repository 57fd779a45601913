"""Lines: lanes that were refused under one cohort, and so stand and fall together.

A line waits as one. When a condition of its refusal comes true it is *open*: its lanes are offered one at a
time, in the queue's order, until one is refused again or what was released has been given out. Then it is
closed with all that are left in it.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterable
from typing import Generic, TypeVar

from penstock.queueing.lanes import Lane, Line, Order
from penstock.queueing.parking import ParkingLot
from penstock.queueing.ready_groups import ReadyGroups
from penstock.words.verdicts import At, Backlog, Condition, Denied, Released

__all__ = ["Lines"]

T = TypeVar("T")


class Lines(Generic[T]):
    """Cohort to line. `changed` is told the resources of a line that was open and has been closed."""

    def __init__(
        self,
        order: Order[T],
        lot: ParkingLot,
        ready_groups: ReadyGroups,
        changed: Callable[[Iterable[Hashable]], None],
    ) -> None:
        self._order = order
        self._lot = lot
        self._ready_groups = ready_groups
        self._changed = changed
        self.by_cohort: dict[Hashable, Line[T]] = {}
        self.open: dict[Line[T], None] = {}

    def under(self, denied: Denied) -> Line[T] | None:
        """The line of the refusal's cohort, if it has one."""
        if denied.cohort is None:
            return None
        line = self.by_cohort.get(denied.cohort)
        if line is None:
            contended = denied.reason == "no_capacity"
            arena = self._order.arena(contended=contended)
            line = Line(denied.cohort, arena, contended, self._ready_groups.of_line(denied.cohort))
            self.by_cohort[denied.cohort] = line
            if line.competes:
                arena.offered(True)
        return line

    def join(self, lane: Lane[T], line: Line[T], denied: Denied) -> None:
        """The lane was refused under the line's cohort: it stands there, and the line is closed."""
        if lane.line is None:
            lane.line = line
            line.lanes.add(lane)
            if line.contended:
                lane.arena = line.arena
                line.arena.insert(lane)
                line.groups.begin(lane.group.key, lane.resources)
            else:
                line.fresh[lane] = None
        split = lane.split
        if split is None or split[0] is not denied:
            key = lane.group.key
            own = frozenset([c for c in denied.until if isinstance(c, Released | Backlog) and c.key == key])
            split = lane.split = denied, own, denied.until - own
        self._lot.file(lane, split[1])
        rest = split[2]
        if line.until is not rest and line.until != rest:
            if line in self.open:
                self._lot.unfile(line)  # what ended the refusal before is over; else it may still come true
            line.until = rest
            self._lot.file(line, rest)
            line.timed = any(isinstance(condition, At) for condition in line.filed)
        line.amount = denied.amount
        if line in self.open:
            self._close(line)  # one of the cohort was refused, so all are

    def leave(self, lane: Lane[T]) -> None:
        """The lane stands there no longer."""
        line = lane.line
        assert line is not None
        if lane.arena is None:
            del line.fresh[lane]
        else:
            line.arena.remove(lane)
        if line.contended:
            line.groups.end(lane.group.key, lane.resources)
        lane.line = lane.arena = None
        line.lanes.remove(lane)
        if not line.lanes:
            self._lot.unfile(line)
            self._end_offer(line)
            if line.competes:
                line.arena.offered(False)
            del self.by_cohort[line.cohort]

    def wake(self, line: Line[T], amount: int) -> None:
        """A condition of the line came true: offer it, for so much of what was released."""
        if line.timed:
            self._lot.unfile(line)  # a moment comes once; what else it waits for may come true again
        line.left = amount
        for lane in line.fresh:
            lane.arena = line.arena
            line.arena.insert(lane)
        line.fresh.clear()
        self.open[line] = None
        if not line.competes:
            line.arena.offered(True)
        if line.contended and line.groups.listeners:
            line.groups.offered(True)

    def more(self, condition: Condition, amount: int) -> None:
        """A condition came true again while lines that wait for it are open: there may be more for them."""
        for line in self.open:
            if condition in line.until and line.left < amount:
                line.left = amount

    def served(self, line: Line[T]) -> None:
        """An item of the line was taken."""
        if line in self.open:
            line.left -= line.amount
            if line.left < line.amount:
                self._close(line)

    def _close(self, line: Line[T]) -> None:
        if not line.filed:
            self._lot.file(line, line.until)
        if self._end_offer(line) and self._lot.backlog_conditions:
            self._changed(line.groups.by_resource)

    def _end_offer(self, line: Line[T]) -> bool:
        """Whether the line's groups counted as able to run until now."""
        if line not in self.open:
            return False
        del self.open[line]
        if not line.competes:
            line.arena.offered(False)
        if line.contended and line.groups.listeners:
            line.groups.offered(False)
        return line.contended

    def check_invariants(self) -> None:
        """A line has lanes, and is open or stands under what would open it. Raises `AssertionError`."""
        for line in self.by_cohort.values():
            assert line.lanes
            assert all(lane.line is line for lane in line.lanes)
            assert line.filed >= line.until or (line in self.open and line.timed), (
                "a line stands under what would open it, or is open since its moment has come"
            )
        assert all(self.by_cohort.get(line.cohort) is line for line in self.open)
