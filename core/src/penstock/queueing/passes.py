"""Choosing from lanes: passes, in which everybody who may be asked is asked once, in order, until one is not refused.

Within a pass nobody is woken, and a class that was closed is not opened again: so nobody is asked twice but those for
whom room is kept, and a pass ends. When one admits nobody, those who were refused for what is queued are asked once
more in a second one: as it is then, nobody could run.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterable
from typing import Any, Final, Generic, TypeVar

from penstock.queueing.lanes import Entry, Lane
from penstock.queueing.places import Place
from penstock.queueing.refusals import Refusals
from penstock.queueing.shortage import rank_of
from penstock.words.verdicts import Denied

__all__ = ["Passes"]

T = TypeVar("T")

SAID_WHILE_ASKED: Final = 3
"""So many times what somebody says while he is asked counts in the same choice. Who says so each time waits for the
next one, so that a choice ends."""


class Passes(Generic[T]):
    """Asks in order."""

    give_up: Callable[[Lane[T], Denied], None] | None = None
    """Takes what was refused for good out of the queue: a lane whose head was, and the refusal. `None`: it stays."""

    def __init__(self, refusals: Refusals[T]) -> None:
        self._refusals = refusals

    def choose(self, ask: Callable[[T, float], Denied | None], now: float) -> Entry | None:
        """The first item in order that is not refused, or `None`: then the queue is at rest.

        `ask` is called with an item and `now`.
        """
        refusals = self._refusals
        shapes = refusals.shapes
        place = shapes.sole if refusals.calm else self._sole_place(now)
        room = shapes.room
        if place is None or (room is not None and room.short_of(place.shape.needs) is not None):
            return self._choose_from_all(ask, now)
        lane = place.arena.first()
        if lane is None or (shapes.short and not self._is_plain(place, lane)):
            return self._choose_from_all(ask, now)
        entry = lane.head
        item = entry.made
        if item is None:
            item = entry.make()
        refusals.passing = True
        try:
            denied = ask(item, now)
        finally:
            refusals.passing = False
        if denied is None and entry.lane is lane:
            return entry
        return self._choose_from_all(ask, now, (lane, entry, denied))

    def _is_plain(self, place: Place[T], lane: Lane[T]) -> bool:
        """Whether nobody who does not fit comes before the first of those who do."""
        if lane.group.lanes or lane.group.singles:
            return False
        return self._refusals.shortage.before(rank_of(place, lane), (), place.shape.home) is None

    def _sole_place(self, now: float) -> Place[T] | None:
        """The place where all stand that may go, if it is one, nothing is reserved, and the whole queue is not refused:
        as it is when what came true meanwhile has been caught up with."""
        refusals = self._refusals
        lot, shapes = refusals.lot, refusals.shapes
        if refusals.deferred or refusals.pending or lot.moments:
            self._catch_up(now)
        if not (lot.standing or shapes.short):
            refusals.calm = refusals.nobody_waits()
        return None if refusals.reservations.lanes or refusals.root.denied is not None else shapes.sole

    def _catch_up(self, now: float) -> None:
        """Wake those whose conditions came true while somebody was asked, and whose moments have come."""
        refusals = self._refusals
        if refusals.deferred:
            refusals.pending += refusals.deferred
            refusals.deferred = []
        if refusals.pending:
            refusals.wake_pending()
        if refusals.lot.moments:
            for moment in refusals.lot.due(now):
                refusals.wake(moment)

    def _choose_from_all(
        self,
        ask: Callable[[T, float], Denied | None],
        now: float,
        asked: tuple[Lane[T], Entry, Denied | None] | None = None,
    ) -> Entry | None:
        refusals = self._refusals
        if asked is None and self._nobody_fits():
            return None
        rounds = 0
        while True:
            found = self._pass(ask, now, asked)
            asked = None
            if found is None and refusals.deferred and rounds < SAID_WHILE_ASKED:
                rounds += 1
                refusals.pending += refusals.deferred
                refusals.deferred = []
            if found is None and not refusals.pending and refusals.changes and refusals.root.denied is None:
                found = self._pass_at_rest(ask, now)
            if found is not None or not refusals.pending:
                return found  # what is pending comes when it was taken: it might not be the head of its lane then
            refusals.wake_pending()

    def _nobody_fits(self) -> bool:
        """Whether it is plain that nobody is to be asked."""
        shapes = self._refusals.shapes
        if not shapes.fitting and not self._refusals.changes:
            return True
        room = shapes.room
        return room is not None and room.always is not None and room.free[room.always] <= 0

    def _pass_at_rest(self, ask: Callable[[T, float], Denied | None], now: float) -> Entry | None:
        """Ask those once more who were refused for what is queued: as it is now, nobody could run."""
        changed = [condition for condition in self._refusals.lot.soft if self._refusals.changes.concern(condition)]
        self._refusals.changes.clear()
        self._refusals.contenders.resting = True
        try:
            for condition in changed:
                self._refusals.wake(condition)
            return self._pass(ask, now)
        finally:
            self._refusals.contenders.resting = False

    def _pass(
        self,
        ask: Callable[[T, float], Denied | None],
        now: float,
        asked: tuple[Lane[T], Entry, Denied | None] | None = None,
    ) -> Entry | None:
        """Ask until somebody is not refused; `asked`: who was asked in this pass before, and the answer."""
        self._refusals.passing = True
        agreed: set[Lane[T]] = set()
        try:
            while self._refusals.root.denied is None:
                short = False
                if asked is None:
                    found, short = self._next(agreed)
                    if found is None:
                        return None
                    lane, entry = found, found.head
                    denied = ask(entry.make(), now)
                else:
                    (lane, entry, denied), asked = asked, None
                if entry.lane is not lane:
                    continue  # it was taken out by the one who was asked
                if denied is not None:
                    if denied.final and self.give_up is not None:
                        self.give_up(lane, denied)
                    else:
                        self._refusals.refuse(lane, denied, now)
                elif short:
                    agreed.add(lane)
                    self._reserve(lane)
                else:
                    return entry
            return None
        finally:
            self._refusals.passing = False

    def _next(self, agreed: set[Lane[T]]) -> tuple[Lane[T] | None, bool]:
        """Who is to be asked next, and whether that is to see if room is to be kept for it."""
        shapes, reservations = self._refusals.shapes, self._refusals.reservations
        reserved = reservations.lanes
        for each in [each for each in reserved if each.closed or each.group.closed]:
            self._refusals.settle(each)
        if reserved and (reached := reservations.first_that_fits()) is not None:
            same = [each for each in reached.group.all_lanes() if each.resources == reached.resources]
            able = [each for each in same if each.place is not None and each.place.candidate and not each.closed]
            return min(able, key=lambda each: each.head.sequence), False
        best: Lane[T] | None = None
        best_rank: Any = None
        held = False
        room = shapes.room
        single = len(shapes.fitting) == 1 and not shapes.short
        for shape in tuple(shapes.fitting):
            for place in tuple(shape.places):
                if not place.lanes:
                    shapes.withdraw(place)
            if not shape.places:
                continue
            if room is not None and room.short_of(shape.needs) is not None:
                self._fell_short(shape.resources)
                shapes.fell_short(shape)
                single = False
                continue
            if reserved and not reservations.leave_room_for(shape.needs):
                held = held or any(self._refusals.first(place) is not None for place in tuple(shape.places))
                continue
            places = shape.places
            for place in (places[0],) if len(places) == 1 else tuple(places):
                lane = self._refusals.first(place)
                if lane is None:
                    continue
                if single and len(places) == 1 and not reserved:
                    return lane, False
                rank = rank_of(place, lane)
                if best is None or rank < best_rank:
                    best, best_rank = lane, rank
        if held:
            for each in reserved:
                if each not in agreed:
                    return each, True  # is it still worth keeping others back for?
        if best is None:
            return None, False
        best, short = self._eldest(best)
        if shapes.short:
            short = self._refusals.shortage.before(best_rank, reserved, best.place.shape.home) or short
        if short is not None and short not in agreed and reservations.would_take(short):
            return short, True
        return best, False

    def _eldest(self, best: Lane[T]) -> tuple[Lane[T], Lane[T] | None]:
        """Of the lanes of a group whose turn it is the one whose head came first: of those that may go, and, if it is
        older, of those that do not fit."""
        group, reservations = best.group, self._refusals.reservations
        if group.has_one_lane():
            return best, None
        short: Lane[T] | None = None
        for lane in group.all_lanes():
            place = lane.place
            if place is None or not place.candidate or lane.closed or lane.head.sequence >= best.head.sequence:
                continue
            if place.shape.short_of is not None:
                if not place.shape.can_be_passed:
                    continue
                if short is None or lane.head.sequence < short.head.sequence:
                    short = lane
            elif reservations.leave_room_for(place.shape.needs):
                best = lane
        if short is not None and (short in reservations.lanes or short.head.sequence > best.head.sequence):
            short = None
        return best, short

    def _reserve(self, lane: Lane[T]) -> None:
        if self._refusals.reservations.begin(lane) and self._refusals.lot.soft:
            for shape in self._refusals.shapes.fitting:
                if shape.stood_in:
                    self._refusals.changes.keys |= shape.resources  # they may not fit any more

    def _fell_short(self, resources: Iterable[Hashable]) -> None:
        """Those who ask for these could run, and cannot now."""
        if self._refusals.lot.soft:
            self._refusals.changes.keys.update(resources)
