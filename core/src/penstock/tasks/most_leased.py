"""How much of each resource has been out at once, by how little of it was free."""

from __future__ import annotations

from collections.abc import Mapping

from penstock.tasks.records import SUBMISSION, SchedulerResourceKey

__all__ = ["MostLeased"]


class MostLeased:
    """The most that was out of each resource, of these live `limits` and of what is `available` of them.

    Whoever grants a lease lowers `least_free` to what is free then of what it takes; of places in `submission`, which
    all take, it keeps the fewest itself, and gives that here.
    """

    def __init__(
        self, limits: Mapping[SchedulerResourceKey, int], available: Mapping[SchedulerResourceKey, int]
    ) -> None:
        self._limits = limits
        self._available = available
        self._before: dict[SchedulerResourceKey, int] = {}
        """The same under limits that there were before."""
        self._limits_then = dict(limits)
        self.least_free = dict(available)

    def begin_anew(self, fewest_places: int) -> None:
        """The limits have changed: what was is kept, and what is free is looked at anew."""
        self._before = self.figures(fewest_places)
        self._limits_then, self.least_free = dict(self._limits), dict(self._available)

    def figures(self, fewest_places: int) -> dict[SchedulerResourceKey, int]:
        """Resource to the most that was out of it at once."""
        fewest = self.least_free | {SUBMISSION: min(self.least_free[SUBMISSION], fewest_places)}
        most = {resource: limit - fewest[resource] for resource, limit in self._limits_then.items()}
        return {name: max(most.get(name, 0), self._before.get(name, 0)) for name in (*most, *self._before)}
