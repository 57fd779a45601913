"""Who came first of those that ask for a resource: for policies that let tasks go in the order of arrival.

A resource is watched from the moment on at which somebody asks about it; until then it costs nothing. Whoever comes is
noted at the end, whoever left is passed over when it surfaces, so a question costs no walk over all that is queued.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from typing import Any, Final, cast

from penstock.queueing.lanes import Resources
from penstock.tasks.ready_queue import QueueView
from penstock.tasks.records import SchedulableTask, SchedulerResourceKey, set_arrival
from penstock.words.read_only import read_only

__all__ = ["ArrivalBook", "Arrived", "OldestTasks"]

Arrived = tuple[str, int, Resources]
"""The id of a task, its arrival, and what it asks for."""

SPARE: Final = 64
"""So many that have left may be noted beside as many as are queued, before they are taken out."""


class OldestTasks:
    """The oldest queued task of each resource that was ever asked about.

    `queued` gives what is queued, in the order of arrival; `find` the task of an id and an arrival, if it is queued.
    """

    def __init__(
        self, queued: Callable[[], Iterable[Arrived]], find: Callable[[str, int], SchedulableTask | None]
    ) -> None:
        self._queued = queued
        self._find = find
        self.watched: dict[SchedulerResourceKey, deque[tuple[str, int]]] = {}
        """Ids and arrivals, and no tasks: what has left is not to be kept alive by its note."""
        self._mend_at: dict[SchedulerResourceKey, int] = {}

    def came(self, tasks: Iterable[Arrived]) -> None:
        """These are queued now, in this order."""
        for task_id, arrival, resources in tasks:
            for resource, _ in resources:
                noted = self.watched.get(cast("str", resource))
                if noted is not None:
                    noted.append((task_id, arrival))
                    if len(noted) > self._mend_at[cast("str", resource)]:
                        there = (each for each in noted if self._find(*each) is not None)
                        self._note(cast("str", resource), there)

    def _note(self, resource: SchedulerResourceKey, entries: Iterable[tuple[str, int]]) -> None:
        self.watched[resource] = noted = deque(entries)
        self._mend_at[resource] = 2 * len(noted) + SPARE

    def of(self, resource: SchedulerResourceKey) -> SchedulableTask | None:
        """The queued task that asks for this resource and came first, refused or not; `None` if none asks for it."""
        if resource not in self.watched:
            asking = ((one, arrival) for one, arrival, needs in self._queued() if any(r == resource for r, _ in needs))
            self._note(resource, asking)
        noted = self.watched[resource]
        while noted:
            task = self._find(*noted[0])
            if task is not None:
                return task
            noted.popleft()
        return None


class ArrivalBook:
    """The order of arrival at a queue that is not ours, kept beside it: what it says of itself is not asked."""

    def __init__(self) -> None:
        self._queued: dict[str, SchedulableTask] = {}
        self._arrived = 0
        self._oldest = OldestTasks(lambda: map(_arrived, self._queued.values()), self._find)

    def _find(self, task_id: str, arrival: int) -> SchedulableTask | None:
        task = self._queued.get(task_id)
        return task if task is not None and task.arrival == arrival else None

    def came(self, tasks: Iterable[SchedulableTask]) -> None:
        """These were put into the queue, in this order."""
        self._oldest.came([*map(_arrived, self._numbered(tasks))])

    def _numbered(self, tasks: Iterable[SchedulableTask]) -> Iterator[SchedulableTask]:
        for task in tasks:
            if task.task_id not in self._queued:
                self._arrived += 1
                set_arrival(task, self._arrived)
                self._queued[task.task_id] = task
                yield task

    def has(self, task_id: str) -> bool:
        """Whether this one is queued."""
        return task_id in self._queued

    def left(self, task_id: str) -> None:
        """This one is queued no longer, if it was."""
        self._queued.pop(task_id, None)

    def beside(self, view: QueueView) -> QueueView:
        """The view of that queue, with the oldest by this book."""
        return cast("QueueView", _WithOldest(view, self._oldest))


def _arrived(task: SchedulableTask) -> Arrived:
    return task.task_id, task.arrival, task.resource_request.shape


@read_only
class _WithOldest:
    _view: QueueView
    oldest: Callable[[SchedulerResourceKey], SchedulableTask | None]

    def __init__(self, view: QueueView, oldest: OldestTasks) -> None:
        vars(self).update(_view=view, oldest=oldest.of)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._view, name)
