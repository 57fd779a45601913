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
from functools import lru_cache

import attrs

from penstock.tasks.competition import Competition
from penstock.tasks.records import TaskGroupKey
from penstock.words.verdicts import Backlog, Condition, Uncontested

__all__ = ["PeerCount", "Shortage"]


@attrs.frozen(cache_hash=True)
class Shortage:
    """The cohort of those that wait for `amount` of one resource, or (0) until it is kept for another no longer."""

    resource: str
    amount: int

    @property
    def competes(self) -> bool:
        """Whether they compete also while their line is closed: what is given meanwhile puts their turn off."""
        return not self.amount


class _Place:
    """Those that stand ready, or in one line, for one resource."""

    __slots__ = ("alone", "competes", "groups", "indebted", "open", "resource", "runnable")

    def __init__(self, cohort: Hashable, resource: Hashable, is_open: bool) -> None:
        self.resource = resource
        self.alone = (self,)
        """For a group that stands here and nowhere else."""
        self.open = is_open
        self.groups: set[TaskGroupKey] = set()
        self.runnable = 0
        self.indebted = 0
        """How many of the runnable owe something of the resource."""
        self.competes = cohort is None or (isinstance(cohort, Shortage) and cohort.resource == resource)
        """What it waits for may be another resource: then it is not able to use this one."""


_backlog = lru_cache(1024)(Backlog)
_uncontested = lru_cache(1024)(Uncontested)


class PeerCount:
    """Counts groups that are ready and below their limits. Pure."""

    def __init__(self) -> None:
        self._places: dict[Hashable, dict[Hashable, _Place]] = {None: {}}
        """By the cohort of the line (`None`: ready, in no line), and by resource."""
        self._standing: dict[TaskGroupKey, tuple[_Place, ...]] = {}
        self._total: dict[Hashable, int] = {}
        """How many could run now, in all open places."""
        self._open: dict[Hashable, None] = {None: None}
        self._capped: set[TaskGroupKey] = set()
        self._owing: set[tuple[Hashable, TaskGroupKey]] = set()
        self._competition: Competition | None = None
        self._weights: Mapping[TaskGroupKey, float] = {}

    def weigh(self, competition: Competition, weights: Mapping[TaskGroupKey, float]) -> None:
        """Tell `competition` who competes by being queued and able to run, now and from now on; `weights` by group."""
        self._competition, self._weights = competition, weights
        for group, places in self._standing.items():
            if group not in self._capped:
                for place in places:
                    self._weigh(competition, place, group, 1)

    def ready_changed(
        self, resource: Hashable, group: TaskGroupKey, begins: bool, cohort: Hashable = None
    ) -> Condition | None:
        """A group has begun, or ceased, to have something for a resource: ready, or in a line."""
        places = self._places.get(cohort)
        if places is None:
            places = self._places[cohort] = {}
        place = places.get(resource)
        if place is None:
            place = places[resource] = _Place(cohort, resource, cohort in self._open)
        if begins:
            place.groups.add(group)
            standing = self._standing.get(group)
            self._standing[group] = place.alone if standing is None else (*standing, place)
            return None if group in self._capped else self._count(place, group, 1)
        place.groups.remove(group)
        standing = self._standing[group]
        if standing is place.alone:
            del self._standing[group]
        else:
            others = tuple(each for each in standing if each is not place)
            self._standing[group] = others[0].alone if len(others) == 1 else others
        condition = None if group in self._capped else self._count(place, group, -1)
        if not place.groups:
            del places[resource]
            if not places and cohort is not None:
                del self._places[cohort]
        return condition

    def _count(self, place: _Place, group: TaskGroupKey, change: int) -> Condition | None:
        """A group that could run has begun, or ceased, to stand in a place; what came true by that."""
        place.runnable += change
        if self._owing and (place.resource, group) in self._owing:
            place.indebted += change
        if self._competition is not None:
            self._weigh(self._competition, place, group, change)
        return self._add(place.resource, change) if place.open else None

    def _add(self, resource: Hashable, change: int) -> Condition | None:
        total = self._total.get(resource, 0) + change
        if total:
            self._total[resource] = total
            return None
        self._total.pop(resource, None)
        return _uncontested(resource) if change < 0 else None

    def _weigh(self, competition: Competition, place: _Place, group: TaskGroupKey, change: int) -> None:
        if not place.competes:
            return
        if change > 0:
            competition.begin(place.resource, group, self._weights[group])
        else:
            competition.end(place.resource, group)

    def still(self, condition: Condition) -> bool:
        """Whether nobody could run now that asks for the resource of an `Uncontested`."""
        return not (isinstance(condition, Uncontested) and condition.key in self._total)

    def line_changed(self, cohort: Hashable, opens: bool) -> list[Condition]:
        """A line is offered from now on, or no longer; what came true by that."""
        if opens:
            self._open[cohort] = None
        else:
            del self._open[cohort]
        came_true = []
        for place in self._places.get(cohort, {}).values():
            place.open = opens
            if place.runnable:
                came_true.append(self._add(place.resource, place.runnable if opens else -place.runnable))
        return [condition for condition in came_true if condition is not None]

    def capped(self, group: TaskGroupKey) -> list[Condition]:
        """A group has reached its limit; returns what came true by there being one peer fewer."""
        self._capped.add(group)
        came_true: list[Condition] = []
        for place in self._standing.get(group, ()):
            condition = self._count(place, group, -1)
            came_true.append(_backlog(place.resource))
            if condition is not None:
                came_true.append(condition)
        return came_true

    def uncapped(self, group: TaskGroupKey) -> None:
        """A group is below its limit again."""
        self._capped.remove(group)
        for place in self._standing.get(group, ()):
            self._count(place, group, 1)

    def owes(self, resource: Hashable, group: TaskGroupKey, begins: bool) -> None:
        """A group has begun, or ceased, to be in debt for a resource."""
        if group not in self._capped:
            for place in self._standing.get(group, ()):
                if place.resource == resource:
                    place.indebted += 1 if begins else -1
        if begins:
            self._owing.add((resource, group))
        else:
            self._owing.remove((resource, group))

    def count(self, resource: Hashable, besides: TaskGroupKey) -> int:
        """How many groups beside this one could run now; one that stands in several places counts in each."""
        found = self._total.get(resource, 0)
        if found and besides not in self._capped:
            for place in self._standing.get(besides, ()):
                if place.open and place.resource == resource:
                    found -= 1
        return found

    def count_debt_free(self, resource: Hashable, besides: TaskGroupKey) -> int:
        """How many of those owe nothing of the resource."""
        found = 0
        counted = besides not in self._capped and (resource, besides) not in self._owing
        for cohort in self._open:
            place = self._places.get(cohort, {}).get(resource)
            if place is None:
                continue
            found += place.runnable - place.indebted
            if counted and besides in place.groups:
                found -= 1
        return found
