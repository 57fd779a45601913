"""Which groups could run now, owe nothing, or compete: what policies ask about the peers of a group.

A queue of lanes counts them as they come and go (`queueing/contenders.py`); of another queue it is worked out from
its view, which costs the number of groups that are ready. What the competing groups weigh together is worked out when
it is asked, from all groups that are queued or hold something.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from math import fsum
from typing import Any, cast

from penstock.queueing.contenders import Contenders
from penstock.tasks.ready_queue import QueueView
from penstock.tasks.records import TaskGroupKey

__all__ = ["TaskContenders"]


class TaskContenders:
    """Answers about the groups of one queue and one ledger. Pure."""

    def __init__(self, held: Mapping[TaskGroupKey, Any], debt: Mapping[tuple[TaskGroupKey, str], int]) -> None:
        self._held = held
        self._debt = debt
        self._lanes: Contenders[Any] | None = None
        self._view: QueueView | None = None
        self._capped: set[TaskGroupKey] = set()

    def attach(self, view: QueueView) -> None:
        """Answer for this queue from now on."""
        self._view = view
        self._lanes = getattr(view, "contenders", None)
        if self._lanes is not None:
            for key in self._capped:
                self._lanes.cap(key, True)

    def cap(self, key: TaskGroupKey, begins: bool) -> None:
        """A group has come to its limit, or is below it again."""
        (self._capped.add if begins else self._capped.discard)(key)
        if self._lanes is not None:
            self._lanes.cap(key, begins)

    def count(self, resource: str, besides: TaskGroupKey) -> int:
        """How much of other groups could run now that asks for the resource: 0 if nothing could."""
        return self._count(resource, besides, ())

    def count_debt_free(self, resource: str, besides: TaskGroupKey) -> int:
        """The same of other groups that owe nothing of the resource. It costs the number of debts."""
        return self._count(resource, besides, {key for key, owed in self._debt if owed == resource})

    def _count(self, resource: str, besides: TaskGroupKey, nor: Collection[TaskGroupKey]) -> int:
        if self._lanes is not None:
            return self._lanes.count(resource, besides, nor)
        return sum(key not in nor for key in self._able(resource, besides))

    def _able(self, resource: str, besides: TaskGroupKey) -> Iterator[TaskGroupKey]:
        if self._view is not None:
            ready = self._view.ready_groups_by_resource.get(resource, ())
            yield from (key for key in ready if key is not besides and key not in self._capped)

    def weight(self, resource: str, besides: TaskGroupKey) -> float:
        """What the other groups weigh together that compete: that hold some of it, or are ready for it but for room."""
        weights: dict[TaskGroupKey, float] = {}
        if self._lanes is not None:
            weights.update(cast("Iterator[tuple[TaskGroupKey, float]]", self._lanes.competing(resource)))
        elif self._view is not None:
            weights.update((key, self._view.weights_by_group[key]) for key in self._able(resource, besides))
        weights.update((key, held.weight) for key, held in self._held.items() if held.held(resource))
        weights.pop(besides, None)
        return fsum(weights.values())
