"""Which groups have something ready, per resource; kept as lanes become ready and cease to be, never
counted up.

A policy that holds a group back for its peers needs to know whether there are any. Whoever must know the
moment that changes (the task gate keeps count of the peers below their limits) listens.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Mapping
from typing import Any

from penstock.lanes import Lane

__all__ = ["ReadyGroups", "ReadyListener"]

ReadyListener = Callable[[Hashable, Any, bool], None]
"""Called with a resource, a group key, and whether the group has just begun or ceased to have something ready for it."""


class ReadyGroups:
    """Resource to the groups with ready lanes that ask for it, and how many lanes."""

    def __init__(self) -> None:
        self.by_resource: dict[Hashable, dict[Hashable, int]] = {}
        self._listeners: list[ReadyListener] = []

    def listen(self, listener: ReadyListener) -> Mapping[Hashable, Mapping[Hashable, int]]:
        """Tell `listener` of every change from now on; returns what stands now."""
        self._listeners.append(listener)
        return self.by_resource

    def begin(self, lane: Lane[Any]) -> None:
        """A lane has become ready."""
        key = lane.group.key
        for resource, _ in lane.resources:
            groups = self.by_resource.get(resource)
            if groups is None:
                groups = self.by_resource[resource] = {}
            count = groups.get(key, 0)
            groups[key] = count + 1
            if not count:
                for listener in self._listeners:
                    listener(resource, key, True)

    def end(self, lane: Lane[Any]) -> None:
        """A lane is ready no longer."""
        key = lane.group.key
        for resource, _ in lane.resources:
            groups = self.by_resource[resource]
            count = groups[key] - 1
            if count:
                groups[key] = count
                continue
            del groups[key]
            if not groups:
                del self.by_resource[resource]
            for listener in self._listeners:
                listener(resource, key, False)
