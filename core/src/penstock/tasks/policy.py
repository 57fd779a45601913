"""What a task policy is: a rule with a memory that says whether a task may start, and the view it decides by.

A policy never touches the ledger. It decides by two live views, and says what is to change about its own
figures; the controller applies that in the same step as the lease.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Protocol, runtime_checkable

from penstock.tasks.decision import TaskAdmissionPolicyDecision
from penstock.tasks.lease import LeaseWatcher
from penstock.tasks.ready_queue import QueueView
from penstock.tasks.records import SchedulableTask, SchedulerResourceKey, SchedulerResourceRequest, TaskGroupKey

__all__ = ["TaskAdmissionPolicy", "TaskAdmissionView"]


class TaskAdmissionView(Protocol):
    """A read-only, live window onto the ledger."""

    @property
    def resource_limits(self) -> Mapping[SchedulerResourceKey, int]: ...

    @property
    def resources_available(self) -> Mapping[SchedulerResourceKey, int]: ...

    @property
    def reserved(self) -> Mapping[SchedulerResourceKey, int]:
        """What is kept for tasks that were next in order and did not fit: others are given what is left beside it."""
        ...

    def has_room(self, request: SchedulerResourceRequest) -> bool:
        """Whether what is free, and not reserved, is enough for this."""
        ...

    @property
    def leased_resources(self) -> Mapping[SchedulerResourceKey, int]: ...

    @property
    def leased_resources_by_group(self) -> Mapping[TaskGroupKey, Mapping[SchedulerResourceKey, int]]: ...

    @property
    def running_counts_by_group(self) -> Mapping[TaskGroupKey, int]: ...

    @property
    def policy_debt_by_group_resource(self) -> Mapping[tuple[TaskGroupKey, SchedulerResourceKey], int]: ...

    def running(self, group: TaskGroupKey) -> int:
        """How many tasks of a group run; 0 for one that holds nothing."""
        ...

    def held(self, group: TaskGroupKey, resource: SchedulerResourceKey) -> int:
        """How much of a resource a group holds, in its units."""
        ...

    def runnable_peers(self, resource: SchedulerResourceKey, besides: TaskGroupKey) -> int:
        """How much could run now, of other groups, that asks for `resource`; 0 if nothing could.

        It is not refused, there is room for it beside what is reserved, and its group is below its `admitted_limit`.
        Counted are groups with one shape; one that asks in several counts for each.
        """
        ...

    def debt_free_peers(self, resource: SchedulerResourceKey, besides: TaskGroupKey) -> int:
        """How much of the `runnable_peers` is of groups without a debt in `resource`. It costs the number of debts."""
        ...

    def competing_weight(self, resource: SchedulerResourceKey, besides: TaskGroupKey) -> float:
        """The weights, added up, of the other groups that compete for `resource`.

        Those are the groups that hold some of it, and those that are below their `admitted_limit` and have a task for
        it that is not refused and waits for nothing but room in it. It costs the number of groups.
        """
        ...

    def snapshot(self) -> Mapping[str, Any]: ...


@runtime_checkable
class TaskAdmissionPolicy(LeaseWatcher, Protocol):
    """A rule with a memory. It decides, and says what is to change about its own figures; the ledger is not its.

    A policy without a memory may have a class attribute `stateless = True`: then no lease is reported to it.
    """

    def evaluate(
        self, task: SchedulableTask, queue_view: QueueView, admission_view: TaskAdmissionView, now: float
    ) -> TaskAdmissionPolicyDecision:
        """Whether the task may start now. Pure."""
        ...
