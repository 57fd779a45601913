"""The task gate's controller: who may start, and what is counted for it."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from math import inf, nan
from typing import Any

import pytest
from hypothesis import settings, strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule
from msgspec.structs import replace

from penstock import (
    NEVER,
    At,
    Backlog,
    ConfigError,
    Denied,
    FifoTaskQueue,
    PolicyStateDelta,
    QueueView,
    Released,
    SchedulableTask,
    Signal,
    TaskAdmissionConfig,
    TaskAdmissionController,
    TaskAdmissionDenied,
    TaskAdmissionLease,
    TaskAdmissionPolicy,
    TaskAdmissionPolicyDecision,
    TaskAdmissionView,
    TaskGroupSpec,
)
from penstock.testing import TaskBench, group_key, make_task


class Policy:
    """A policy that does as it is told, and notes what it is told."""

    def __init__(
        self,
        denied: Denied | None = None,
        debt: Mapping[tuple[Any, str], int] | None = None,
        repay: Mapping[tuple[Any, str], int] | None = None,
        error: Exception | None = None,
    ) -> None:
        self.denied, self.debt, self.repay, self.error = denied, debt, repay, error
        self.heard: list[str] = []

    def evaluate(
        self, task: SchedulableTask, queue_view: QueueView, admission_view: TaskAdmissionView, now: float
    ) -> TaskAdmissionPolicyDecision:
        self.heard.append("evaluate")
        if self.error is not None:
            raise self.error
        return TaskAdmissionPolicyDecision(self.denied)

    def on_acquire(
        self, lease: TaskAdmissionLease, decision: TaskAdmissionPolicyDecision, now: float
    ) -> PolicyStateDelta | None:
        self.heard.append(f"acquire {lease.lease_id}")
        return None if self.debt is None else PolicyStateDelta(self.debt, {"borrowed": 1})

    def on_release(self, lease: TaskAdmissionLease, now: float) -> PolicyStateDelta | None:
        self.heard.append(f"release {lease.lease_id}")
        return None if self.repay is None else PolicyStateDelta(self.repay)


def controller_with(*policies: TaskAdmissionPolicy, places: int = 2, **resources: int) -> TaskAdmissionController:
    named = [(f"policy{number}", policy) for number, policy in enumerate(policies)]
    FAILURES.clear()
    return TaskAdmissionController(TaskAdmissionConfig(places, resources), named, on_failure=note_failure)


FAILURES: list[tuple[str, str]] = []
"""Plugin and method of what the policies of the last controller raised."""


def note_failure(plugin: str, hook: str, error: BaseException, asked: object = None, /) -> None:
    FAILURES.append((plugin, hook))


VIEW = FifoTaskQueue().view()


def acquire(controller: TaskAdmissionController, task: SchedulableTask, now: float = 0.0) -> TaskAdmissionLease:
    lease = controller.try_acquire(task, VIEW, now)
    assert isinstance(lease, TaskAdmissionLease)
    return lease


def refusal(controller: TaskAdmissionController, task: SchedulableTask, now: float = 0.0) -> Denied:
    answer = controller.try_acquire(task, VIEW, now)
    assert isinstance(answer, TaskAdmissionDenied)
    assert answer.item is task
    return answer.denied


def test_a_lease_counts_until_it_comes_back() -> None:
    controller = controller_with(gpu=4)
    lease = acquire(controller, make_task("a", needs={"gpu": 3}), 5.0)
    view = controller.view()
    assert (lease.item.task_id, lease.acquired_at, dict(lease.resources)) == ("a", 5.0, {"gpu": 3, "submission": 1})
    assert dict(view.resources_available) == {"submission": 1, "gpu": 1}
    assert dict(view.leased_resources) == {"submission": 1, "gpu": 3}
    assert dict(view.leased_resources_by_group[group_key("g")]) == {"submission": 1, "gpu": 3}
    assert dict(view.running_counts_by_group) == {group_key("g"): 1}
    assert view.running(group_key("g")) == 1
    json.dumps(view.snapshot())
    result = controller.release(lease, 6.0)
    assert result.released
    assert (Released("gpu"), 4) in result.freed
    assert (Released("submission"), 2) in result.freed
    assert Released(group_key("g")) in dict(result.freed)
    assert dict(view.resources_available) == {"submission": 2, "gpu": 4}
    assert len(view.running_counts_by_group) == len(view.leased_resources_by_group) == 0
    assert view.running(group_key("g")) == 0
    assert controller.leases == (1, 1)


def test_a_release_counts_once_and_never_raises() -> None:
    controller = controller_with()
    lease = acquire(controller, make_task("a"))
    other = acquire(TaskAdmissionController(generation=7), make_task("b"))
    for odd, reason in (
        (replace(lease), "stale_lease"),
        (other, "wrong_controller_generation"),
        (replace(lease, number=99), "unknown_lease"),
    ):
        assert controller.release(odd, 0.0).reason == reason
        controller.check_invariants()
    assert controller.release(lease, 0.0).released
    assert controller.release(lease, 0.0).reason == "duplicate"
    assert controller.release(lease, 0.0).freed == ()
    controller.check_invariants()


def test_a_full_gate_refuses_until_something_comes_back() -> None:
    controller = controller_with(places=1, gpu=2)
    acquire(controller, make_task("a", needs={"gpu": 1}))
    full = refusal(controller, make_task("b"))
    assert (full.reason, full.until, full.scope, full.by) == (
        "no_capacity",
        frozenset({Released("submission")}),
        "all",
        "core",
    )
    controller = controller_with(places=3, gpu=2)
    acquire(controller, make_task("a", needs={"gpu": 1}))
    full = refusal(controller, make_task("b", needs={"gpu": 2}))
    assert (full.reason, full.until, full.scope, full.amount) == (
        "no_capacity",
        frozenset({Released("gpu")}),
        "shape",
        2,
    )


def test_what_can_never_fit_is_refused_for_good_with_the_figures() -> None:
    controller = controller_with(gpu=2)
    for needs, figures in (({"gpu": 3}, "3 of 'gpu', and the limit is 2"), ({"tpu": 1}, "no resource 'tpu'")):
        denied = refusal(controller, make_task("a", needs=needs))
        assert (denied.reason, denied.until) == ("never_fits", frozenset({NEVER}))
        assert figures in denied.detail
        assert controller.never_fits(make_task("a", needs=needs)) is not None
    assert controller.never_fits(make_task("a", needs={"gpu": 2})) is None


def test_limits_are_whole_positive_numbers() -> None:
    for limit in (0, -1, 1.5, True):
        with pytest.raises(ConfigError, match="gpu"):
            controller_with(gpu=limit)  # type: ignore[arg-type]


def test_policies_are_asked_in_order_and_the_first_refusal_counts() -> None:
    first, second = Policy(), Policy(Denied("policy_denial", {Signal("go")}, detail="not now"))
    third = Policy(Denied("group_cap", {Signal("go")}))
    controller = controller_with(first, second, third)
    denied = refusal(controller, make_task("a"))
    assert (denied.by, denied.detail) == ("policy1", "not now")
    assert third.heard == []
    assert [d.by for d in controller.why_not(make_task("a"), VIEW, 0.0)] == ["policy1", "policy2"]


def test_a_policy_that_raises_refuses_and_is_named() -> None:
    controller = controller_with(Policy(error=ValueError("oh dear")))
    denied = refusal(controller, make_task("a"))
    assert (denied.reason, denied.by, denied.until) == ("policy_denial", "policy0", frozenset({Signal("reconfigured")}))
    assert denied.detail.startswith("raised ValueError at test_admission.py:")
    assert FAILURES == [("policy0", "penstock_task_policy.evaluate")]
    controller.reconfigure([], None)
    acquire(controller, make_task("a"))


@pytest.mark.parametrize(
    "answer",
    [
        Denied("cooldown", {Signal("x")}),
        Denied("policy_denial", set()),
        Denied("policy_denial", {At(10.0)}),
        Denied("policy_denial", {NEVER, Signal("x")}),
        "no",
    ],
)
def test_a_refusal_against_the_rules_is_the_policys_fault(answer: Any) -> None:
    denied = refusal(controller_with(Policy(answer)), make_task("a"), 10.0)
    assert (denied.reason, denied.by, denied.until) == ("policy_denial", "policy0", frozenset({Signal("reconfigured")}))


def test_asking_changes_nothing_and_a_lease_is_given_by_the_same_answer() -> None:
    policy = Policy()
    controller = controller_with(policy)
    task = make_task("a")
    before = controller.view().snapshot()
    assert controller.is_eligible(task, VIEW, 0.0) is None
    assert controller.view().snapshot() == before
    acquire(controller, task)
    assert policy.heard == ["evaluate", "acquire task-1-1"]


def test_an_answer_holds_for_that_moment_only() -> None:
    policy = Policy()
    controller = controller_with(policy, places=2)
    task = make_task("a")
    assert controller.is_eligible(task, VIEW, 0.0) is None
    policy.denied = Denied("policy_denial", {At(9.0)})
    assert refusal(controller, task, 1.0).by == "policy0"
    policy.denied = None
    assert controller.is_eligible(task, VIEW, 1.0) is None
    controller.close()
    assert refusal(controller, task, 1.0).reason == "shutdown"


def test_debt_is_what_policies_say_and_goes_to_zero() -> None:
    key = (group_key("g"), "submission")
    controller = controller_with(Policy(debt={key: 2}, repay={key: -1}), Policy(debt={key: 1}, repay={key: -2}))
    first = acquire(controller, make_task("a"))
    assert dict(controller.view().policy_debt_by_group_resource) == {key: 3}
    assert controller.diagnostic_counters["borrowed"] == 2
    controller.release(first, 0.0)
    assert not controller.view().policy_debt_by_group_resource
    controller.check_invariants()


def test_a_debt_below_zero_is_the_policys_error_and_the_lease_comes_back_all_the_same() -> None:
    good, bad = (group_key("g"), "submission"), (group_key("h"), "submission")
    controller = controller_with(Policy(debt={good: 1}, repay={good: -1, bad: -1}))
    lease = acquire(controller, make_task("a"))
    assert controller.release(lease, 0.0).released
    assert FAILURES == [("policy0", "penstock_task_policy.on_release")]
    assert dict(controller.view().policy_debt_by_group_resource) == {good: 1}, "all of a delta counts, or nothing"
    assert dict(controller.view().resources_available) == {"submission": 2}
    controller.check_invariants()


@pytest.mark.parametrize("change", [nan, inf, 0.5, True, "1"])
def test_a_debt_that_is_no_whole_number_is_the_policys_error_and_leaves_the_books_sound(change: Any) -> None:
    controller = controller_with(Policy(debt={(group_key("g"), "submission"): change}))
    acquire(controller, make_task("a"))
    assert FAILURES == [("policy0", "penstock_task_policy.on_acquire")]
    assert not controller.view().policy_debt_by_group_resource
    controller.check_invariants()


def test_a_debt_of_nobody_is_the_policys_error() -> None:
    nobody: Any = "ab"
    controller = controller_with(Policy(debt={nobody: 1}))
    acquire(controller, make_task("a"))
    assert FAILURES == [("policy0", "penstock_task_policy.on_acquire")]
    assert not controller.view().policy_debt_by_group_resource


def test_of_a_policy_that_counts_what_is_no_number_the_debts_do_not_count_either() -> None:
    class Counts(Policy):
        def on_acquire(self, lease: Any, decision: Any, now: float) -> PolicyStateDelta:
            count: Any = "many"
            return PolicyStateDelta({(group_key("g"), "submission"): 1}, {"borrowed": count})

    controller = controller_with(Counts())
    acquire(controller, make_task("a"))
    assert FAILURES == [("policy0", "penstock_task_policy.on_acquire")]
    assert not controller.view().policy_debt_by_group_resource
    assert "borrowed" not in controller.diagnostic_counters


def test_a_policy_that_fails_when_told_takes_no_lease_along() -> None:
    class Forgetful(Policy):
        def on_acquire(self, *args: object) -> PolicyStateDelta | None:
            raise KeyError("where was I")

        def on_release(self, *args: object) -> PolicyStateDelta | None:
            raise KeyError("where was I")

    controller = controller_with(Forgetful())
    lease = acquire(controller, make_task("a"))
    assert controller.release(lease, 0.0).released
    assert FAILURES == [("policy0", "penstock_task_policy.on_acquire"), ("policy0", "penstock_task_policy.on_release")]
    controller.check_invariants()


def test_a_closed_gate_admits_nothing_and_takes_leases_back() -> None:
    controller = controller_with()
    lease = acquire(controller, make_task("a"))
    controller.close()
    assert refusal(controller, make_task("b")).reason == "shutdown"
    assert controller.release(lease, 0.0).released


def test_views_are_to_be_read() -> None:
    controller = controller_with(gpu=1)
    acquire(controller, make_task("a"))
    view = controller.view()
    for mapping in (
        view.resource_limits, view.resources_available, view.leased_resources_by_group, view.running_counts_by_group,
        view.policy_debt_by_group_resource, view.leased_resources_by_group[group_key("g")],
    ):  # fmt: skip
        assert not hasattr(mapping, "__setitem__")


def test_a_rule_is_asked_after_the_policies() -> None:
    def rule(task: SchedulableTask, queue: QueueView, admission: TaskAdmissionView, now: float) -> Denied | None:
        return Denied("policy_denial", {At(now + 1)}, by="my-rule") if task.task_id == "a" else None

    policy = Policy()
    controller = TaskAdmissionController(TaskAdmissionConfig(2), [("p", policy)], rule)
    assert refusal(controller, make_task("a")).by == "my-rule"
    assert policy.heard == ["evaluate"]
    acquire(controller, make_task("b"))


def test_a_summary_adds_up_what_is_blocked() -> None:
    gate = TaskBench(FifoTaskQueue(), controller_with(places=1, gpu=1))
    gate.enqueue([make_task("a", "g", {"gpu": 1}), make_task("b", "h"), make_task("c", "h")])
    assert gate.start_all() == ["a"]
    summary = gate.controller.explain_blocked(gate.queue.blocked(), gate.queue.view())
    assert summary.queued_count == 2
    assert dict(summary.dominant_denial_reasons) == {"no_capacity": ("all groups",)}
    assert summary.available_after is None


def test_attaching_to_a_queue_that_is_in_use_counts_what_is_there() -> None:
    queue = FifoTaskQueue()
    queue.enqueue([make_task("a", "a"), make_task("b", "b", admitted_limit=1)], 0.0)
    controller = controller_with()
    controller.attach(queue.view())
    assert controller.view().runnable_peers("submission", group_key("a")) == 1
    assert controller.view().runnable_peers("submission", group_key("c")) == 2


GROUPS = (
    TaskGroupSpec.named("a", 1.0, 1),
    TaskGroupSpec.named("b", 1.0, 2),
    TaskGroupSpec.named("c"),
    TaskGroupSpec.named("c", 1.0, 2),  # the same group, with a limit for once
)
SHAPES: Sequence[dict[str, int]] = ({}, {"gpu": 1}, {"gpu": 2}, {"submission": 2})


class Shy:
    """A policy with a debt: whoever holds a gpu owes it, and is refused more of them while anybody else runs."""

    def evaluate(
        self, task: SchedulableTask, queue_view: QueueView, admission_view: TaskAdmissionView, now: float
    ) -> TaskAdmissionPolicyDecision:
        key = task.group.key
        owes = admission_view.policy_debt_by_group_resource.get((key, "gpu"), 0)
        if owes and "gpu" in task.resource_request.amounts and len(admission_view.running_counts_by_group) > 1:
            until = {Released(key), *(Released(other) for other in admission_view.running_counts_by_group)}
            return TaskAdmissionPolicyDecision(Denied("borrow_debt", {*until, Backlog("gpu")}, "shape"))
        return TaskAdmissionPolicyDecision()

    def delta(self, lease: TaskAdmissionLease, sign: int) -> PolicyStateDelta:
        amount = lease.resources.get("gpu", 0)
        return PolicyStateDelta({(lease.item.group.key, "gpu"): sign * amount} if amount else {})

    def on_acquire(self, lease: TaskAdmissionLease, decision: object, now: float) -> PolicyStateDelta:
        return self.delta(lease, 1)

    def on_release(self, lease: TaskAdmissionLease, now: float) -> PolicyStateDelta:
        return self.delta(lease, -1)


class ControllerMachine(RuleBasedStateMachine):
    """Queue and controller together, against a count made anew each time."""

    def __init__(self) -> None:
        super().__init__()
        self.limits = {"submission": 4, "gpu": 3}
        self.gate = TaskBench(FifoTaskQueue(), controller_with(Shy(), places=4, gpu=3))
        self.returned: list[TaskAdmissionLease] = []
        self.numbered = 0
        self.limit_of: dict[object, int | None] = {}

    @rule(group=st.sampled_from(GROUPS), shape=st.sampled_from(SHAPES), count=st.integers(1, 3))
    def enqueue(self, group: TaskGroupSpec, shape: dict[str, int], count: int) -> None:
        self.numbered += count
        self.gate.enqueue(make_task(f"{self.numbered - n}", group, shape) for n in range(count))

    @rule()
    def start(self) -> None:
        while (lease := self.gate.start_one()) is not None:
            self.limit_of[lease.item.group.key] = lease.item.group.admitted_limit

    @invariant()
    def peers_are_those_that_could_run(self) -> None:
        view = self.gate.controller.view()
        assert isinstance(self.gate.queue, FifoTaskQueue)
        holders = {task.group.key for task in self.gate.queue.reserved()}
        blocked = [block for block in self.gate.gate.blocked() if block.denied.reason != "no_capacity"]
        refused = {block.scope_key for block in blocked}
        lanes = {
            (task.group.key, task.resource_request)
            for task in self.gate.queued.values()
            if refused.isdisjoint({task.group.key, (task.group.key, task.resource_request.shape)})
            and not self.at_limit(view, task.group.key)
        }
        for group in GROUPS:
            if holders and holders != {group.key} and group.key in holders:
                continue  # it has some of what is reserved, and others have the rest
            reserved = {} if group.key in holders else view.reserved
            able = [
                (key, request)
                for key, request in lanes
                if all(view.resources_available[r] - reserved.get(r, 0) >= n for r, n in request.shape)
            ]
            for resource in self.limits:
                peers = [key for key, request in able if key is not group.key and resource in request.amounts]
                assert view.runnable_peers(resource, group.key) == len(peers)

    def at_limit(self, view: TaskAdmissionView, key: Any) -> bool:
        limit = self.limit_of.get(key)
        return bool(view.running(key)) and limit is not None and view.running(key) >= limit

    @precondition(lambda self: self.gate.out)
    @rule(data=st.data())
    def release(self, data: st.DataObject) -> None:
        lease = data.draw(st.sampled_from(self.gate.out))
        assert self.gate.release(lease).released
        self.returned.append(lease)

    @precondition(lambda self: self.returned)
    @rule(data=st.data())
    def release_again(self, data: st.DataObject) -> None:
        assert self.gate.release(data.draw(st.sampled_from(self.returned))).reason == "duplicate"

    @precondition(lambda self: self.gate.out)
    @rule(data=st.data())
    def release_a_copy(self, data: st.DataObject) -> None:
        assert self.gate.release(replace(data.draw(st.sampled_from(self.gate.out)))).reason == "stale_lease"

    @precondition(lambda self: self.gate.queued)
    @rule(data=st.data())
    def discard(self, data: st.DataObject) -> None:
        self.gate.discard(data.draw(st.sampled_from(sorted(self.gate.queued))))

    @invariant()
    def the_ledger_balances(self) -> None:
        controller = self.gate.controller
        controller.check_invariants()
        assert controller.in_flight == len(self.gate.out)
        view = controller.view()
        for resource, limit in self.limits.items():
            held = sum(lease.resources.get(resource, 0) for lease in self.gate.out)
            assert view.leased_resources[resource] == held == limit - view.resources_available[resource]
        owed: dict[object, int] = {}
        for lease in self.gate.out:
            if "gpu" in lease.resources:
                key = (lease.item.group.key, "gpu")
                owed[key] = owed.get(key, 0) + lease.resources["gpu"]
        assert dict(view.policy_debt_by_group_resource) == owed


TestControllerAgainstACount = ControllerMachine.TestCase
TestControllerAgainstACount.settings = settings(max_examples=60, stateful_step_count=40, deadline=None)
