"""How much of each resource has been out at once, by how little of it was free."""

from __future__ import annotations

from collections.abc import Mapping

from penstock.tasks.records import SUBMISSION, SchedulerResourceKey

__all__ = ["MostLeased"]


class MostLeased:
    """The most that was out of each resource, of these live `limits` and of what is `available` of them.

    Whoever grants a lease lowers `least_free_places` (of `submission`) and `least_free` to what is free then.
    """

    def __init__(
        self, limits: Mapping[SchedulerResourceKey, int], available: Mapping[SchedulerResourceKey, int]
    ) -> None:
        self._limits = limits
        self._available = available
        self._before: dict[SchedulerResourceKey, int] = {}
        """The same under limits that there were before."""
        self._limits_then: dict[SchedulerResourceKey, int] = {}
        self.least_free: dict[SchedulerResourceKey, int] = {}
        self.least_free_places = 0
        self.begin_anew()

    def begin_anew(self) -> None:
        """The limits have changed: what was is kept, and what is free is looked at anew."""
        self._before = self.figures()
        self._limits_then, self.least_free = dict(self._limits), dict(self._available)
        self.least_free_places = self._available[SUBMISSION]

    def figures(self) -> dict[SchedulerResourceKey, int]:
        """Resource to the most that was out of it at once."""
        found = dict(self._before)
        for resource, limit in self._limits_then.items():
            free = self.least_free[resource]
            if resource == SUBMISSION:
                free = min(free, self.least_free_places)
            found[resource] = max(found.get(resource, 0), limit - free)
        return found
