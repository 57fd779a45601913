"""Which groups have something ready, per resource; kept as lanes become ready and cease to be, never
counted up.

Lanes that wait in line for want of room are counted per line: while their line is open, they may be able to run.

A policy that holds a group back for its peers needs to know whether there are any. Whoever must know the
moment that changes (the task gate keeps count of the peers below their limits) listens.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterable
from typing import Any, Protocol

from penstock.words.verdicts import Condition

__all__ = ["ReadyGroups", "ReadyListener", "Resources"]

Resources = tuple[tuple[Hashable, int], ...]
"""What one item asks for: each resource with its amount."""


class ReadyListener(Protocol):
    """Who must know at once what could run."""

    def ready_changed(self, resource: Hashable, group: Any, begins: bool, cohort: Hashable = None) -> Condition | None:
        """A group has just begun or ceased to have something for a resource: ready, or in the line of this cohort.

        Returns a condition that came true by this, for the queue to tell those who wait for it.
        """
        ...

    def still(self, condition: Condition) -> bool:
        """Whether a condition that came true a while ago, as this listener said, is true now."""
        ...

    def line_changed(self, cohort: Hashable, opens: bool) -> Iterable[Condition]:
        """The line of this cohort is offered from now on, or no longer; returns what came true by this."""
        ...


class ReadyGroups:
    """Resource to the groups with lanes that ask for it, and how many lanes: of the ready ones, or of one line.

    `came_true` is given what those who listen say came true.
    """

    def __init__(
        self,
        came_true: Callable[[Condition], None],
        cohort: Hashable = None,
        listeners: list[ReadyListener] | None = None,
    ) -> None:
        self.by_resource: dict[Hashable, dict[Hashable, int]] = {}
        self._came_true = came_true
        self._cohort = cohort
        self.listeners: list[ReadyListener] = [] if listeners is None else listeners

    def of_line(self, cohort: Hashable) -> ReadyGroups:
        """The same for the lanes of one line, told to the same listeners."""
        return ReadyGroups(self._came_true, cohort, self.listeners)

    def listen(self, listener: ReadyListener) -> None:
        """Tell `listener` of every change from now on, and first of what stands now among the ready."""
        self.listeners.append(listener)
        for resource, groups in self.by_resource.items():
            for key in groups:
                listener.ready_changed(resource, key, True)

    def begin(self, key: Hashable, resources: Resources) -> None:
        """A lane of this group has joined."""
        for resource, _ in resources:
            groups = self.by_resource.get(resource)
            if groups is None:
                groups = self.by_resource[resource] = {}
            count = groups.get(key, 0)
            groups[key] = count + 1
            if not count:
                self._tell(resource, key, True)

    def end(self, key: Hashable, resources: Resources) -> None:
        """A lane of this group has left."""
        for resource, _ in resources:
            groups = self.by_resource[resource]
            count = groups[key] - 1
            if count:
                groups[key] = count
                continue
            del groups[key]
            if not groups:
                del self.by_resource[resource]
            self._tell(resource, key, False)

    def _tell(self, resource: Hashable, key: Hashable, begins: bool) -> None:
        for listener in self.listeners:
            condition = listener.ready_changed(resource, key, begins, self._cohort)
            if condition is not None:
                self._came_true(condition)

    def still(self, condition: Condition) -> bool:
        """Whether all who listen find that it is true now."""
        return all(listener.still(condition) for listener in self.listeners)

    def offered(self, opens: bool) -> None:
        """The line is offered from now on, or no longer."""
        for listener in self.listeners:
            for condition in listener.line_changed(self._cohort, opens):
                self._came_true(condition)
