"""What the fair order keeps of each group, and the clocks of those that compete."""

from __future__ import annotations

from collections.abc import Callable, Hashable
from heapq import heappop, heappush
from math import fsum
from typing import Any, Final
from weakref import WeakValueDictionary

from penstock import Lane
from penstock_fairqueue.native import mypyc_attr

__all__ = ["Accounts", "Flow", "Home", "Seat"]

IDLE_KEPT: Final = 4096
"""So many idle groups have an account at each clock. With more, the account goes that is nearest to being even."""

_ONE: Final[list[Lane[Any]]] = []  # most seats have one lane; nobody puts anything in
_NO_OTHERS: Final[list[Seat]] = []  # and most groups one seat


class Flow:
    """A group's account across arenas. `lead` is how far its start tag was ahead of the clock when it left
    its last seat.
    """

    __slots__ = ("idle_in", "key", "lead", "others", "seat", "weight")

    def __init__(self, key: Hashable, weight: float) -> None:
        self.key = key
        self.weight = weight
        self.seat: Seat | None = None
        """Its seat; if there are several, the one that it took first."""
        self.others: list[Seat] = _NO_OTHERS
        self.lead = 0.0
        self.idle_in: Home | None = None
        """The home by whose clock it became idle; `lead` is then its absolute start tag there."""

    def take_lead(self) -> float:
        """How far ahead of the clock it begins where it comes in now."""
        other = self.seat
        if other is not None:  # it competes elsewhere too: by as much ahead or behind as there
            lead: float = other.start - other.arena.time
        elif self.idle_in is not None:
            lead = max(self.lead - self.idle_in.clock, 0.0)
            self.idle_in = None
        else:
            lead = self.lead
        return lead

    def sit(self, seat: Seat) -> None:
        """One more seat."""
        first = self.seat
        if first is None:
            self.seat = seat
        else:
            self.others = [*self.others, seat]
            seat.spread = first.spread = True

    def seats(self) -> list[Seat]:
        """All its seats, in the order in which it took them."""
        return [] if self.seat is None else [self.seat, *self.others]

    def move_others(self, seat: Seat, share: float) -> None:
        """What a group is given in one arena counts in all where it has a seat."""
        for other in self.seats():
            if other is not seat:
                other.start += share
                other.arena.place(other)

    def rise(self, seat: Seat) -> None:
        """One seat less."""
        left = [each for each in self.seats() if each is not seat]
        seat.spread = False
        self.seat, self.others = (left[0], left[1:]) if left else (None, _NO_OTHERS)
        if len(left) == 1:
            left[0].spread = False


class Seat:
    """A group's place in one arena: its start tag by that arena's time, and its lanes there."""

    __slots__ = ("arena", "counted", "flow", "lanes", "sole", "spread", "stamp", "start", "weight")

    def __init__(self, arena: Any, flow: Flow, start: float) -> None:
        self.arena = arena
        self.flow = flow
        self.weight = flow.weight
        self.start = start
        self.sole: Lane[Any] | None = None
        """Its lane, if it has one alone."""
        self.lanes: list[Lane[Any]] = _ONE
        """Its lanes, if they are several."""
        self.spread = False
        """Whether its group has other seats too."""
        self.stamp = 0
        self.counted = True
        """Whether its group's weight is counted with this seat, and not with another of the same home."""

    def take_again(self, weight: float, start: float) -> None:
        """The group, of which nothing was kept, comes back to where it was."""
        flow = self.flow
        flow.weight = self.weight = weight
        flow.lead, flow.idle_in = 0.0, None
        self.start, self.counted = start, True

    def add(self, lane: Lane[Any]) -> None:
        """One more lane."""
        if self.sole is not None:
            self.lanes, self.sole = [self.sole, lane], None
        else:
            self.lanes.append(lane)

    def remove(self, lane: Lane[Any]) -> None:
        """One lane less, of several."""
        self.lanes.remove(lane)
        if len(self.lanes) == 1:
            self.sole, self.lanes = self.lanes[0], _ONE

    def first(self) -> Lane[Any]:
        """The lane whose head came first: order within a group is the order of arrival."""
        return min(self.lanes, key=lambda lane: lane.head.sequence)


Entry = tuple[float, int, int, Seat]
"""A seat where its tags say: the finish tag, the number of its head, and the seat's stamp."""


