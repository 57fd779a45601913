"""Weighted fair order: worst-case fair weighted fair queueing (WF²Q+), over lanes that can be parked.

Source: J. C. R. Bennett and H. Zhang, "Hierarchical packet fair queueing algorithms", IEEE/ACM Transactions
on Networking 5(5), 1997. Each group has a start tag S and, with the cost c of its head and its weight w, a
finish tag F = S + c/w. Of the groups whose start tag the virtual clock V has reached, the one with the
smallest finish tag goes first; then its S becomes F, and V advances by c over the sum of the weights that
compete, and never stays behind the smallest S. A group that comes back from having nothing queued starts at
max(F, V): it has saved nothing up, and has not been forgiven what it took ahead.

Two things are ours, since in the paper nobody is ever refused:

- A group that is parked does not compete, so V does not run for it: it keeps its distance to V and comes back
  with the same. It has no claim to a burst for the time in which it was refused, and loses no claim from
  before.
- Groups that are refused for want of the same thing go on competing for it while they wait. They are in an
  arena with a clock of its own, which runs with what is served from there; while it is open, its groups and those
  that are ready compete, and what is served to one moves the clock of all.

An idle group is kept until V has passed its F; after that its return is the same as that of a group never seen.
"""

from __future__ import annotations

from collections.abc import Hashable
from heapq import heapify, heappop, heappush, heapreplace
from typing import Any, Generic, TypeVar

from penstock import Lane

__all__ = ["FairArena", "FairOrder"]

T = TypeVar("T")


class _Flow:
    """A group's account across arenas. `lead` is how far its start tag was ahead of the clock when it left
    its last seat.
    """

    __slots__ = ("idle_in", "key", "lead", "seats", "weight")

    def __init__(self, key: Hashable, weight: float) -> None:
        self.key = key
        self.weight = weight
        self.seats: list[_Seat] = []
        self.lead = 0.0
        self.idle_in: FairArena[Any] | None = None
        """The arena by whose clock it became idle; `lead` is then its absolute start tag there."""


class _Seat:
    """A group's place in one arena: its start tag by that arena's clock, and its lanes there."""

    __slots__ = ("arena", "flow", "lanes", "stamp", "start")

    def __init__(self, arena: FairArena[Any], flow: _Flow, start: float) -> None:
        self.arena = arena
        self.flow = flow
        self.start = start
        self.lanes: list[Lane[Any]] = []
        self.stamp = 0

    def first(self) -> Lane[Any]:
        """The lane whose head came first: order within a group is the order of arrival."""
        lanes = self.lanes
        return lanes[0] if len(lanes) == 1 else min(lanes, key=lambda lane: lane.head.sequence)


class FairOrder(Generic[T]):
    """An `Order` that gives each group its share by weight and cost. Pure."""

    def __init__(self) -> None:
        self._flows: dict[Hashable, _Flow] = {}
        self._offered: dict[FairArena[T], None] = {}

    def arena(self, *, contended: bool) -> FairArena[T]:
        return FairArena(self._flows, self._offered)

    def forget(self) -> None:
        """Nothing is queued: nobody has taken ahead of anybody."""
        self._flows.clear()


