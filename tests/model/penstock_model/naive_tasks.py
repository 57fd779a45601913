"""A task gate of lists and dictionaries: it remembers nobody's refusal and asks everybody again.

It says what is true at a moment: who fits, who would be refused, who could go. It owns no order, files nothing, and
wakes nobody. What a real gate does is held against it.
"""

from __future__ import annotations

from collections.abc import Container, Hashable, Iterable, Iterator, Mapping, Sequence

from penstock import Denied, SchedulableTask, TaskGroupKey
from penstock_model.task_rules import Peers, TaskRule

__all__ = ["NaiveTaskGate"]


class NaiveTaskGate:
    """The tasks queued in order of arrival, those that run, and the world that the rules look at."""

    def __init__(self, limits: Mapping[str, int], rules: Sequence[TaskRule], *, strict_fair: bool = False) -> None:
        self.limits = dict(limits)
        self.rules = list(rules)
        self.strict_fair = strict_fair
        self.line: list[SchedulableTask] = []
        self.out: list[SchedulableTask] = []
        self.now = 0.0
        self.closed = False
        self.shut: set[str] = set()
        self.doomed: set[str] = set()
        self.moments: dict[str, float] = {}

    # -- what rules see

    def queued(self, key: Hashable) -> int:
        if isinstance(key, TaskGroupKey):
            return sum(task.group.key is key for task in self.line)
        return sum(task.resource_request.amounts.get(str(key), 0) for task in self.line)

    def leased(self, resource: str) -> int:
        return sum(task.resource_request.amounts.get(resource, 0) for task in self.out)

    def running(self, group: TaskGroupKey) -> int:
        return sum(task.group.key is group for task in self.out)

    def peers(self, resource: str, besides: TaskGroupKey) -> int:
        """How many other groups could run now and ask for the resource, of those that look at no peers themselves."""
        return len({task.group.key for task in self.who_could_run(resource, besides)})

    def who_could_run(
        self, resource: str, besides: TaskGroupKey, kept: Mapping[str, int] | None = None
    ) -> Iterator[SchedulableTask]:
        for task in self.line:
            if task.group.key is not besides and resource in task.resource_request.amounts:
                limit = task.group.admitted_limit
                below = limit is None or self.running(task.group.key) < limit
                if below and not self.looks_at_peers(task) and self.could_go(task, kept):
                    yield task

    # -- what is true now

    def free(self) -> dict[str, int]:
        """What is free of each resource."""
        return {resource: limit - self.leased(resource) for resource, limit in self.limits.items()}

    def fits(self, task: SchedulableTask, kept: Mapping[str, int] | None = None) -> bool:
        """Whether there is room for a task, beside what is kept."""
        free = self.free()
        return all(
            free[resource] - (0 if kept is None else kept.get(resource, 0)) >= amount
            for resource, amount in task.resource_request.shape
        )

    def refusal(self, task: SchedulableTask) -> Denied | None:
        """What the first of the rules says that would refuse; those that look at peers are as they are at rest."""
        for rule in self.rules:
            if not rule.soft and (denied := rule.answer(task, self)) is not None:
                return denied
        return None

    def could_go(self, task: SchedulableTask, kept: Mapping[str, int] | None = None) -> bool:
        """Whether a task could go if nobody else could."""
        return not self.closed and self.fits(task, kept) and self.refusal(task) is None

    def able(self) -> list[SchedulableTask]:
        """Who could go if nobody else could, in order of arrival. At rest there is no such task."""
        return [task for task in self.line if self.could_go(task)]

    def looks_at_peers(self, task: SchedulableTask) -> bool:
        """Whether somebody else's being able to run could hold this task back."""
        return self.is_capped(task) or any(rule.soft and rule.is_about(task) for rule in self.rules)

    def is_capped(self, task: SchedulableTask) -> bool:
        """Whether its group has as many running as it may while peers want the places."""
        limit = task.group.admitted_limit
        return self.strict_fair and limit is not None and self.running(task.group.key) >= limit

    def has_to_wait(self, task: SchedulableTask, kept: Mapping[str, int], able: Container[str]) -> bool:
        """Whether a task has to wait for peers, of those of `able` that are sure to be able to run."""

        def wanted(resource: str) -> bool:
            peers = self.who_could_run(resource, task.group.key, kept)
            return any(peer.task_id in able for peer in peers)

        if self.is_capped(task) and any(wanted(resource) for resource in task.resource_request.amounts):
            return True
        return any(
            rule.soft
            and rule.is_about(task)
            and all(wanted(c.resource) if isinstance(c, Peers) else c.holds(task, self) for c in rule.causes)
            for rule in self.rules
        )

    def is_reservation(self, kept: Mapping[str, int], task: SchedulableTask) -> bool:
        """Whether room may be kept like this, and keeps `task` from going.

        Room is kept for some who agree, and as much as they ask for. That it is kept for one of them long enough is
        seen by when it starts (`streams.py`).
        """
        agreeing = {_lane(each): each for each in self.line if self.refusal(each) is None}
        others = [each for lane, each in agreeing.items() if lane != _lane(task)]
        free, holds = self.free(), False
        for resource, amount in kept.items():
            if amount > self.limits[resource] or amount not in _sums(agreeing.values(), resource):
                return False
            left = free[resource] - task.resource_request.amounts.get(resource, 0)
            asked = resource in task.resource_request.amounts
            holds = holds or (asked and any(left < least <= amount for least in _sums(others, resource)))
        return holds

    def asks(self, resource: str, amount: int) -> bool:
        """Whether somebody who waits for room asks for just this much of a resource."""
        return any(task.resource_request.amounts.get(resource) == amount and not self.fits(task) for task in self.line)


def _lane(task: SchedulableTask) -> tuple[TaskGroupKey, tuple[tuple[str, int], ...]]:
    return task.group.key, task.resource_request.shape


def _sums(tasks: Iterable[SchedulableTask], resource: str) -> set[int]:
    """What some of the tasks ask for together."""
    sums = {0}
    for task in tasks:
        sums |= {total + task.resource_request.amounts.get(resource, 0) for total in sums}
    return sums
