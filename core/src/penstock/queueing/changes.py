"""What of the queue has changed since it was at rest, for those who were refused for what is queued.

It is noted by lane, by class or for all, and read by key only when somebody asks at rest: a change costs little.
"""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Mapping, Set
from typing import Final, Generic, TypeVar

from penstock.queueing.lanes import Group, Lane
from penstock.queueing.places import RefusalClass
from penstock.words.verdicts import Condition

__all__ = ["Changes"]

T = TypeVar("T")

NOTED: Final = 1024
"""So many lanes are noted, and so many keys more than twice the groups; then only what somebody waits for is kept."""


class Changes(Generic[T]):
    """Changes of who could run, and of what is queued. `soft` are the conditions about that for which somebody waits:
    for others nothing need be noted. Pure."""

    def __init__(self, groups: Mapping[Hashable, Group[T]], soft: Mapping[Condition, None]) -> None:
        self._groups = groups
        self._soft = soft
        self.keys: set[Hashable] = set()
        """The groups and resources for which something has changed; those of noted lanes come when they are read."""
        self.lanes: set[Lane[T]] = set()
        """Those lanes for which something has changed; to be read only."""
        self._classes: set[RefusalClass[T]] = set()
        """What was opened or closed: that concerns all groups in it."""
        self.all = False
        """Whether something has changed for all."""

    def of_lane(self, lane: Lane[T]) -> None:
        """Something has changed for the group and the resources of this lane."""
        self.lanes.add(lane)
        if len(self.lanes) > NOTED:
            self._read()

    def of_lanes(self, lanes: Iterable[Lane[T]]) -> None:
        """The same for several, if anybody looks at that."""
        if self._soft:
            self.lanes.update(lanes)

    def of_class(self, joined: RefusalClass[T]) -> None:
        """Who is in this class can be asked, or cannot any more."""
        self._classes.add(joined)
        for shape in joined.places:
            self.keys |= shape.resources

    def of_what_is_in(self, until: Set[Condition]) -> None:
        """Something has changed for what these are about, as far as anybody waits for them."""
        self.keys.update(getattr(condition, "key", None) for condition in until & self._soft.keys())

    def concern(self, condition: Condition) -> bool:
        """Whether something has changed for what this is about: who could run, or what is queued."""
        key = getattr(condition, "key", None)
        if self.lanes:
            self._read()
        if self.all or key in self.keys:
            return True
        group = self._groups.get(key) if self._classes else None
        return group is not None and any(node.joined in self._classes for node in (group, *group.all_lanes()))

    def __bool__(self) -> bool:
        return bool(self.keys or self.lanes or self._classes or self.all)

    def clear(self) -> None:
        """Whoever looks at the queue has seen it as it is."""
        self.keys.clear()
        self.lanes.clear()
        self._classes.clear()
        self.all = False

    def _read(self) -> None:
        """The keys of the lanes for which something has changed."""
        for lane in self.lanes:
            self.keys.add(lane.group.name)
            for resource, _ in lane.resources:
                self.keys.add(resource)
        self.lanes.clear()
        if len(self.keys) > NOTED + 2 * len(self._groups):
            named = {getattr(condition, "key", None) for condition in self._soft}
            self.keys &= named
