"""Lanes of one shape in weighted fair order; the theory is in `order.py`."""

from __future__ import annotations

from collections.abc import Hashable
from heapq import heapify, heappop, heappush, heapreplace
from math import fsum
from typing import Generic, TypeVar

from penstock import Lane
from penstock_fairqueue.accounts import Accounts, Flow, Home, Seat

__all__ = ["FairArena"]

T = TypeVar("T")

NOISE = 1e-12
"""Tags that differ by no more than this part of the clock are equal: they are sums of floats."""


class FairArena(Generic[T]):
    """Lanes of one shape that compete, in weighted fair order."""

    def __init__(self, accounts: Accounts, home: Home) -> None:
        self._accounts = accounts
        self._home = home
        self._behind = 0.0
        """By how much its own time is behind its home's clock."""
        self._stopped: float | None = home.clock
        """Its own time, while it stands still."""
        self._put_off = False
        """Whether it has ever stood still with somebody in it: then its weight comes and goes as a whole."""
        self._short = False
        self._weight = 0.0
        self._seats: dict[Hashable, Seat] = {}
        self._eligible: list[tuple[float, int, int, Seat]] = []
        self._waiting: list[tuple[float, float, int, int, Seat]] = []
        self._latest = 0.0
        """No start tag among those that wait for the clock is later."""
        self._stamp = 0

    @property
    def _time(self) -> float:
        return self._home.clock - self._behind if self._stopped is None else self._stopped

    def _reached(self) -> float:
        """Start tags up to here are eligible."""
        return self._time + NOISE * (1.0 + self._home.clock)

    def offered(self, begins: bool) -> None:
        """While it is not offered, its time stands still."""
        home = self._home
        if begins:
            assert self._stopped is not None
            self._behind, self._stopped = home.clock - self._stopped, None
            if self._seats:
                self._enter()
                home.weight += self._weight
            return
        if self._seats:
            if not self._put_off:
                self._count_as_a_whole()
            self._exit()
            home.weight -= self._weight
        self._stopped = home.clock - self._behind

    def _count_as_a_whole(self) -> None:
        self._put_off = True
        for seat in self._seats.values():
            if seat.counted:
                self._pass_count_on(seat)
            else:
                self._home.weight += seat.flow.weight
            seat.counted = True
        self._weight = sum([seat.flow.weight for seat in self._seats.values()])

    def _pass_count_on(self, seat: Seat) -> bool:
        """Whether another seat of the same group and home is counted from now on."""
        for other in seat.flow.seats:
            arena = other.arena
            if not other.counted and arena._home is self._home:
                other.counted = True
                arena._weight += seat.flow.weight
                self._home.weight += seat.flow.weight
                return True
        return False

    def short(self, begins: bool) -> None:
        """Whether there is no room for what is here."""
        if begins != self._short:
            self._short = begins
            if self in self._home.arenas:
                self._home.fitting += -1 if begins else 1

    def _enter(self) -> None:
        home = self._home
        home.arenas[self] = None
        home.fitting += not self._short

    def _exit(self) -> None:
        home = self._home
        del home.arenas[self]
        home.fitting -= not self._short

    def weigh(self) -> float:
        """What the groups that are counted here weigh together, counted anew."""
        self._weight = fsum(seat.flow.weight for seat in self._seats.values() if seat.counted)
        return self._weight

    def insert(self, lane: Lane[T]) -> None:
        """The lane competes here from now on, from where its group stands."""
        group = lane.group
        seat = self._seats.get(group.key)
        if seat is None:
            seat = self._sit_down(group.key, group.weight)
        seat.lanes.append(lane)
        lane.position = seat
        self._place(seat)

    def _sit_down(self, key: Hashable, weight: float) -> Seat:
        flow = self._accounts.flows.get(key)
        if flow is None:
            flow = self._accounts.flows[key] = Flow(key, weight)
        if flow.seats:  # it competes elsewhere too: by as much ahead or behind as there
            other = flow.seats[0]
            lead = other.start - other.arena._time
        elif flow.idle_in is not None:
            lead = max(flow.lead - flow.idle_in.clock, 0.0)
            flow.idle_in = None
        else:
            lead = flow.lead
        seat = self._seats[key] = Seat(self, flow, self._time + lead)
        home = self._home
        home.seated += 1
        if self._stopped is not None:
            self._put_off = True
        elif len(self._seats) == 1:
            self._enter()
        if not self._put_off and flow.seats:
            seat.counted = all(o.arena._put_off or o.arena._home is not home or not o.counted for o in flow.seats)
        flow.seats.append(seat)
        if seat.counted:
            self._weight += flow.weight
            if self._stopped is None:
                home.weight += flow.weight
        return seat

    def remove(self, lane: Lane[T]) -> None:
        """The lane is blocked, or has run empty."""
        seat: Seat = lane.position
        seat.lanes.remove(lane)
        lane.position = None
        if seat.lanes:
            self._place(seat)
            return
        flow, home = seat.flow, self._home
        seat.stamp = -1
        del self._seats[flow.key]
        flow.seats.remove(seat)
        if seat.counted:
            self._weight -= flow.weight
            if self._stopped is None:
                home.weight -= flow.weight
            if not self._put_off and flow.seats:
                self._pass_count_on(seat)
        if not self._seats:
            if self._stopped is None:
                self._exit()
            self._weight = self._latest = 0.0
            self._eligible, self._waiting = [], []
        if not flow.seats:
            lead = seat.start - self._time
            if lane.live:
                flow.lead = lead
            else:
                flow.lead, flow.idle_in = home.clock + lead, home
                self._stamp += 1
                home.numbered += 1
                heappush(home.idle, (flow.lead, home.numbered, flow))
                self._forget_idle()
        home.seated -= 1
        if not home.seated:
            home.weight = 0.0
            self._forget_idle(everybody=True)

    def first(self) -> Lane[T] | None:
        """The lane whose head goes next: of those that the clock has reached, the one that would finish first."""
        waiting, eligible = self._waiting, self._eligible
        if waiting:
            reached = self._reached()
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

    def _has_eligible(self) -> bool:
        self.first()
        return bool(self._eligible)

    def served(self, lane: Lane[T], cost: float) -> None:
        """The head of this lane was taken: its group's tags move by its cost, the clocks by its share."""
        seat: Seat = lane.position
        home, flow = self._home, seat.flow
        weight, start = flow.weight, seat.start
        if home.weight < weight * (1.0 - NOISE):
            home.weigh()  # a sum of floats that goes up and down all day drifts
        clock = home.clock
        ahead = start + self._behind - clock
        homes = self._accounts.homes
        if len(homes) == 1:
            if ahead > 0 and (len(home.arenas) == 1 or not any(arena._has_eligible() for arena in home.arenas)):
                clock += ahead
            home.clock = clock = clock + cost / home.weight
        else:
            competing = [each for each in homes.values() if each.fitting or each is home]
            if ahead > 0 and not any(arena._has_eligible() for each in competing for arena in each.arenas):
                for each in competing:
                    each.clock += ahead
            step = cost / sum([each.weight for each in competing])
            for each in competing:
                each.clock += step
            clock = home.clock
        seat.start = start = start + cost / weight
        if len(flow.seats) > 1:
            for other in flow.seats:
                if other is not seat:
                    other.start += cost / weight
                    other.arena._place(other)
        if not lane.live:
            seat.stamp = -1  # it is placed anew, or leaves, when the empty lane is removed
        else:
            eligible = self._eligible
            if eligible and eligible[0][3] is seat:  # as it is, but for the first of all: it leaves by the same step
                self._stamp = seat.stamp = stamp = self._stamp + 1
                head = lane.head if len(seat.lanes) == 1 else seat.first().head
                finish = start + head.cost / weight
                if start <= clock - self._behind + NOISE * (1.0 + clock):
                    heapreplace(eligible, (finish, head.sequence, stamp, seat))
                else:
                    heappop(eligible)
                    heappush(self._waiting, (start, finish, stamp, head.sequence, seat))
                    if start > self._latest:
                        self._latest = start
            else:
                self._place(seat)
        if home.idle:
            self._forget_idle()

    @property
    def clock(self) -> float:
        return self._home.clock

    def tags(self, lane: Lane[T]) -> tuple[float, float]:
        seat: Seat = lane.position
        start = seat.start + (self._behind if self._stopped is None else self._home.clock - self._stopped)
        return start, start + lane.head.cost / seat.flow.weight

    def _place(self, seat: Seat) -> None:
        """Put the seat where its tags say; what stood for it before is passed over when it surfaces."""
        self._stamp += 1
        seat.stamp = self._stamp
        lanes = seat.lanes
        head = (lanes[0] if len(lanes) == 1 else seat.first()).head
        finish = seat.start + head.cost / seat.flow.weight
        if seat.start <= self._reached():
            heappush(self._eligible, (finish, head.sequence, self._stamp, seat))
        else:
            heappush(self._waiting, (seat.start, finish, self._stamp, head.sequence, seat))
            self._latest = max(self._latest, seat.start)

    def _forget_idle(self, everybody: bool = False) -> None:
        """Drop the accounts of idle groups that the clock has passed; of all, when nobody competes here any more."""
        home = self._home
        while home.idle and (everybody or home.idle[0][0] <= home.clock):
            _, _, flow = heappop(home.idle)
            if flow.idle_in is home and (everybody or flow.lead <= home.clock):
                self._accounts.flows.pop(flow.key, None)
