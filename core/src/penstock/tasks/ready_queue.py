"""Which ready task comes next: the protocol of the ready queue, and of the view that policies have of it.

A queue keeps order and membership and nothing else. It offers candidates to `is_eligible` in its own order,
files a refused one under the conditions that would end the refusal, and does not offer it again until one
of them comes true. It knows nothing of admitted counts, providers or policies, and it calls no callback
while its own state is half changed.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, Protocol, runtime_checkable

import attrs

from penstock.tasks.records import SchedulableTask, SchedulerResourceKey, TaskGroupKey
from penstock.words.verdicts import Condition, Denied

__all__ = ["Blocked", "QueueSelection", "QueueView", "ReadyQueue"]


class QueueView(Protocol):
    """A read-only, live window onto what is queued. Nothing is copied for it; `snapshot()` makes the JSON-safe copy."""

    @property
    def queued_total(self) -> int: ...

    @property
    def queued_by_group(self) -> Mapping[TaskGroupKey, int]: ...

    @property
    def weights_by_group(self) -> Mapping[TaskGroupKey, float]:
        """The weight of every group with something queued, in whatever state."""
        ...

    @property
    def queued_resource_demand_by_group(self) -> Mapping[TaskGroupKey, Mapping[SchedulerResourceKey, int]]: ...

    @property
    def queued_peer_demand_by_resource(self) -> Mapping[SchedulerResourceKey, int]:
        """What all groups together have queued for a resource; a group's peers want this less its own demand."""
        ...

    @property
    def ready_groups_by_resource(self) -> Mapping[SchedulerResourceKey, Mapping[TaskGroupKey, int]]:
        """Per resource the groups with a task that asks for it and is not parked under a refusal."""
        ...

    @property
    def first_candidate_by_group(self) -> Mapping[TaskGroupKey, SchedulableTask]: ...

    @property
    def waiting_since_by_group(self) -> Mapping[TaskGroupKey, float]:
        """When the oldest queued task of each group was enqueued, in seconds of the run's clock."""
        ...

    def oldest(self, resource: SchedulerResourceKey) -> SchedulableTask | None:
        """The queued task that asks for `resource` and came first, refused or not; `None` if none asks for it.

        It costs no walk over what is queued. The task gate keeps the order of arrival by itself, and asks no queue that
        is not its own: what policies and rules see is true under any.
        """
        ...

    def snapshot(self) -> Mapping[str, Any]: ...


@attrs.define(slots=True)
class QueueSelection:
    """A candidate that was eligible when it was selected. `commit` takes it out unless the queue changed since."""

    item: SchedulableTask
    queue_view: QueueView
    sequence_version: int


@attrs.define(slots=True)
class Blocked:
    """What one refusal keeps back: `scope_key` is a task id, a (group, shape) pair, a group key, or `"all"`."""

    scope_key: object
    group: TaskGroupKey | None
    denied: Denied
    since: float
    tasks: int


@runtime_checkable
class ReadyQueue(Protocol):
    """The order of the task gate. Synchronous and pure.

    A queue whose order depends on the limits of resources may have a method `limits_changed(limits)` as well, which is
    called when they change.
    """

    def enqueue(self, tasks: Sequence[SchedulableTask], now: float) -> tuple[str, ...]:
        """Put tasks in, and return the ids that are new. The same id again is no error and no second entry."""
        ...

    def select_next(
        self, is_eligible: Callable[[SchedulableTask, QueueView], Denied | None], now: float
    ) -> QueueSelection | None:
        """The first task, in the queue's order, that is eligible. May file refused candidates under their refusals.

        Changes no membership, no order, no virtual time and no version.
        """
        ...

    def commit(self, selection: QueueSelection, now: float) -> SchedulableTask | None:
        """Take the selected task out; the only way by which one leaves by being chosen. `None` if the queue changed."""
        ...

    def park(self, task: SchedulableTask, denied: Denied, now: float) -> None:
        """File a task under a refusal that it met after selection."""
        ...

    def wake(self, condition: Condition, amount: int, now: float) -> None:
        """A condition came true; for a release `amount` is how much is free now. A hint: to wake more is no error."""
        ...

    def discard(self, task_id: str, now: float) -> SchedulableTask | None:
        """Take a task out that is not to be done any more; `None` if it is not there."""
        ...

    def blocked(self) -> Iterator[Blocked]:
        """Every refusal under which something is parked."""
        ...

    def next_change(self, now: float) -> float | None:
        """The earliest `At` under which something is parked."""
        ...

    def view(self) -> QueueView: ...

    def is_empty(self) -> bool: ...
