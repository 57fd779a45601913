"""How many groups could run now, per resource: they have something ready for it, and are below their
`admitted_limit`.

Kept by two kinds of news, what the queue tells of groups becoming ready and what the ledger knows of groups
at their limits; so the question "does anybody else want this?" costs the same with one group as with ten
thousand.
"""

from __future__ import annotations

from collections.abc import Hashable

from penstock.tasks import TaskGroupKey

__all__ = ["PeerCount"]


class PeerCount:
    """Counts groups that are ready and below their limits. Pure."""

    def __init__(self) -> None:
        self._ready: dict[Hashable, set[TaskGroupKey]] = {}
        self._capped: set[TaskGroupKey] = set()
        self._runnable: dict[Hashable, int] = {}

    def ready_changed(self, resource: Hashable, group: TaskGroupKey, begins: bool) -> None:
        """A group has begun, or ceased, to have something ready for a resource."""
        if begins:
            self._ready.setdefault(resource, set()).add(group)
        else:
            self._ready[resource].remove(group)
        if group not in self._capped:
            self._runnable[resource] = self._runnable.get(resource, 0) + (1 if begins else -1)

    def capped(self, group: TaskGroupKey) -> None:
        """A group has reached its limit."""
        self._capped.add(group)
        for resource, groups in self._ready.items():
            if group in groups:
                self._runnable[resource] -= 1

    def uncapped(self, group: TaskGroupKey) -> None:
        """A group is below its limit again."""
        self._capped.remove(group)
        for resource, groups in self._ready.items():
            if group in groups:
                self._runnable[resource] += 1

    def count(self, resource: Hashable, besides: TaskGroupKey) -> int:
        """How many groups beside this one could run now."""
        itself = besides not in self._capped and besides in self._ready.get(resource, ())
        return self._runnable.get(resource, 0) - itself