@mypyc_attr(allow_interpreted_subclasses=True)
class Home:
    """The clock of those that compete for one resource."""

    __slots__ = ("accounts", "arenas", "clock", "fitting", "idle", "key", "numbered", "seated", "weight")

    def __init__(self, key: Hashable, accounts: Accounts) -> None:
        self.key = key
        self.accounts = accounts
        self.clock = 0.0
        self.weight = 0.0
        """Of all groups in the arenas that are offered."""
        self.arenas: dict[Any, None] = {}
        """Those that are offered and not empty."""
        self.fitting = 0
        """How many of these are not short of room."""
        self.seated = 0
        """How many seats there are in all its arenas."""
        self.idle: list[tuple[float, int, Flow]] = []
        self.numbered = 0

    def fits(self, more: int) -> None:
        """So many more of the arenas are not short of room."""
        before = self.fitting
        self.fitting = fitting = before + more
        if not before or not fitting:
            self.accounts.see_able(self)

    def enter(self, arena: Any, fits: bool) -> None:
        """An arena is offered, and not empty."""
        self.arenas[arena] = None
        if fits:
            self.fits(1)

    def leave(self, arena: Any, fits: bool) -> None:
        """It is not any more."""
        del self.arenas[arena]
        if fits:
            self.fits(-1)

    def weigh(self) -> None:
        """Count the weights anew."""
        self.weight = fsum(arena.weigh() for arena in self.arenas)


class Accounts:
    """All groups, and all homes, of one order; `make_home` makes one that can be referred to weakly."""

    def __init__(self, make_home: Callable[[Hashable, Accounts], Home]) -> None:
        self._make_home = make_home
        self.flows: dict[Hashable, Flow] = {}
        self._known: WeakValueDictionary[Hashable, Home] = WeakValueDictionary()
        self.able: dict[Home, None] = {}
        """Those homes where something fits."""
        self.several = False
        """Whether these are several: then their clocks move together."""

    def home(self, key: Hashable) -> Home:
        """The clock of those that compete for this."""
        home = self._known.get(key)
        if home is None:
            home = self._known[key] = self._make_home(key, self)
        return home

    def seat(self, arena: Any, lane: Lane[Any], start: float) -> Seat:
        """The seat for a lane whose group has none in this arena; who is not ahead starts here."""
        group, before = lane.group, lane.position  # where it sat last, perhaps
        flow = self.flows.get(group.key)
        if flow is None:
            if before is None or before.arena is not arena:
                seat = Seat(arena, Flow(group.key, group.weight), start)
            else:
                seat = before
                seat.take_again(group.weight, start)
            self.flows[group.key] = seat.flow
        else:
            if flow.seat is None:
                flow.weight = group.weight
            seat = Seat(arena, flow, start + flow.take_lead())
        seat.sole = lane
        return seat

    def see_able(self, home: Home) -> None:
        """The first of its arenas fits, or none of them any more."""
        if home.fitting:
            self.able[home] = None
        else:
            del self.able[home]
        self.several = len(self.able) > 1

    def advance(self, home: Home, ahead: float, cost: float) -> float:
        """Move the clocks of all homes in which something fits, and of this one, whose clock it returns."""
        competing = [*self.able] if home in self.able else [*self.able, home]
        if ahead > 0 and not any(arena.has_eligible() for each in competing for arena in each.arenas):
            for each in competing:
                each.clock += ahead
        step = cost / sum([each.weight for each in competing])
        for each in competing:
            each.clock += step
        return home.clock

    def rest(self, home: Home, flow: Flow, lead: float, blocked: bool) -> None:
        """A group competes nowhere: who is blocked keeps its distance to the clock, who has nothing and is ahead keeps
        its tag."""
        if blocked:
            flow.lead = lead
        else:
            flow.lead, flow.idle_in = home.clock + lead, home
            home.numbered += 1
            heappush(home.idle, (flow.lead, home.numbered, flow))
            if len(home.idle) > IDLE_KEPT:
                self._forget_first(home)
            self.forget_idle(home)

    def forget_idle(self, home: Home, everybody: bool = False) -> None:
        """Drop the accounts of idle groups that the clock has passed; of all, when nobody competes here any more."""
        while home.idle and (everybody or home.idle[0][0] <= home.clock):
            self._forget_first(home)

    def _forget_first(self, home: Home) -> None:
        """Drop the account of the idle group that the clock passes first, if it has not come back meanwhile."""
        tag, _, flow = heappop(home.idle)
        if flow.idle_in is home and flow.lead == tag:
            self.flows.pop(flow.key, None)

    @property
    def remembered(self) -> int:
        """How many groups have an account though they have nothing queued."""
        return sum(flow.idle_in is not None for flow in self.flows.values())

    def forget(self) -> None:
        """Nobody has taken ahead of anybody. Clocks go on as long as their arenas are kept."""
        self.flows.clear()  # an emptied dict keeps its memory
