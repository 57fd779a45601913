"""Lanes of one shape in weighted fair order; the theory is in `order.py`."""

from __future__ import annotations

from collections.abc import Hashable
from heapq import heappop, heappush, heapreplace
from math import fsum, inf
from typing import Generic, TypeVar

from penstock import Lane
from penstock_fairqueue.accounts import Accounts, Entry, Flow, Home, Seat

__all__ = ["FairArena"]

T = TypeVar("T")

NOISE = 1e-12
"""Tags that differ by no more than this part of the clock are equal: they are sums of floats."""

EXACT = 1.0 - NOISE
"""A sum that is less than this part of one of its summands has drifted."""


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
        self._short, self._weight = False, 0.0
        self._seats: dict[Hashable, Seat] = {}
        self._eligible: list[Entry] = []  # a heap of those that the clock has reached
        self._waiting: dict[float, list[Entry]] = {}
        """By their start tags those that wait for the clock: heaps that become `_eligible` as they are."""
        self._starts: list[float] = []  # a heap of these start tags
        self._lone: Seat | None = None
        """The only seat there is: it stands in neither heap."""
        self._earliest = self._due = inf
        """Nobody among them has an earlier one; nor is one reached before its home's clock is so much: later, if the
        arena has stood still since."""
        self._stamp = 0

    @property
    def time(self) -> float:
        """Its own time."""
        return self._home.clock - self._behind if self._stopped is None else self._stopped

    def offered(self, begins: bool) -> None:
        """While it is not offered, its time stands still."""
        home = self._home
        if begins:
            assert self._stopped is not None
            self._behind, self._stopped = home.clock - self._stopped, None
            if self._seats:
                home.enter(self, not self._short)
                home.weight += self._weight
            return
        if self._seats:
            if not self._put_off:
                self._count_as_a_whole()
            home.leave(self, not self._short)
            home.weight -= self._weight
        self._stopped = home.clock - self._behind

    def _count_as_a_whole(self) -> None:
        self._put_off = True
        for seat in self._seats.values():
            if seat.counted:
                self._pass_count_on(seat.flow)
            else:
                self._home.weight += seat.flow.weight
            seat.counted = True
        self._weight = sum([seat.flow.weight for seat in self._seats.values()])

    def _pass_count_on(self, flow: Flow) -> None:
        """Another seat of the same group and home is counted from now on, if there is one."""
        other = next((seat for seat in flow.seats() if not seat.counted and seat.arena._home is self._home), None)
        if other is not None:
            other.counted = True
            other.arena._weight += flow.weight
            self._home.weight += flow.weight

    def short(self, begins: bool) -> None:
        """Whether there is no room for what is here."""
        if begins != self._short:
            self._short = begins
            if self in self._home.arenas:
                self._home.fits(-1 if begins else 1)

    def weigh(self) -> float:
        """What the groups that are counted here weigh together, counted anew."""
        self._weight = fsum(seat.flow.weight for seat in self._seats.values() if seat.counted)
        return self._weight

    def insert(self, lane: Lane[T]) -> None:
        """The lane competes here from now on, from where its group stands."""
        seat = self._seats.get(lane.group.key)
        if seat is None:
            seat = self._sit_down(lane)
        else:
            seat.add(lane)
        lane.position = seat
        lone = self._lone
        if lone is not None and lone is not seat:
            self._lone = None
            self.place(lone)
        self.place(seat)

    def _sit_down(self, lane: Lane[T]) -> Seat:
        home, seats, stopped = self._home, self._seats, self._stopped
        seat = self._accounts.seat(self, lane, home.clock - self._behind if stopped is None else stopped)
        flow = seat.flow
        if not seats:
            self._lone = seat
            self._put_off = stopped is not None
            if stopped is None:
                home.enter(self, not self._short)
        elif stopped is not None:
            self._put_off = True
        seats[flow.key] = seat
        home.seated += 1
        if flow.seat is not None and not self._put_off:
            others = flow.seats()
            seat.counted = all(o.arena._put_off or o.arena._home is not home or not o.counted for o in others)
        flow.sit(seat)
        if seat.counted:
            self._weight += flow.weight
            if stopped is None:
                home.weight += flow.weight
        return seat

    def remove(self, lane: Lane[T]) -> None:
        """The lane is blocked, or has run empty."""
        seat: Seat = lane.position
        if seat.sole is not lane:
            seat.remove(lane)
            self.place(seat)
            return
        flow, home, seats, stopped = seat.flow, self._home, self._seats, self._stopped
        seat.sole, seat.stamp = None, -1
        del seats[flow.key]
        flow.rise(seat)
        if seat.counted:
            self._weight -= seat.weight
            if stopped is None:
                home.weight -= seat.weight
            if flow.seat is not None and not self._put_off:
                self._pass_count_on(flow)
        if flow.seat is None:
            lead = seat.start - (home.clock - self._behind if stopped is None else stopped)
            if lead > 0.0 or lane.live:
                self._accounts.rest(home, flow, lead, lane.live > 0)
            else:
                del self._accounts.flows[flow.key]
        if not seats:
            if stopped is None:
                home.leave(self, not self._short)
            self._weight = 0.0
            seats.clear()  # an emptied dict keeps its memory
            self._lone = None
        elif len(seats) == 1:
            (self._lone,) = seats.values()
            self._eligible.clear()
            if self._waiting:
                self._waiting, self._starts = {}, []
                self._look_out_for(inf)
        home.seated = seated = home.seated - 1
        if not seated:
            home.weight = 0.0
            if home.idle:
                self._accounts.forget_idle(home, everybody=True)

    def first(self) -> Lane[T] | None:
        """The lane whose head goes next: of those that the clock has reached, the one that would finish first."""
        if self._home.clock >= self._due:
            self._take_over()
        eligible = self._eligible
        while eligible:
            _, _, stamp, seat = eligible[0]
            if seat.stamp == stamp:
                return seat.sole or seat.first()
            heappop(eligible)
        lone = self._lone
        if lone is not None:
            return lone.sole or lone.first()
        starts = self._starts
        while starts:
            waiting = self._waiting[starts[0]]
            while waiting:
                _, _, stamp, seat = waiting[0]
                if seat.stamp == stamp:
                    return seat.sole or seat.first()
                heappop(waiting)
            del self._waiting[heappop(starts)]
        return None

    def _look_out_for(self, start: float) -> None:
        """Nobody waits for an earlier start tag than this."""
        self._earliest = start
        self._due = (start + self._behind) * EXACT - NOISE

    @property
    def _reached(self) -> float:
        """The clock has reached start tags up to here."""
        return self.time + NOISE * (1.0 + self._home.clock)

    def _take_over(self) -> None:
        """Those are eligible whose start tags the clock has reached."""
        starts, eligible, reached = self._starts, self._eligible, self._reached
        while starts and starts[0] <= reached:
            fewer = self._waiting.pop(heappop(starts))
            if len(fewer) > len(eligible):  # a whole wave of equals
                eligible, fewer = fewer, eligible
            for entry in fewer:
                heappush(eligible, entry)
        self._eligible = eligible
        self._look_out_for(starts[0] if starts else inf)

    def _wait(self, start: float, entry: Entry) -> None:
        """The clock has not reached this start tag."""
        if start not in self._waiting:
            self._waiting[start] = []
            heappush(self._starts, start)
            if start < self._earliest:
                self._look_out_for(start)
        heappush(self._waiting[start], entry)

    def has_eligible(self) -> bool:
        """Whether the clock has reached anybody here."""
        if self._lone is not None:
            return self._lone.start <= self._reached
        return self.first() is not None and bool(self._eligible)

    def served(self, lane: Lane[T], cost: float) -> None:
        """The head of this lane was taken: its group's tags move by its cost, the clocks by its share."""
        seat: Seat = lane.position
        home = self._home
        weight = seat.weight
        start = seat.start
        if home.weight < weight * EXACT:
            home.weigh()  # a sum of floats that goes up and down all day drifts
        clock = home.clock
        if self._accounts.several:
            clock = self._accounts.advance(home, start + self._behind - clock, cost)
        else:
            ahead = start + self._behind - clock
            if ahead > 0.0 and (len(home.arenas) == 1 or not any(arena.has_eligible() for arena in home.arenas)):
                clock += ahead
            home.clock = clock = clock + cost / home.weight
        seat.start = start = start + cost / weight
        if seat.spread:
            seat.flow.move_others(seat, cost / weight)
        if not lane.live:
            seat.stamp = -1  # it is placed anew, or leaves, when the empty lane is removed
        elif self._lone is None:
            eligible = self._eligible
            if eligible and eligible[0][2] == seat.stamp:  # but for the first of all: it leaves by the same step
                head = (seat.sole or seat.first()).head
                entry = start + head.cost / weight, head.sequence, seat.stamp, seat
                if start <= clock - self._behind + NOISE * (1.0 + clock):
                    heapreplace(eligible, entry)
                else:
                    heappop(eligible)
                    if start in self._waiting:  # as it mostly is
                        heappush(self._waiting[start], entry)
                    else:
                        self._wait(start, entry)
            else:
                self.place(seat)

    @property
    def clock(self) -> float:
        return self._home.clock

    def tags(self, lane: Lane[T]) -> tuple[float, float]:
        seat: Seat = lane.position
        start = seat.start + (self._behind if self._stopped is None else self._home.clock - self._stopped)
        return start, start + lane.head.cost / seat.weight

    def place(self, seat: Seat) -> None:
        """Put the seat where its tags say; what stood for it before is passed over when it surfaces."""
        if seat is self._lone:
            return
        self._stamp = seat.stamp = stamp = self._stamp + 1
        start, head = seat.start, (seat.sole or seat.first()).head
        finish = start + head.cost / seat.weight
        clock = self._home.clock
        now = clock - self._behind if self._stopped is None else self._stopped
        if start <= now or start <= now + NOISE * (1.0 + clock):
            heappush(self._eligible, (finish, head.sequence, stamp, seat))
        else:
            self._wait(start, (finish, head.sequence, stamp, seat))
