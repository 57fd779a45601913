"""Who is parked under which condition, and whose moment has come.

A target (a lane, a line of lanes, the whole queue) is filed under every condition that would end its
refusal. The first condition that comes true takes it out from under all the others. Filing and waking cost
the number of conditions, never the number of targets that are parked.
"""

from __future__ import annotations

from collections.abc import Iterable
from heapq import heappop, heappush
from typing import Protocol

from penstock.verdicts import At, Backlog, Condition

__all__ = ["Parked", "ParkingLot"]


class Parked(Protocol):
    """What can be filed. The lot keeps in `filed` under what it stands, and nobody else touches that."""

    filed: set[Condition]


class ParkingLot:
    """Conditions to the targets that wait for them."""

    def __init__(self) -> None:
        self._under: dict[Condition, dict[Parked, None]] = {}
        self._moments: list[tuple[float, int, At]] = []
        self._filings = 0
        self.backlog_conditions = 0
        """Under how many `Backlog` conditions something stands: while it is 0, no change of backlog need be told."""

    def __contains__(self, condition: Condition) -> bool:
        return condition in self._under

    def file(self, target: Parked, conditions: Iterable[Condition]) -> None:
        """Let `target` wait for the first of these, beside those it waits for already."""
        for condition in conditions:
            if condition in target.filed:
                continue
            target.filed.add(condition)
            standing = self._under.get(condition)
            if standing is None:
                standing = self._under[condition] = {}
                self.backlog_conditions += isinstance(condition, Backlog)
                if isinstance(condition, At):
                    self._filings += 1
                    heappush(self._moments, (condition.moment, self._filings, condition))
            standing[target] = None

    def unfile(self, target: Parked) -> None:
        """Take `target` out from under everything."""
        for condition in target.filed:
            standing = self._under[condition]
            del standing[target]
            if not standing:
                self._forget(condition)
        target.filed.clear()

    def standing_under(self, condition: Condition) -> tuple[Parked, ...]:
        """Those that wait for this condition, in the order of filing."""
        return tuple(self._under.get(condition, ()))

    def due(self, now: float) -> list[At]:
        """The moments that have come. They stay until their targets are taken out."""
        found = []
        while self._moments and self._moments[0][0] <= now:
            condition = heappop(self._moments)[2]
            if condition in self._under:
                found.append(condition)
        return found

    def next_moment(self) -> float | None:
        """The earliest moment that somebody waits for."""
        while self._moments and self._moments[0][2] not in self._under:
            heappop(self._moments)
        return self._moments[0][0] if self._moments else None

    def _forget(self, condition: Condition) -> None:
        del self._under[condition]
        self.backlog_conditions -= isinstance(condition, Backlog)

    def check_invariants(self) -> None:
        """Both directions of the filing agree. Raises `AssertionError`."""
        for condition, standing in self._under.items():
            assert standing, f"nobody stands under {condition}"
            assert all(condition in target.filed for target in standing)
        assert self.backlog_conditions == sum(isinstance(c, Backlog) for c in self._under)
