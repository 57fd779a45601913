"""Rules of the task gate whose answers are true by construction: what a run of the model is made of.

A rule refuses the tasks that it is about while all of its *causes* hold. A cause names the condition that comes true
when it ends, so an answer turns from yes to no at any time, and from no to yes only by a condition that it named. What
a rule looks at is no finer than its scope: a refusal of a group is true of every task of that group, queued or not.

Both gates are asked by the same rules: the real one through its live views, the naive one through its lists.
"""

from __future__ import annotations

from collections.abc import Hashable
from typing import Protocol

import attrs

from penstock import Backlog, Denied, Released, SchedulableTask, TaskGroupKey, Uncontested
from penstock.testing import group_key
from penstock_model.causes import Doomed, World

__all__ = [
    "Cause",
    "Leased",
    "Parity",
    "Peers",
    "Queued",
    "Running",
    "Seen",
    "TaskRule",
    "number_of",
]


class Seen(World, Protocol):
    """What a rule can see of a gate, and of the world around it."""

    def queued(self, key: Hashable) -> int:
        """How many tasks are queued of a group (by its key), or how much of a resource they ask for."""
        ...

    def leased(self, resource: str) -> int: ...

    def running(self, group: TaskGroupKey) -> int: ...

    def peers(self, resource: str, besides: TaskGroupKey) -> int:
        """How many other groups could run now and ask for the resource."""
        ...


class Cause(Protocol):
    """Something that holds or not; `until(task, seen)` names what comes true when it ends."""

    @property
    def soft(self) -> bool:
        """Whether it looks at who could run: at rest nobody could, so then it does not hold."""
        ...

    @property
    def of_group(self) -> bool:
        """Whether it may be different for each group."""
        ...

    def holds(self, task: SchedulableTask, seen: Seen) -> bool: ...

    def until(self, task: SchedulableTask, seen: Seen) -> Hashable: ...


@attrs.frozen
class Leased:
    """While at least so much of a resource is given."""

    resource: str
    amount: int
    soft: bool = attrs.field(default=False, init=False, repr=False)
    of_group: bool = attrs.field(default=False, init=False, repr=False)

    def holds(self, task: SchedulableTask, seen: Seen) -> bool:
        return seen.leased(self.resource) >= self.amount

    def until(self, task: SchedulableTask, seen: Seen) -> Hashable:
        return Released(self.resource)


@attrs.frozen
class Running:
    """While at least so many tasks run of a group; of the task's own if none is named."""

    count: int
    group: str | None = None
    soft: bool = attrs.field(default=False, init=False, repr=False)

    @property
    def of_group(self) -> bool:
        return self.group is None

    def _key(self, task: SchedulableTask) -> TaskGroupKey:
        return task.group.key if self.group is None else group_key(self.group)

    def holds(self, task: SchedulableTask, seen: Seen) -> bool:
        return seen.running(self._key(task)) >= self.count

    def until(self, task: SchedulableTask, seen: Seen) -> Hashable:
        return Released(self._key(task))


@attrs.frozen
class Parity:
    """While what is queued for a group or a resource is odd (or even)."""

    key: Hashable
    odd: bool = True
    soft: bool = attrs.field(default=False, init=False, repr=False)
    of_group: bool = attrs.field(default=False, init=False, repr=False)

    def holds(self, task: SchedulableTask, seen: Seen) -> bool:
        return (seen.queued(self.key) % 2 == 1) is self.odd

    def until(self, task: SchedulableTask, seen: Seen) -> Hashable:
        return Backlog(self.key)


@attrs.frozen
class Queued:
    """While at least (or `few`: less than) so much is queued for a group or a resource."""

    key: Hashable
    count: int
    few: bool = False
    soft: bool = attrs.field(default=False, init=False, repr=False)
    of_group: bool = attrs.field(default=False, init=False, repr=False)

    def holds(self, task: SchedulableTask, seen: Seen) -> bool:
        return (seen.queued(self.key) < self.count) is self.few

    def until(self, task: SchedulableTask, seen: Seen) -> Hashable:
        return Backlog(self.key)


@attrs.frozen
class Peers:
    """While another group could run now and asks for the resource; `told` by `Uncontested` or by `Backlog`."""

    resource: str
    backlog: bool = False
    soft: bool = attrs.field(default=True, init=False, repr=False)
    of_group: bool = attrs.field(default=True, init=False, repr=False)

    def holds(self, task: SchedulableTask, seen: Seen) -> bool:
        return seen.peers(self.resource, task.group.key) > 0

    def until(self, task: SchedulableTask, seen: Seen) -> Hashable:
        return Backlog(self.resource) if self.backlog else Uncontested(self.resource)


def number_of(task: SchedulableTask) -> int:
    """The number that a task of the model bears in its id."""
    return int(task.task_id)


Shape = tuple[tuple[str, int], ...]


@attrs.frozen
class TaskRule:
    """Refuses whom it is about while all causes hold.

    `groups`, `shapes` (`None`: every one) and `parity` (of the task's number; `None`: both) say whom it is about.
    `untrue` makes its cohort a lie: it refuses by the task's number beside.
    """

    name: str
    causes: tuple[Cause, ...]
    scope: str = "task"
    groups: frozenset[str] | None = None
    shapes: frozenset[Shape] | None = None
    parity: int | None = None
    cohort: str | None = None
    untrue: bool = False

    @property
    def soft(self) -> bool:
        return any(cause.soft for cause in self.causes)

    @property
    def final(self) -> bool:
        return any(isinstance(cause, Doomed) for cause in self.causes)

    def is_about(self, task: SchedulableTask) -> bool:
        return (
            (self.groups is None or task.group.key.identity[1] in self.groups)
            and (self.shapes is None or task.resource_request.shape in self.shapes)
            and (self.parity is None or number_of(task) % 2 == self.parity)
        )

    def answer(self, task: SchedulableTask, seen: Seen) -> Denied | None:
        """The refusal, or `None`."""
        if not self.is_about(task) or not all(cause.holds(task, seen) for cause in self.causes):
            return None
        if self.untrue and (number_of(task) + len(seen.shut)) % 3 == 0:
            return None
        until = {cause.until(task, seen) for cause in self.causes}
        return Denied("policy_denial", until, self.scope, cohort=self.cohort, by=self.name)  # type: ignore[arg-type]
