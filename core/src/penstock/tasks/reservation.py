"""Room that is kept for those who need much of a resource, so that small requests do not starve a large one.

A task that needs more than is free is passed by smaller ones, since a free place is there to be used. But it
is passed by no more than the resource holds: when that much was given to smaller requests while it waited,
what comes free is kept until it has what it needs. So it waits for one turnover of the resource at most, and
for the leases that are out then; and no place is kept empty for longer than those last.

Those that ask for the same amount wait in one line, in the queue's order, and room is kept for one of them at a
time: when it has its lease, the others may be passed again. A task that is short of several resources waits
for one of them at a time, and begins anew with each.

Lost: strict head of line (nobody passes), which leaves half of the places empty wherever sizes are mixed; and
reservations by expected ends, as in the EASY back-filling of batch systems (D. Lifka, 1995), which need to
know how long a task runs.
"""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Mapping

from penstock.tasks.contenders import Shortage
from penstock.tasks.records import TaskGroupKey
from penstock.words.verdicts import Backlog, Condition

__all__ = ["KeptRoom"]


class _Waiting:
    """Those that wait for the same amount of a resource."""

    __slots__ = ("groups", "passed")

    def __init__(self) -> None:
        self.groups = 0
        self.passed = 0
        """How much of the resource was given to smaller requests while they waited."""


class KeptRoom:
    """Who waits for room in a resource, by amount, and for which of them it is kept. Pure.

    It listens to the queue (`ReadyListener`) for those that stand in line for want of room.
    """

    def __init__(self, limits: Mapping[str, int]) -> None:
        self._limits = limits
        self.waiting: dict[str, dict[int, _Waiting]] = {}
        """Resource to those that wait for room in it, by how much they need; to be read only."""
        self.kept: dict[str, int] = {}
        """Resource to the amount that is kept: nobody else is given any of it until one that needs so much is."""

    def ready_changed(
        self, resource: Hashable, group: TaskGroupKey, begins: bool, cohort: Hashable = None
    ) -> Condition | None:
        """A group has begun, or ceased, to wait for room."""
        if not isinstance(cohort, Shortage) or cohort.resource != resource or not cohort.amount:
            return None
        lines = self.waiting.setdefault(cohort.resource, {})
        waiting = lines.setdefault(cohort.amount, _Waiting())
        waiting.groups += 1 if begins else -1
        if waiting.groups:
            return None
        del lines[cohort.amount]
        if not lines:
            del self.waiting[cohort.resource]
        if self.kept.get(cohort.resource) != cohort.amount:
            return None
        self._keep_for_another(cohort.resource)
        return Backlog(cohort.resource)

    def still(self, condition: Condition) -> bool:
        """What was said here stays true."""
        return True

    def line_changed(self, cohort: Hashable, opens: bool) -> Iterable[Condition]:
        """Whether a line is offered makes no difference here."""
        return ()

    def given(self, resource: str, amount: int) -> bool:
        """A lease over so much was given; whether that was what the resource was kept for."""
        lines = self.waiting.get(resource)
        if lines is None:
            return False
        own = lines.get(amount)
        if own is not None:
            own.passed = 0
        limit = self._limits[resource]
        for needed, waiting in lines.items():
            if needed > amount:
                waiting.passed += amount
                if waiting.passed >= limit and resource not in self.kept:
                    self.kept[resource] = needed
        if self.kept.get(resource) != amount:
            return False
        self._keep_for_another(resource)
        return True

    def _keep_for_another(self, resource: str) -> None:
        """It is kept for this one no longer, but perhaps for the one that was passed by most."""
        lines = self.waiting.get(resource, {})
        needed = max(lines, key=lambda amount: lines[amount].passed, default=0)
        if needed and lines[needed].passed >= self._limits[resource]:
            self.kept[resource] = needed
        else:
            del self.kept[resource]

    def check_invariants(self) -> None:
        """Room is kept only for somebody who waits for it. Raises `AssertionError`."""
        assert all(waiting.groups > 0 for lines in self.waiting.values() for waiting in lines.values())
        assert all(amount in self.waiting.get(resource, {}) for resource, amount in self.kept.items())
