"""Who competes for a resource, what they weigh together, and who of them owes nothing: live, and as if counted anew."""

from __future__ import annotations

from fractions import Fraction

from hypothesis import settings, strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from penstock import (
    Denied,
    FifoTaskQueue,
    PolicyStateDelta,
    QueueView,
    SchedulableTask,
    Signal,
    TaskAdmissionConfig,
    TaskAdmissionController,
    TaskAdmissionLease,
    TaskAdmissionPolicyDecision,
    TaskAdmissionView,
    TaskGate,
    TaskGroupKey,
)
from penstock.testing import group_key, make_task

ALL = 1 << 62
WEIGHTS = {"a": 0.1, "b": 0.2, "c": 3.0, "d": 1e-6}
SHAPES: tuple[dict[str, int], ...] = ({}, {"gpu": 1}, {"gpu": 2}, {"disk": 1}, {"gpu": 1, "disk": 1})


class Lender:
    """A policy that lends to everybody: each group owes what it holds of gpus above one."""

    def __init__(self) -> None:
        self.held: dict[TaskGroupKey, int] = {}

    def evaluate(
        self, task: SchedulableTask, queue_view: QueueView, admission_view: TaskAdmissionView, now: float
    ) -> TaskAdmissionPolicyDecision:
        return TaskAdmissionPolicyDecision()

    def on_acquire(
        self, lease: TaskAdmissionLease, decision: TaskAdmissionPolicyDecision, now: float
    ) -> PolicyStateDelta | None:
        return self._change(lease, lease.resources.get("gpu", 0))

    def on_release(self, lease: TaskAdmissionLease, now: float) -> PolicyStateDelta | None:
        return self._change(lease, -lease.resources.get("gpu", 0))

    def _change(self, lease: TaskAdmissionLease, amount: int) -> PolicyStateDelta:
        key = lease.item.group.key
        before = self.held.get(key, 0)
        self.held[key] = after = before + amount
        return PolicyStateDelta({(key, "gpu"): self.debt(after) - self.debt(before)})

    @staticmethod
    def debt(held: int) -> int:
        return held - 1 if held > 1 else 0


class Gate:
    """The queue and the controller of the task gate, without a clock."""

    def __init__(self, gpus: int = 4) -> None:
        self.queue = FifoTaskQueue()
        self.shut: set[str] = set()
        config = TaskAdmissionConfig(100, {"gpu": gpus, "disk": 2})
        self.admission = TaskAdmissionController(config, [("lender", Lender())], self.rule)
        self.gate = TaskGate(self.queue, self.admission)
        self.view = self.admission.view()
        self.leases: list[TaskAdmissionLease] = []
        self.queued: dict[str, SchedulableTask] = {}
        self.limits: dict[TaskGroupKey, int | None] = {}
        """What the task said of its group's limit that was admitted last."""
        self.put = 0

    def rule(self, task: SchedulableTask, _: QueueView, __: TaskAdmissionView, ___: float) -> Denied | None:
        name = task.group.key.identity[1]
        return Denied("policy_denial", {Signal(name)}, "shape") if name in self.shut else None

    def enqueue(self, group: str, needs: dict[str, int] | None = None, limit: int | None = None) -> None:
        self.put += 1
        task = make_task(str(self.put), group, needs, weight=WEIGHTS[group], admitted_limit=limit)
        self.queued[task.task_id] = task
        self.gate.offer([task], 0.0)

    def dispatch(self) -> None:
        while (lease := self.gate.next(0.0)) is not None:
            del self.queued[lease.item.task_id]
            self.leases.append(lease)
            self.limits[lease.item.group.key] = lease.item.group.admitted_limit

    def release(self, place: int) -> None:
        self.gate.finish(self.leases.pop(place), 0.0)

    def weight(self, resource: str, besides: str = "nobody") -> float:
        return self.view.competing_weight(resource, group_key(besides))


def test_those_that_hold_something_and_those_that_are_ready_compete_for_it() -> None:
    gate = Gate()
    gate.enqueue("a", {"gpu": 1})
    gate.dispatch()
    gate.enqueue("c", {"gpu": 1})

    assert gate.weight("gpu") == 3.1
    assert gate.weight("gpu", besides="a") == 3.0
    assert gate.weight("gpu", besides="c") == 0.1
    assert gate.weight("disk") == 0


def test_a_group_competes_once_however_many_reasons_it_has() -> None:
    gate = Gate()
    gate.enqueue("c", {"gpu": 1})
    gate.dispatch()
    gate.enqueue("c", {"gpu": 1})
    gate.enqueue("c", {"gpu": 2})

    assert gate.weight("gpu") == 3.0
    assert gate.weight("gpu", besides="c") == 0.0


def test_who_waits_for_room_in_a_resource_competes_for_it_and_for_no_other() -> None:
    gate = Gate(gpus=1)
    gate.enqueue("a", {"gpu": 1})
    gate.enqueue("b", {"gpu": 1, "disk": 1})
    gate.dispatch()

    assert gate.weight("gpu", besides="a") == 0.2
    assert gate.weight("disk") == 0
    assert gate.weight("submission") == 0.1


def test_who_is_refused_by_a_rule_does_not_compete_until_that_ends() -> None:
    gate = Gate()
    gate.shut.add("b")
    gate.enqueue("b", {"gpu": 1})
    gate.dispatch()
    assert gate.weight("gpu") == 0

    gate.shut.clear()
    gate.gate.wake(Signal("b"), 0.0)
    assert gate.weight("gpu") == 0.2


