"""Any order of arrivals, starts, endings and discards: what bounded borrow promises holds after every step."""

from __future__ import annotations

from collections import Counter
from fractions import Fraction
from math import ceil

from hypothesis import given, settings, strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from penstock import SchedulableTask, TaskAdmissionConfig, TaskAdmissionController, TaskAdmissionLease, TaskGroupKey
from penstock.testing import TaskBench, group_key, make_task
from penstock_bounded_borrow import BoundedBorrowPolicy
from penstock_fairqueue import FairTaskQueue

GROUPS = "abcde"
WEIGHTS = st.lists(st.sampled_from([0.25, 0.5, 1.0, 1.5, 3.0]), min_size=len(GROUPS), max_size=len(GROUPS))


def make_gate(limits: dict[str, int], ceiling: float | None = None) -> TaskBench:
    config = TaskAdmissionConfig(limits["submission"], {r: n for r, n in limits.items() if r != "submission"})
    controller = TaskAdmissionController(config, [("bounded-borrow", BoundedBorrowPolicy(ceiling))])
    return TaskBench(FairTaskQueue(limits), controller)


def check_queue(gate: TaskBench) -> None:
    assert isinstance(gate.queue, FairTaskQueue)
    gate.queue.check_invariants()


class OneResource(RuleBasedStateMachine):
    """Against a naive model: shares as fractions, computed anew from all that is queued and held."""

    @initialize(places=st.integers(1, 12), weights=WEIGHTS, ceiling=st.sampled_from([None, None, 1.0, 1.5]))
    def begin(self, places: int, weights: list[float], ceiling: float | None) -> None:
        self.places = places
        self.weights = dict(zip(GROUPS, weights, strict=True))
        self.ceiling = float("inf") if ceiling is None else ceiling
        self.gate = make_gate({"submission": places}, ceiling)
        self.view = self.gate.controller.view()
        self.debt: Counter[str] = Counter()
        self.numbered = 0

    # -- the model

    def held(self) -> Counter[str]:
        held: Counter[str] = Counter()
        for lease in self.gate.out:
            held[name(lease.item)] += lease.resources["submission"]
        return held

    def shares(self) -> dict[str, int]:
        """All that is queued could run if there were room, so all that have something queued or held compete."""
        competing = {name(task) for task in self.gate.queued.values()} | set(self.held())
        total = sum(Fraction(self.weights[group]) for group in competing)
        return {group: ceil(self.places * Fraction(self.weights[group]) / total) for group in competing}

    # -- what may happen

    @rule(group=st.sampled_from(GROUPS), tasks=st.integers(1, 6), amount=st.sampled_from([1, 1, 1, 2, 3]))
    def enqueue(self, group: str, tasks: int, amount: int) -> None:
        amount = min(amount, self.places)
        weight = self.weights[group]
        fresh = range(self.numbered, self.numbered + tasks)
        self.gate.enqueue([make_task(str(n), group, {"submission": amount}, weight=weight) for n in fresh])
        self.numbered += tasks

    @rule()
    def start(self) -> None:
        while True:
            held, shares = self.held(), self.shares()
            lease = self.gate.start_one()
            if lease is None:
                break
            group, amount = name(lease.item), lease.resources["submission"]
            if held[group] >= shares[group]:
                ready = {each.identity[1] for each in self.ready()} - {group}
                waiting = {each for each in ready if held[each] < shares[each] and self.fitted(each, lease)}
                assert all(self.debt[each] for each in waiting), f"{group} borrowed while {waiting} waited"
            self.debt[group] = max(held[group] + amount - shares[group], 0)
        for task in self.gate.queued.values():
            group, amount = name(task), task.resource_request.amounts["submission"]
            at_the_ceiling = held[group] >= shares[group] and held[group] + amount > self.ceiling * shares[group]
            has_room = self.view.has_room(task.resource_request)
            assert at_the_ceiling or not has_room, f"a place is empty that {group} could take"

    def fitted(self, group: str, given: TaskAdmissionLease) -> bool:
        """Whether a task of the group could have had the place that was given, beside what is reserved."""
        room = self.view.resources_available["submission"] + given.resources["submission"]
        room -= self.view.reserved.get("submission", 0)
        sizes = [t.resource_request.amounts["submission"] for t in self.gate.queued.values() if name(t) == group]
        return min(sizes) <= room

    def ready(self) -> set[TaskGroupKey]:
        return set(self.gate.queue.view().ready_groups_by_resource.get("submission", ()))

    @precondition(lambda self: self.gate.out)
    @rule(data=st.data())
    def end(self, data: st.DataObject) -> None:
        lease = self.gate.out[data.draw(st.integers(0, len(self.gate.out) - 1))]
        self.gate.release(lease)
        group = name(lease.item)
        self.debt[group] -= min(self.debt[group], lease.resources["submission"])

    @precondition(lambda self: self.gate.queued)
    @rule(data=st.data())
    def discard(self, data: st.DataObject) -> None:
        self.gate.discard(data.draw(st.sampled_from(sorted(self.gate.queued))))

    # -- what holds

    @invariant()
    def debts_are_what_is_held_above_the_share_and_never_more_than_is_held(self) -> None:
        held = self.held()
        noted = {key.identity[1]: debt for (key, _), debt in self.view.policy_debt_by_group_resource.items()}
        assert noted == {group: debt for group, debt in self.debt.items() if debt}
        assert all(0 < debt <= held[group] for group, debt in noted.items())

    @invariant()
    def the_ledger_balances(self) -> None:
        self.gate.controller.check_invariants()
        check_queue(self.gate)

    def teardown(self) -> None:
        while self.gate.out:
            self.gate.release(self.gate.out[0])
        assert not self.view.policy_debt_by_group_resource


