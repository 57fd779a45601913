"""How many groups could run now, per resource: they have something for it that is not refused, and are below
their `admitted_limit`.

Kept by two kinds of news, what the queue tells of groups becoming ready and what the ledger knows of groups
at their limits; so the question "does anybody else want this?" costs the same with one group as with ten
thousand. Groups that stand in line for want of room are counted per line, and count while their line is open.
"""

from __future__ import annotations

from collections.abc import Hashable

from penstock.tasks import TaskGroupKey

__all__ = ["PeerCount"]

Place = tuple[Hashable, Hashable]
"""The cohort of a line (`None`: ready, in no line), and a resource."""


class PeerCount:
    """Counts groups that are ready and below their limits. Pure."""

    def __init__(self) -> None:
        self._standing: dict[Place, set[TaskGroupKey]] = {}
        self._runnable: dict[Place, int] = {}
        self._open: dict[Hashable, None] = {None: None}
        self._capped: set[TaskGroupKey] = set()

    def ready_changed(self, resource: Hashable, group: TaskGroupKey, begins: bool, cohort: Hashable = None) -> None:
        """A group has begun, or ceased, to have something for a resource: ready, or in a line."""
        place = cohort, resource
        if begins:
            standing = self._standing.get(place)
            if standing is None:
                standing = self._standing[place] = set()
                self._runnable[place] = 0
            standing.add(group)
            self._runnable[place] += group not in self._capped
            return
        standing = self._standing[place]
        standing.remove(group)
        self._runnable[place] -= group not in self._capped
        if not standing:
            del self._standing[place], self._runnable[place]

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
                self._runnable[place] += change
                wanted[place[1]] = None
        return list(wanted)

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