def test_a_group_at_its_limit_competes_only_by_what_it_holds() -> None:
    gate = Gate()
    gate.enqueue("b", {"disk": 1}, limit=1)
    gate.dispatch()
    gate.enqueue("b", {"gpu": 1}, limit=1)
    assert (gate.weight("gpu"), gate.weight("disk")) == (0, 0.2)

    gate.release(0)
    assert (gate.weight("gpu"), gate.weight("disk")) == (0.2, 0)


def test_counting_may_begin_in_the_middle_of_a_run() -> None:
    early, late = Gate(gpus=2), Gate(gpus=2)
    assert early.weight("gpu") == 0
    for gate in (early, late):
        for group, needs in (("a", {"gpu": 2}), ("b", {"gpu": 1}), ("c", {"disk": 1}), ("c", {"gpu": 2})):
            gate.enqueue(group, needs)
        gate.dispatch()
        gate.enqueue("d")

    for resource in ("gpu", "disk", "submission"):
        assert early.weight(resource) == late.weight(resource) > 0
    for gate in (early, late):
        while gate.leases:
            gate.release(0)
            gate.dispatch()
    assert early.weight("gpu") == late.weight("gpu") == 0


def test_counting_may_begin_before_there_is_a_queue() -> None:
    controller, queue = TaskAdmissionController(), FifoTaskQueue()
    assert controller.view().competing_weight("submission", group_key("a")) == 0
    controller.attach(queue.view())
    queue.enqueue([make_task("1", "b", weight=0.2)], 0.0)

    assert controller.view().competing_weight("submission", group_key("a")) == 0.2


def test_a_peer_in_debt_is_a_runnable_peer_and_not_a_debt_free_one() -> None:
    gate = Gate()
    gate.enqueue("a", {"gpu": 2})
    gate.dispatch()
    gate.enqueue("a", {"gpu": 1})
    gate.enqueue("b", {"gpu": 1})
    b, c = group_key("b"), group_key("c")
    assert (gate.view.runnable_peers("gpu", c), gate.view.debt_free_peers("gpu", c)) == (2, 1)
    assert (gate.view.runnable_peers("gpu", b), gate.view.debt_free_peers("gpu", b)) == (1, 0)
    assert gate.view.debt_free_peers("submission", c) == 2, "it owes gpus, not places"

    gate.release(0)
    assert gate.view.debt_free_peers("gpu", c) == 2


class AgainstCountingAnew(RuleBasedStateMachine):
    """After every step the live figures are what one finds by looking at everything."""

    def __init__(self) -> None:
        super().__init__()
        self.gate = Gate()
        self.settled = True

    @rule(group=st.sampled_from("abcd"), needs=st.sampled_from(SHAPES), limit=st.sampled_from([None, 1, 2]))
    def enqueue(self, group: str, needs: dict[str, int], limit: int | None) -> None:
        self.gate.enqueue(group, needs, limit)
        self.settled = False

    @rule()
    def dispatch(self) -> None:
        self.gate.dispatch()
        self.settled = True

    @precondition(lambda self: self.gate.leases)
    @rule(data=st.data())
    def release(self, data: st.DataObject) -> None:
        self.gate.release(data.draw(st.integers(0, len(self.gate.leases) - 1)))
        self.settled = False

    @precondition(lambda self: self.gate.queued)
    @rule(data=st.data())
    def discard(self, data: st.DataObject) -> None:
        task_id = data.draw(st.sampled_from(sorted(self.gate.queued)))
        del self.gate.queued[task_id]
        assert self.gate.gate.discard(task_id, 0.0) is not None
        self.settled = False

    @rule(group=st.sampled_from("abcd"))
    def shut_or_open(self, group: str) -> None:
        self.gate.shut ^= {group}
        self.gate.gate.wake(Signal(group), 0.0)
        self.settled = False

    @rule()
    def ask(self) -> None:
        """Begins the counting, whenever Hypothesis likes."""
        self.gate.weight("gpu")

    def competing(self, resource: str) -> set[str]:
        """Who holds of it, or is below its limit with a task for it that nothing refuses but want of room in it."""
        gate = self.gate
        found = {lease.item.group.key.identity[1] for lease in gate.leases if resource in lease.resources}
        refused = {blocked.scope_key for blocked in gate.gate.blocked() if blocked.denied.reason != "no_capacity"}
        for task in gate.queued.values():
            shape = task.resource_request.shape
            fits = all(
                gate.view.resources_available[other] - gate.view.reserved.get(other, 0) >= amount
                for other, amount in shape
                if other != resource
            )
            ready = (task.group.key, shape) not in refused and not self.capped(task.group.key)
            if resource in dict(shape) and fits and ready:
                found.add(task.group.key.identity[1])
        return found

    def capped(self, group: TaskGroupKey) -> bool:
        running = sum(lease.item.group.key == group for lease in self.gate.leases)
        limit = self.gate.limits.get(group)
        return limit is not None and 0 < running >= limit

    @invariant()
    def the_weights_are_those_of_the_groups_that_compete(self) -> None:
        if not self.settled:
            return
        for resource in ("gpu", "disk", "submission"):
            expected = {name: Fraction(WEIGHTS[name]) for name in self.competing(resource)}
            for besides in (*WEIGHTS, "nobody"):
                others = sum(weight for name, weight in expected.items() if name != besides)
                assert self.gate.weight(resource, besides) == float(others)

    @invariant()
    def the_ledger_balances(self) -> None:
        self.gate.admission.check_invariants()
        self.gate.queue.check_invariants()


TestAgainstCountingAnew = AgainstCountingAnew.TestCase
TestAgainstCountingAnew.settings = settings(max_examples=60, stateful_step_count=30, deadline=None)
