"""Who competes for a resource, what they weigh together, and who of them owes nothing: live, and as if counted anew."""

from __future__ import annotations

from fractions import Fraction
from math import fsum
from typing import Any

import pytest
from hypothesis import given, settings, strategies as st
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
    TaskGroupKey,
)
from penstock.tasks.competition import Competition
from penstock.tasks.contenders import PeerCount, Shortage
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
        self.admission.attach(self.queue.view())
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
        self.queue.enqueue([task], 0.0)

    def dispatch(self) -> None:
        view = self.queue.view()
        while selection := self.queue.select_next(lambda task, seen: self.admission.is_eligible(task, seen, 0.0), 0.0):
            lease = self.admission.try_acquire(selection.item, view, 0.0)
            assert isinstance(lease, TaskAdmissionLease)
            assert self.queue.commit(selection, 0.0) is selection.item
            for condition in self.admission.take_turned():
                self.queue.wake(condition, ALL, 0.0)
            del self.queued[selection.item.task_id]
            self.leases.append(lease)
            self.limits[lease.item.group.key] = lease.item.group.admitted_limit

    def release(self, place: int) -> None:
        for condition, amount in self.admission.release(self.leases.pop(place), 0.0).freed:
            self.queue.wake(condition, amount, 0.0)

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
    gate.queue.wake(Signal("b"), ALL, 0.0)
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


def test_a_sum_of_weights_that_goes_up_and_down_does_not_drift() -> None:
    competition = Competition()
    nobody, heavy, light = group_key("nobody"), group_key("heavy"), group_key("light")
    competition.begin("gpu", light, 1e-9)
    for _ in range(1000):
        competition.begin("gpu", heavy, 1e17 / 3)
        competition.end("gpu", heavy)

    assert competition.weight("gpu", nobody) == 1e-9
    competition.end("gpu", light)
    assert competition.weight("gpu", nobody) == 0


@given(st.lists(st.tuples(st.sampled_from("abcd"), st.floats(1e-200, 1e300)), max_size=20))
def test_weights_of_any_size_are_added_up_without_loss(changes: list[tuple[str, float]]) -> None:
    """Each change turns a group round: it begins to compete, with a new weight, or it ends."""
    competition, competing = Competition(), dict[str, float]()
    for name, weight in changes:
        if competing.pop(name, None) is None:
            competing[name] = weight
            competition.begin("gpu", group_key(name), weight)
        else:
            competition.end("gpu", group_key(name))
        for besides in "abcd":
            others = [weight for each, weight in competing.items() if each != besides]
            assert competition.weight("gpu", group_key(besides)) == fsum(others)


def test_to_end_what_has_not_begun_is_a_mistake() -> None:
    with pytest.raises(KeyError):
        Competition().end("gpu", group_key("a"))


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


PLACES = [(cohort, r) for cohort in (None, Shortage("gpu", 2), "other") for r in ("gpu", "disk")]
NEWS = st.one_of(
    st.tuples(st.just("place"), st.sampled_from(PLACES), st.sampled_from("abc")),
    st.tuples(st.just("line"), st.sampled_from(PLACES[2:]), st.just("")),
    st.tuples(st.just("cap"), st.just(PLACES[0]), st.sampled_from("abc")),
    st.tuples(st.just("debt"), st.sampled_from(PLACES[:2]), st.sampled_from("abc")),
)


@given(st.lists(NEWS, max_size=40))
def test_peers_are_counted_as_if_anew_whatever_the_order_of_the_news(news: list[tuple[str, Any, str]]) -> None:
    """Each piece of news turns something round: who stands in a place, whether a line is open, a cap, a debt."""
    peers, state = PeerCount(), set[tuple[Any, ...]]()
    for kind, (cohort, resource), group in news:
        fact = (
            kind,
            *{"place": (cohort, resource, group), "line": (cohort,), "cap": (group,)}.get(kind, (resource, group)),
        )
        begins = fact not in state
        state ^= {fact}
        key = group_key(group) if group else group_key("nobody")
        if kind == "place":
            peers.ready_changed(resource, key, begins, cohort)
        elif kind == "line":
            peers.line_changed(cohort, begins)
        elif kind == "cap":
            (peers.capped if begins else peers.uncapped)(key)
        else:
            peers.owes(resource, key, begins)

        for wanted in ("gpu", "disk"):
            for besides in "abc":
                runnable = [
                    name
                    for cohort, r in PLACES
                    for name in "abc"
                    if r == wanted and name != besides and ("place", cohort, r, name) in state
                    if (cohort is None or ("line", cohort) in state) and ("cap", name) not in state
                ]
                debt_free = [name for name in runnable if ("debt", wanted, name) not in state]
                assert peers.count(wanted, group_key(besides)) == len(runnable)
                assert peers.count_debt_free(wanted, group_key(besides)) == len(debt_free)


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
        assert self.gate.queue.discard(task_id, 0.0) is not None
        self.settled = False

    @rule(group=st.sampled_from("abcd"))
    def shut_or_open(self, group: str) -> None:
        self.gate.shut ^= {group}
        self.gate.queue.wake(Signal(group), ALL, 0.0)
        self.settled = False

    @rule()
    def ask(self) -> None:
        """Begins the counting, whenever Hypothesis likes."""
        self.gate.weight("gpu")

    def competing(self, resource: str) -> set[str]:
        """Who holds of it, or is below its limit with a task for it that nothing refuses but want of room in it."""
        gate = self.gate
        found = {lease.item.group.key.identity[1] for lease in gate.leases if resource in lease.resources}
        refused = {blocked.scope_key: blocked.denied for blocked in gate.queue.blocked()}
        for task in gate.queued.values():
            shape = task.resource_request.shape
            denied = refused.get((task.group.key, shape))
            room = denied is None or (denied.reason == "no_capacity" and f" of {resource} " in denied.detail)
            if resource in dict(shape) and room and not self.capped(task.group.key):
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
