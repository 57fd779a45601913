"""How a group's share is reckoned, when it may have more, and what its debt is then.

A group's *strict share* of a resource is limit × weight ÷ the weights of all groups that compete for it,
its own among them. Those are the groups that hold some of it, and those that have something queued for it
and are able to run. Shares are whole places, rounded up: rounded down they would leave places that are
nobody's, and a group would have none.

- While a group holds less than its share, the policy has nothing against its tasks. The last of them may
  take it above, since a group whose tasks are larger than what is left of its share would otherwise never
  have its share.
- A group that holds its share or more *borrows*. It may, while no peer waits that is free of debt: a peer that
  could run now, has something ready for the resource, and no debt in it. Where all that are ready are in
  debt, what is free goes round among them in the queue's order; otherwise each would wait for the other,
  before an empty place.
- What a group holds above its share is its *debt*: noted with each lease, as it is then, and repaid by any
  completion of the group. So a peer that was away gets its share back as leases end: until it has it, every
  place that comes free goes to those that hold less than their share, or are free of debt.
- A *ceiling*, if there is one, bounds what a group may hold by borrowing, as a multiple of its share. It is
  the one thing that leaves a place empty while a task that fits is waiting, and so it is off unless asked
  for.

A group that is refused is asked again when one of its own tasks ends, or when what is queued for the
resource changes. All that are refused for the same resource are one equivalence class, and one of them is
asked for the rest. If the share of one of them grows while it waits, because others have left, it is asked when
its turn among them comes, or with its own next completion.

Source: the bounded-borrow policy of the task-admission plan of NeMo Data Designer (plan 645), with the
share of those that compete, and borrowers distinguished from those that wait for what is theirs. Lending and
reclaiming by nominal share as in Kubernetes' API Priority and Fairness, but at each decision instead of
every ten seconds.
"""

from __future__ import annotations

from collections.abc import Mapping
from math import ceil

from penstock import (
    Backlog,
    Denied,
    PolicyStateDelta,
    QueueView,
    Released,
    SchedulableTask,
    TaskAdmissionLease,
    TaskAdmissionPolicyDecision,
    TaskAdmissionView,
    TaskGroupKey,
)

__all__ = ["BoundedBorrowPolicy", "strict_share"]

_AGREED = TaskAdmissionPolicyDecision()


def strict_share(limit: int, weight: float, others: float) -> int:
    """A group's share of a resource, in whole places, at least 1; `others` is what those weigh that compete with it.

    >>> strict_share(8, 1.0, others=0.0), strict_share(8, 1.0, others=1.0), strict_share(8, 0.5, others=64.0)
    (8, 4, 1)
    """
    exact = limit * weight / (weight + others)
    return max(1, ceil(exact * (1 - 1e-12)))  # 4.000000000000001 is 4


class BoundedBorrowPolicy:
    """Gives each group its share, lets it borrow, and has it give back. Deciding is pure; its memory is the debts."""

    def __init__(self, ceiling: float | None = None) -> None:
        self._ceiling = ceiling
        self._debt: dict[tuple[TaskGroupKey, str], int] = {}
        """What this policy has reported to the controller, and reports again as it is repaid."""

    def evaluate(
        self, task: SchedulableTask, queue_view: QueueView, admission_view: TaskAdmissionView, now: float
    ) -> TaskAdmissionPolicyDecision:
        key = task.group.key
        above: dict[str, int] = {}
        for resource, amount in _typed_first(task):
            held = admission_view.held(key, resource)
            if held + amount == 1:
                continue  # no share is less than that
            others = admission_view.competing_weight(resource, besides=key)
            share = strict_share(admission_view.resource_limits[resource], task.group.weight, others)
            if held >= share:
                if admission_view.debt_free_peers(resource, besides=key):
                    return TaskAdmissionPolicyDecision(_kept_for_a_peer(key, resource, held, share))
                if self._ceiling is not None and held + amount > share * self._ceiling + 1e-9:
                    figures = f"{held} of {resource} held, and its ceiling is {share * self._ceiling:g}"
                    total = others + task.group.weight
                    return TaskAdmissionPolicyDecision(_at_the_ceiling(key, resource, figures, total))
            if held + amount > share:
                above[resource] = held + amount - share
        return TaskAdmissionPolicyDecision(diagnostics=above) if above else _AGREED

    def on_acquire(
        self, lease: TaskAdmissionLease, decision: TaskAdmissionPolicyDecision, now: float
    ) -> PolicyStateDelta | None:
        """The group's debt is what it holds above its share, as it is now."""
        above: Mapping[str, int] = decision.diagnostics or {}
        if not above and not self._debt:
            return None
        key = lease.item.group.key
        changes = {}
        for resource in lease.resources:
            change = above.get(resource, 0) - self._debt.get((key, resource), 0)
            if change:
                changes[key, resource] = change
        return self._noted(changes, {"leases_that_borrow": 1} if above else {})

    def on_release(self, lease: TaskAdmissionLease, now: float) -> PolicyStateDelta | None:
        """Whatever task of the group it was that ended, it repays."""
        if not self._debt:
            return None
        key = lease.item.group.key
        changes = {}
        for resource, amount in lease.resources.items():
            debt = self._debt.get((key, resource))
            if debt is not None:
                changes[key, resource] = -min(debt, amount)
        return self._noted(changes, {})

    def _noted(
        self, changes: dict[tuple[TaskGroupKey, str], int], counters: Mapping[str, int]
    ) -> PolicyStateDelta | None:
        if not changes and not counters:
            return None
        for key, change in changes.items():
            debt = self._debt.get(key, 0) + change
            if debt:
                self._debt[key] = debt
            else:
                del self._debt[key]
        return PolicyStateDelta(changes, counters)


def _kept_for_a_peer(key: TaskGroupKey, resource: str, held: int, share: int) -> Denied:
    return Denied(
        "borrow_debt",
        {Released(key), Backlog(resource)},
        scope="shape",
        detail=f"{held} of {resource} held, its share is {share}, and a peer waits for it",
        cohort=("borrow_debt", resource),
    )


def _at_the_ceiling(key: TaskGroupKey, resource: str, figures: str, total_weight: float) -> Denied:
    """Those at their ceilings are one equivalence class as long as the weights that compete are the same."""
    return Denied(
        "borrow_debt",
        {Released(key), Released(resource), Backlog(resource)},
        scope="shape",
        detail=figures,
        cohort=("borrow_ceiling", resource, total_weight),
    )


def _typed_first(task: SchedulableTask) -> list[tuple[str, int]]:
    amounts = task.resource_request.amounts
    return [*((r, amount) for r, amount in amounts.items() if r != "submission"), ("submission", amounts["submission"])]
