"""How many groups could run now, per resource: they have something for it that is not refused, and are below
their `admitted_limit`.

Kept by two kinds of news, what the queue tells of groups becoming ready and what the ledger knows of groups
at their limits; so the question "does anybody else want this?" costs the same with one group as with ten
thousand. Groups that stand in line for want of room are counted per line, and count while their line is open.

Which of them owe nothing is counted beside it, and what they weigh together in `competition.py`, as soon as a
policy asks for that.
"""

from __future__ import annotations

from collections.abc import Hashable, Mapping

import attrs

from penstock.competition import Competition
from penstock.tasks import TaskGroupKey

__all__ = ["PeerCount", "Shortage"]

Place = tuple[Hashable, Hashable]
"""The cohort of a line (`None`: ready, in no line), and a resource."""


@attrs.frozen(cache_hash=True)
class Shortage:
    """The cohort of those that wait for `amount` of one resource."""

    resource: str
    amount: int


class PeerCount:
    """Counts groups that are ready and below their limits. Pure."""

    def __init__(self) -> None:
        self._standing: dict[Place, set[TaskGroupKey]] = {}
        self._runnable: dict[Place, int] = {}
        self._open: dict[Hashable, None] = {None: None}
        self._capped: set[TaskGroupKey] = set()
        self._owing: set[tuple[Hashable, TaskGroupKey]] = set()
        self._indebted: dict[Place, int] = {}
        """How many of the runnable owe something of the resource."""
        self._competition: Competition | None = None
        self._weights: Mapping[TaskGroupKey, float] = {}

    def weigh(self, competition: Competition, weights: Mapping[TaskGroupKey, float]) -> None:
        """Tell `competition` who competes by being queued and able to run, now and from now on; `weights` by group."""
        self._competition, self._weights = competition, weights
        for place, standing in self._standing.items():
            for group in standing - self._capped:
                self._weigh(competition, place, group, 1)

    def ready_changed(self, resource: Hashable, group: TaskGroupKey, begins: bool, cohort: Hashable = None) -> None:
        """A group has begun, or ceased, to have something for a resource: ready, or in a line."""
        place = cohort, resource
        if begins:
            standing = self._standing.get(place)
            if standing is None:
                standing = self._standing[place] = set()
                self._runnable[place] = 0
            standing.add(group)
            if group not in self._capped:
                self._count(place, group, 1)
            return
        standing = self._standing[place]
        standing.remove(group)
        if group not in self._capped:
            self._count(place, group, -1)
        if not standing:
            del self._standing[place], self._runnable[place]
            self._indebted.pop(place, None)

    def _count(self, place: Place, group: TaskGroupKey, change: int) -> None:
        """A group that could run has begun, or ceased, to stand in a place."""
        self._runnable[place] += change
        if self._owing and (place[1], group) in self._owing:
            self._indebted[place] = self._indebted.get(place, 0) + change
        if self._competition is not None:
            self._weigh(self._competition, place, group, change)

    def _weigh(self, competition: Competition, place: Place, group: TaskGroupKey, change: int) -> None:
        cohort, resource = place
        if cohort is not None and not (isinstance(cohort, Shortage) and cohort.resource == resource):
            return  # what it waits for is another resource: it is not able to use this one
        if change > 0:
            competition.begin(resource, group, self._weights[group])
        else:
            competition.end(resource, group)

    def line_changed(self, cohort: Hashable, opens: bool) -> None:
        """A line is offered from now on, or no longer."""
        if opens:
            self._open[cohort] = None
        else:
            del self._open[cohort]

    def capped(self, group: TaskGroupKey) -> list[Hashable]:
        """A group has reached its limit; returns the resources for which there is one peer fewer."""
        self._capped.add(group)
        return self._recount(group, -1)

    def uncapped(self, group: TaskGroupKey) -> list[Hashable]:
        """A group is below its limit again; returns the resources for which there is one peer more."""
        self._capped.remove(group)
        return self._recount(group, 1)

    def _recount(self, group: TaskGroupKey, change: int) -> list[Hashable]:
        wanted: dict[Hashable, None] = {}
        for place, groups in self._standing.items():
            if group in groups:
                self._count(place, group, change)
                wanted[place[1]] = None
        return list(wanted)

    def owes(self, resource: Hashable, group: TaskGroupKey, begins: bool) -> None:
        """A group has begun, or ceased, to be in debt for a resource."""
        if group not in self._capped:
            for place, groups in self._standing.items():
                if place[1] == resource and group in groups:
                    self._indebted[place] = self._indebted.get(place, 0) + (1 if begins else -1)
        if begins:
            self._owing.add((resource, group))
        else:
            self._owing.remove((resource, group))

    def count(self, resource: Hashable, besides: TaskGroupKey) -> int:
        """How many groups beside this one could run now; one that stands in several places counts in each."""
        found = 0
        for cohort in self._open:
            place = cohort, resource
            runnable = self._runnable.get(place, 0)
            if runnable and besides not in self._capped and besides in self._standing[place]:
                runnable -= 1
            found += runnable
        return found

    def count_debt_free(self, resource: Hashable, besides: TaskGroupKey) -> int:
        """How many of those owe nothing of the resource."""
        found = 0
        counted = besides not in self._capped and (resource, besides) not in self._owing
        for cohort in self._open:
            place = cohort, resource
            free = self._runnable.get(place, 0) - self._indebted.get(place, 0)
            if free and counted and besides in self._standing[place]:
                free -= 1
            found += free
        return found