class SeveralResources(RuleBasedStateMachine):
    """Typed resources beside the places, and large tasks: no place stays empty, and no debt is left over."""

    shapes: tuple[dict[str, int], ...] = (
        {}, {"gpu": 1}, {"gpu": 2}, {"disk": 1}, {"gpu": 1, "disk": 2}, {"submission": 2},
    )  # fmt: skip

    def __init__(self) -> None:
        super().__init__()
        self.gate = make_gate({"submission": 6, "gpu": 3, "disk": 2})
        self.view = self.gate.controller.view()
        self.numbered = 0

    @rule(
        group=st.sampled_from(GROUPS),
        tasks=st.integers(1, 4),
        needs=st.sampled_from(shapes),
        limit=st.sampled_from([None, 1]),
    )
    def enqueue(self, group: str, tasks: int, needs: dict[str, int], limit: int | None) -> None:
        fresh = range(self.numbered, self.numbered + tasks)
        self.gate.enqueue([make_task(str(n), group, needs, admitted_limit=limit) for n in fresh])
        self.numbered += tasks

    @rule()
    def start(self) -> None:
        self.gate.start_all()
        for task in self.gate.queued.values():
            assert not self.view.has_room(task.resource_request), f"{task.task_id} fits, and waits"

    @precondition(lambda self: self.gate.out)
    @rule(data=st.data())
    def end(self, data: st.DataObject) -> None:
        self.gate.release(self.gate.out[data.draw(st.integers(0, len(self.gate.out) - 1))])

    @precondition(lambda self: self.gate.queued)
    @rule(data=st.data())
    def discard(self, data: st.DataObject) -> None:
        self.gate.discard(data.draw(st.sampled_from(sorted(self.gate.queued))))

    @invariant()
    def nobody_owes_more_than_it_holds(self) -> None:
        for (group, resource), debt in self.view.policy_debt_by_group_resource.items():
            assert 0 < debt <= self.view.held(group, resource)
        self.gate.controller.check_invariants()
        check_queue(self.gate)

    def teardown(self) -> None:
        while self.gate.out or self.gate.queued:
            self.gate.start_all()
            self.gate.release(self.gate.out[0])
        assert not self.view.policy_debt_by_group_resource


@given(places=st.integers(2, 16), weights=WEIGHTS, data=st.data())
def test_a_waiting_peer_has_its_share_after_as_many_endings_of_borrowers_as_it_lacks(
    places: int, weights: list[float], data: st.DataObject
) -> None:
    gate = make_gate({"submission": places})
    weight = dict(zip(GROUPS, weights, strict=True))

    def put(group: str, tasks: int) -> None:
        number = len(gate.queued) + len(gate.out)
        gate.enqueue([make_task(f"{group}{number + n}", group, weight=weight[group]) for n in range(tasks)])
        gate.start_all()

    for group in GROUPS:
        put(group, data.draw(st.integers(0, 2)))
    put(data.draw(st.sampled_from(GROUPS)), 2 * places)
    for group in GROUPS:  # now all want as much as they can get
        put(group, 100)

    total = sum(map(Fraction, weights))
    shares = {group: ceil(places * Fraction(weight[group]) / total) for group in GROUPS}

    def lacking() -> int:
        return sum(
            max(shares[group] - gate.controller.view().held(group_key(group), "submission"), 0) for group in GROUPS
        )

    def borrowed() -> list[TaskAdmissionLease]:
        held = gate.controller.view().held
        return [lease for lease in gate.out if held(lease.item.group.key, "submission") > shares[name(lease.item)]]

    before, endings = lacking(), 0
    while lacking() and (leases := borrowed()):
        gate.release(data.draw(st.sampled_from(leases)))
        gate.start_all()
        endings += 1
        assert lacking() == before - endings, "a place that a borrower gave back went to somebody who lacked nothing"


def name(task: SchedulableTask) -> str:
    return task.group.key.identity[1]


TestOneResource = OneResource.TestCase
TestSeveralResources = SeveralResources.TestCase
TestOneResource.settings = settings(max_examples=80, stateful_step_count=30, deadline=None)
TestSeveralResources.settings = settings(max_examples=60, stateful_step_count=30, deadline=None)