class FairArena(Generic[T]):
    """Lanes that compete, in weighted fair order, by a virtual clock of their own."""

    def __init__(self, flows: dict[Hashable, _Flow], offered: dict[FairArena[Any], None]) -> None:
        self._flows = flows
        self._offered = offered
        self._seats: dict[Hashable, _Seat] = {}
        self._clock = 0.0
        self._weight = 0.0
        self._eligible: list[tuple[float, int, int, _Seat]] = []
        self._waiting: list[tuple[float, float, int, int, _Seat]] = []
        self._latest = 0.0
        """No start tag among those that wait for the clock is later."""
        self._idle: list[tuple[float, int, _Flow]] = []
        self._stamp = 0

    def insert(self, lane: Lane[T]) -> None:
        """The lane competes here from now on, from where its group stands."""
        group = lane.group
        seat = self._seats.get(group.key)
        if seat is None:
            seat = self._sit_down(group.key, group.weight)
        seat.lanes.append(lane)
        lane.position = seat
        self._place(seat)

    def _sit_down(self, key: Hashable, weight: float) -> _Seat:
        flow = self._flows.get(key)
        if flow is None:
            flow = self._flows[key] = _Flow(key, weight)
        if flow.seats:  # it competes elsewhere too: by as much ahead or behind as there
            other = flow.seats[0]
            lead = other.start - other.arena._clock
        elif flow.idle_in is not None:
            lead = max(flow.lead - flow.idle_in._clock, 0.0)
            flow.idle_in = None
        else:
            lead = flow.lead
        seat = self._seats[key] = _Seat(self, flow, self._clock + lead)
        flow.seats.append(seat)
        self._weight += flow.weight
        return seat

    def remove(self, lane: Lane[T]) -> None:
        """The lane is parked, or has run empty."""
        seat: _Seat = lane.position
        seat.lanes.remove(lane)
        lane.position = None
        if seat.lanes:
            self._place(seat)
            return
        flow = seat.flow
        seat.stamp = -1
        del self._seats[flow.key]
        flow.seats.remove(seat)
        self._weight -= flow.weight
        if not flow.seats:
            if lane.live:
                flow.lead = seat.start - self._clock
            else:
                flow.lead, flow.idle_in = seat.start, self
                self._stamp += 1
                heappush(self._idle, (seat.start, self._stamp, flow))
                self._forget_idle()
        if not self._seats:
            self._begin_anew()

    def first(self) -> Lane[T] | None:
        """The lane whose head goes next: of those that the clock has reached, the one that would finish first."""
        waiting, eligible = self._waiting, self._eligible
        reached = self._clock * (1 + 1e-12)
        if self._latest <= reached and len(waiting) > len(eligible):  # a whole wave of equals
            eligible += [(finish, sequence, stamp, seat) for _, finish, stamp, sequence, seat in waiting]
            heapify(eligible)
            waiting.clear()
        while waiting:
            start, finish, stamp, sequence, seat = waiting[0]
            if seat.stamp != stamp:
                heappop(waiting)
            elif start <= reached:
                heappop(waiting)
                heappush(eligible, (finish, sequence, stamp, seat))
            else:
                break
        while eligible:
            _, _, stamp, seat = eligible[0]
            if seat.stamp == stamp:
                lanes = seat.lanes
                return lanes[0] if len(lanes) == 1 else seat.first()
            heappop(eligible)
        return waiting[0][4].first() if waiting else None

    def offered(self, begins: bool) -> None:
        """While several arenas are offered their groups compete, and one clock's step is taken by all."""
        if begins:
            self._offered[self] = None
        else:
            del self._offered[self]

    def served(self, lane: Lane[T], cost: float) -> None:
        """The head of this lane was taken: its group's tags move by its cost, the clock by its share."""
        seat: _Seat = lane.position
        start = seat.start
        if len(self._offered) > 1:
            weight = 0.0
            for arena in self._offered:
                weight += arena._weight
            step = cost / weight
            for arena in self._offered:
                arena._clock += step
            if start > self._clock - step:
                self._clock = start + step
        else:
            self._clock = (start if start > self._clock else self._clock) + cost / self._weight
        flow = seat.flow
        step = cost / flow.weight
        if len(flow.seats) > 1:
            for each in flow.seats:
                each.start += step
                if each is not seat:
                    each.arena._place(each)
        else:
            seat.start += step
        if not lane.live:
            seat.stamp = -1  # it is placed anew, or leaves, when the empty lane is removed
        else:
            eligible = self._eligible
            if eligible and eligible[0][3] is seat:  # as it is, but for the first of all: it leaves by the same step
                self._stamp += 1
                seat.stamp = stamp = self._stamp
                start = seat.start
                head = lane.head if len(seat.lanes) == 1 else seat.first().head
                finish = start + head.cost / flow.weight
                if start <= self._clock * (1 + 1e-12):
                    heapreplace(eligible, (finish, head.sequence, stamp, seat))
                else:
                    heappop(eligible)
                    heappush(self._waiting, (start, finish, stamp, head.sequence, seat))
                    if start > self._latest:
                        self._latest = start
            else:
                self._place(seat)
        if self._idle:
            self._forget_idle()

    def rank(self, lane: Lane[T]) -> float:
        """The finish tag of the lane's head, from the clock on."""
        seat: _Seat = lane.position
        return seat.start - self._clock + lane.head.cost / seat.flow.weight

    def _place(self, seat: _Seat) -> None:
        """Put the seat where its tags say; what stood for it before is passed over when it surfaces."""
        self._stamp += 1
        seat.stamp = self._stamp
        lanes = seat.lanes
        head = (lanes[0] if len(lanes) == 1 else seat.first()).head
        finish = seat.start + head.cost / seat.flow.weight
        if seat.start <= self._clock * (1 + 1e-12):
            heappush(self._eligible, (finish, head.sequence, self._stamp, seat))
        else:
            heappush(self._waiting, (seat.start, finish, self._stamp, head.sequence, seat))
            self._latest = max(self._latest, seat.start)

    def _begin_anew(self) -> None:
        """Nobody competes here any more: the clock's account is closed, and nobody has a claim or a debt."""
        for _, _, flow in self._idle:
            self._forget(flow)
        self._idle, self._eligible, self._waiting = [], [], []
        self._clock = self._weight = self._latest = 0.0

    def _forget_idle(self) -> None:
        """Drop the accounts of idle groups that the clock has passed."""
        while self._idle and self._idle[0][0] <= self._clock:
            _, _, flow = heappop(self._idle)
            if flow.lead <= self._clock:
                self._forget(flow)

    def _forget(self, flow: _Flow) -> None:
        if flow.idle_in is self and self._flows.get(flow.key) is flow:
            del self._flows[flow.key]
