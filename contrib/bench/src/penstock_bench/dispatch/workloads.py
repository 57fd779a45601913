"""What is queued in a dispatch cell: the same for Penstock and for its competitor, so that both do the same work.

Imported by both sides, and so by an environment in which Penstock is not installed: the standard library only.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

__all__ = ["Kind", "Workload", "all_fits", "turning", "window"]

HELD = 64
"""How many leases the window scenario holds."""

HOT_LIMIT = 2
"""The `admitted_limit` of its preferred groups: so at most 32 of them fill the window."""

HOT_WEIGHT = 64.0
COLD_TASKS = 4


class Kind(NamedTuple):
    """One task group: its name, share and limit, and how many tasks it has queued."""

    name: str
    weight: float
    admitted_limit: int | None
    tasks: int
    keeps: bool = False
    """Whether its leases are out until the other groups have nothing left."""


class Workload(NamedTuple):
    """Groups with their tasks, and how many leases are held while tasks are dispatched (0: each is released
    at once).
    """

    groups: tuple[Kind, ...]
    held: int

    @property
    def total(self) -> int:
        """How many tasks there are."""
        return sum(group.tasks for group in self.groups)

    @property
    def places(self) -> int:
        """How many tasks may run at once."""
        return self.held or 1024

    def arrivals(self) -> Iterator[tuple[int, str]]:
        """Group number and task id in the order of arrival: in turns, until each group has had all of its tasks."""
        left = [group.tasks for group in self.groups]
        number = 0
        while any(left):
            for at, tasks in enumerate(left):
                if tasks:
                    left[at] -= 1
                    number += 1
                    yield at, f"task-{number}"


def all_fits(groups: int, tasks: int) -> Workload:
    """Groups of equal weight that never reach their limits: every task could start at once."""
    return Workload(tuple(Kind(f"g{n}", 1.0, HOT_LIMIT, _share(tasks, groups, n)) for n in range(groups)), 0)


def window(groups: int, tasks: int) -> Workload:
    """64 leases are held, and up to 32 groups that the order prefers stay blocked: each has its one task running.

    Those 32 leases stay out; of the others one at random comes back for each task that starts. So every
    choice is made with 32 groups standing before the one that can go on.
    """
    blocked = min(HELD // 2, groups // 2)
    if not blocked:
        return Workload((Kind("g0", 1.0, None, tasks),), HELD)
    waiting = blocked * COLD_TASKS
    cold = groups - blocked
    preferred = [Kind(f"hot{n}", HOT_WEIGHT, 1, COLD_TASKS, keeps=True) for n in range(blocked)]
    others = [Kind(f"cold{n}", 1.0, None, _share(tasks - waiting, cold, n)) for n in range(cold)]
    return Workload((*preferred, *others), HELD)


def turning(groups: int, tasks: int) -> Workload:
    """64 leases are held, and up to 32 groups that the order prefers fill them all, two each.

    A lease that comes back, one of the 64 at random, lets its own group go on and no other: so with every
    cycle a group is blocked, and another is free again. The other groups have something queued all the time,
    and are let go on when a place is left."""
    hot = min(HELD // HOT_LIMIT, groups // 2)
    cold = groups - hot
    if not hot:
        return Workload((Kind("g0", 1.0, HOT_LIMIT, tasks),), HELD)
    for_cold = min(COLD_TASKS * cold, tasks // 2) if hot * HOT_LIMIT >= HELD else tasks // 2
    preferred = [Kind(f"hot{n}", HOT_WEIGHT, HOT_LIMIT, _share(tasks - for_cold, hot, n)) for n in range(hot)]
    others = [Kind(f"cold{n}", 1.0, None, _share(for_cold, cold, n)) for n in range(cold)]
    return Workload((*preferred, *others), HELD)


def _share(tasks: int, groups: int, number: int) -> int:
    """How many of `tasks` the group of this number gets, if they are dealt out in turns."""
    return tasks // groups + (number < tasks % groups)
