"""Who is parked under which condition, and whose moment has come.

A target (a node, or a class of refusals) is filed under every condition that would end its
refusal. The first condition that comes true takes it out from under all the others. Filing and waking cost
the number of conditions, never the number of targets that are parked.
"""

from __future__ import annotations

from collections.abc import Hashable, Iterable
from heapq import heapify, heappop, heappush
from typing import Protocol

from penstock.words.verdicts import At, Backlog, Condition, Released, Uncontested

__all__ = ["Parked", "ParkingLot"]


class Parked(Protocol):
    """What can be filed. The lot keeps in `filed` under what it stands, and nobody else touches that."""

    filed: set[Condition]


class ParkingLot:
    """Conditions to the targets that wait for them."""

    def __init__(self) -> None:
        self.standing: dict[Condition, dict[Parked, None]] = {}
        """Condition to those that wait for it; to be read only."""
        self.moments: list[tuple[float, int, At]] = []
        """The moments that are waited for, as a heap; some may be outdated."""
        self._filings = 0
        self._standing_moments = 0
        self.released: dict[Hashable, Released] = {}
        """The releases that are waited for, by their keys; to be read only."""
        self.soft: dict[Condition, None] = {}
        """The conditions about the queue itself under which something stands; to be read only."""
        self.backlogs = 0
        """How many of these are `Backlog` conditions: while it is 0, changes of the backlog end nothing at once."""

    def file(self, target: Parked, conditions: Iterable[Condition]) -> None:
        """Let `target` wait for the first of these, beside those it waits for already."""
        for condition in conditions:
            if condition in target.filed:
                continue
            if not target.filed:
                target.filed = set()
            target.filed.add(condition)
            waiting = self.standing.get(condition)
            if waiting is None:
                waiting = self.standing[condition] = {}
                if isinstance(condition, Released):
                    self.released[condition.key] = condition
                elif isinstance(condition, Backlog | Uncontested):
                    self.soft[condition] = None
                    self.backlogs += isinstance(condition, Backlog)
                elif isinstance(condition, At):
                    self._standing_moments += 1
                    self._note_moment(condition)
            waiting[target] = None

    def _note_moment(self, moment: At) -> None:
        """Moments that nobody waits for are passed over when they surface, and swept out when they are most of all."""
        if len(self.moments) > 2 * self._standing_moments + 64:
            standing = [c for c in self.standing if isinstance(c, At) and c is not moment]
            self.moments = [(condition.moment, -number, condition) for number, condition in enumerate(standing)]
            heapify(self.moments)
        self._filings += 1
        heappush(self.moments, (moment.moment, self._filings, moment))

    def unfile(self, target: Parked) -> None:
        """Take `target` out from under everything."""
        if not target.filed:
            return
        for condition in target.filed:
            waiting = self.standing[condition]
            del waiting[target]
            if not waiting:
                self._forget(condition)
        target.filed.clear()

    def standing_under(self, condition: Condition) -> tuple[Parked, ...]:
        """Those that wait for this condition, in the order of filing."""
        return tuple(self.standing.get(condition, ()))

    def due(self, now: float) -> list[At]:
        """The moments that have come. They stay until their targets are taken out."""
        found = []
        while self.moments and self.moments[0][0] <= now:
            condition = heappop(self.moments)[2]
            if condition in self.standing:
                found.append(condition)
        return found

    def next_moment(self) -> float | None:
        """The earliest moment that somebody waits for."""
        while self.moments and self.moments[0][2] not in self.standing:
            heappop(self.moments)
        return self.moments[0][0] if self.moments else None

    def _forget(self, condition: Condition) -> None:
        del self.standing[condition]
        if isinstance(condition, Released):
            del self.released[condition.key]
        elif isinstance(condition, Backlog | Uncontested):
            del self.soft[condition]
            self.backlogs -= isinstance(condition, Backlog)
        self._standing_moments -= isinstance(condition, At)
        if not self.standing:
            self.standing.clear()  # an emptied dict keeps its memory, a cleared one does not
            self.moments = []

    def check_invariants(self) -> None:
        """Both directions of the filing agree. Raises `AssertionError`."""
        for condition, waiting in self.standing.items():
            assert waiting, f"nobody stands under {condition}"
            assert all(condition in target.filed for target in waiting)
        assert set(self.released.values()) == {c for c in self.standing if isinstance(c, Released)}
        assert set(self.soft) == {c for c in self.standing if isinstance(c, Backlog | Uncontested)}
        assert self.backlogs == sum(isinstance(c, Backlog) for c in self.standing)
        noted = {condition for _, _, condition in self.moments}
        assert all(condition in noted for condition in self.standing if isinstance(condition, At))
