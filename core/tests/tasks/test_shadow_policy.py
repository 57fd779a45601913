"""A policy in shadow sees its own debts, and nobody else does."""

from __future__ import annotations

from typing import Any

import pytest

from penstock import (
    FifoTaskQueue,
    PolicyStateDelta,
    SchedulableTask,
    TaskAdmissionConfig,
    TaskAdmissionController,
    TaskAdmissionLease,
    TaskAdmissionPolicyDecision,
    TaskAdmissionView,
)
from penstock.tasks.shadow_policy import ShadowTaskPolicy
from penstock.testing import TaskBench, group_key, make_task
from penstock.words.shadow import ShadowCount


class Lends:
    """Everybody who gets a lease owes one of `submission`; what it is shown of debts is kept."""

    def __init__(self) -> None:
        self.debts: dict[str, int] = {}
        self.debt_free: dict[str, int] = {}

    def evaluate(
        self, task: SchedulableTask, queue: Any, view: TaskAdmissionView, now: float
    ) -> TaskAdmissionPolicyDecision:
        self.debts = {key[0].identity[1]: owed for key, owed in view.policy_debt_by_group_resource.items()}
        self.debt_free[task.task_id] = view.debt_free_peers("submission", besides=task.group.key)
        return TaskAdmissionPolicyDecision()

    def on_acquire(
        self, lease: TaskAdmissionLease, decision: TaskAdmissionPolicyDecision, now: float
    ) -> PolicyStateDelta:
        return PolicyStateDelta({(lease.item.group.key, "submission"): 1})

    def on_release(self, lease: TaskAdmissionLease, now: float) -> None:
        """Debts stay."""


def test_debts_of_a_policy_in_shadow_are_its_own() -> None:
    policy = Lends()
    shadow = ShadowTaskPolicy(policy, ShadowCount("lends", "task"), lambda method, error: pytest.fail(f"{error!r}"))
    gate = TaskBench(FifoTaskQueue(), TaskAdmissionController(TaskAdmissionConfig(8), [("lends", shadow)]))
    gate.enqueue([make_task("a1", "a"), make_task("b1", "b"), make_task("a2", "a"), make_task("c1", "c")])

    assert gate.start_all() == ["a1", "b1", "a2", "c1"]

    assert policy.debts == {"a": 2, "b": 1}, "when it was asked last"
    assert policy.debt_free == {"a1": 2, "b1": 1, "a2": 1, "c1": 0}, "a owes something, and is no peer of its own"
    assert not gate.controller.view().policy_debt_by_group_resource
    assert gate.controller.view().debt_free_peers("submission", group_key("a")) == 0
