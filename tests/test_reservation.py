"""Small tasks do not starve a large one: when as much has passed it as the resource holds, room is reserved for it."""

from __future__ import annotations

from collections import Counter
from typing import Any

import pytest
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from penstock import At, Denied, FifoTaskQueue, ReadyQueue, TaskAdmissionConfig, TaskAdmissionController
from penstock.testing import TaskGate, make_task
from penstock_fairqueue import FairTaskQueue

LIMITS = {"submission": 100, "gpu": 8}


def gate_with(queue: ReadyQueue, rule: Any = None) -> TaskGate:
    controller = TaskAdmissionController(TaskAdmissionConfig(100, {"gpu": 8, "disk": 4}), rule=rule)
    return TaskGate(queue, controller)


@pytest.fixture(params=["fifo", "fair"])
def gate(request: pytest.FixtureRequest) -> TaskGate:
    return gate_with(FifoTaskQueue() if request.param == "fifo" else FairTaskQueue(LIMITS))


def crowd(gate: TaskGate, group: str, tasks: int, gpu: int) -> None:
    gate.enqueue([make_task(f"{group}-{gpu}-{n}", group, {"gpu": gpu}) for n in range(tasks)])


def end_first(gate: TaskGate) -> None:
    gate.release(gate.out[0])


def small_ones_before_a_large_one(gate: TaskGate, *, large: int = 1, more: int = 20) -> None:
    """All of the gpu is with small tasks; large ones that need all of it wait, and behind them more small ones."""
    crowd(gate, "small", 8, 1)
    gate.start_all()
    crowd(gate, "large", large, 8)
    gate.enqueue([make_task(f"more-{n}", "small", {"gpu": 1}) for n in range(more)])


def turn_over(gate: TaskGate) -> None:
    """Each task that was running has ended, and another has taken its place."""
    for _ in range(8):
        gate.start_all()
        end_first(gate)
    gate.start_all()


def test_a_large_task_starts_after_one_turnover_of_the_resource(gate: TaskGate) -> None:
    small_ones_before_a_large_one(gate, more=200)
    passed = 0
    while (started := gate.start_all()) != ["large-8-0"]:
        passed += len(started)
        assert passed <= 8
        end_first(gate)
    assert passed == 8


def test_a_reservation_says_for_what_it_is(gate: TaskGate) -> None:
    small_ones_before_a_large_one(gate)
    turn_over(gate)
    assert dict(gate.controller.view().kept_room) == {"gpu": 8}
    end_first(gate)
    assert gate.start_all() == []
    assert any("gpu is kept for a task that needs 8" in blocked.denied.detail for blocked in gate.queue.blocked())


def test_large_and_small_get_their_shares_in_units() -> None:
    gate = gate_with(FairTaskQueue(LIMITS))
    crowd(gate, "small", 400, 1)
    crowd(gate, "large", 50, 8)
    units: Counter[str] = Counter()
    for _ in range(300):
        for task_id in gate.start_all():
            group, amount, _ = task_id.split("-")
            units[group] += int(amount)
        end_first(gate)
    assert abs(units["small"] - units["large"]) <= 24


def test_a_reservation_ends_when_the_task_that_has_it_is_given_up(gate: TaskGate) -> None:
    small_ones_before_a_large_one(gate)
    turn_over(gate)
    end_first(gate)
    assert gate.start_all() == []
    gate.discard("large-8-0")
    assert len(gate.start_all()) == 1


def test_a_reservation_ends_when_something_else_refuses_the_task_that_has_it() -> None:
    """Its turn comes, and a rule holds it back until later: meanwhile nobody waits for it."""

    def rule(task: Any, queue: Any, admission: Any, now: float) -> Denied | None:
        large = task.group.key.identity[1] == "large"
        return Denied("policy_denial", {At(60.0)}, scope="shape", by="night") if large and now < 60.0 else None

    gate = gate_with(FairTaskQueue(LIMITS), rule)
    small_ones_before_a_large_one(gate, more=50)
    while gate.out and "gpu" not in gate.controller.view().kept_room:
        end_first(gate)
        gate.start_all()
    while not gate.start_all():
        end_first(gate)
    assert len(gate.out) == 8
    assert not gate.controller.view().kept_room


def test_only_one_is_served_before_the_others_may_pass_again() -> None:
    gate = gate_with(FairTaskQueue(LIMITS))
    small_ones_before_a_large_one(gate, large=3, more=100)
    order = []
    for _ in range(60):
        order += ["large" if task_id.startswith("large") else "small" for task_id in gate.start_all()]
        end_first(gate)
    first = order.index("large")
    assert order[first + 1 : first + 9] == ["small"] * 8
    assert order.count("large") == 3


class MixedSizes(RuleBasedStateMachine):
    """Whatever sizes are mixed: nothing sleeps that could start, and in the end everything has run."""

    def __init__(self) -> None:
        super().__init__()
        self.gate = gate_with(FairTaskQueue(LIMITS))
        self.numbered = 0

    @rule(
        group=st.sampled_from("abc"),
        needs=st.dictionaries(st.sampled_from(["gpu", "disk"]), st.integers(1, 4), max_size=2),
        gpu=st.sampled_from([1, 1, 5, 8]),
        tasks=st.integers(1, 6),
    )
    def enqueue(self, group: str, needs: dict[str, int], gpu: int, tasks: int) -> None:
        amounts = {**needs, "gpu": gpu} if "gpu" in needs else needs
        fresh = range(self.numbered, self.numbered + tasks)
        self.gate.enqueue([make_task(str(n), group, amounts) for n in fresh])
        self.numbered += tasks

    @rule()
    def start(self) -> None:
        self.gate.start_all()
        view = self.gate.controller.view()
        for task in self.gate.queued.values():
            assert not view.has_room(task.resource_request), f"{task.task_id} could start, and sleeps"

    @precondition(lambda self: self.gate.out)
    @rule(data=st.data())
    def end(self, data: st.DataObject) -> None:
        self.gate.release(self.gate.out[data.draw(st.integers(0, len(self.gate.out) - 1))])

    @precondition(lambda self: self.gate.queued)
    @rule(data=st.data())
    def discard(self, data: st.DataObject) -> None:
        self.gate.discard(data.draw(st.sampled_from(sorted(self.gate.queued))))

    @invariant()
    def the_books_balance(self) -> None:
        self.gate.controller.check_invariants()

    def teardown(self) -> None:
        self.gate.start_all()
        while self.gate.out:
            end_first(self.gate)
            self.gate.start_all()
        assert not self.gate.queued, "somebody was left behind"
        assert not self.gate.controller.view().kept_room


TestMixedSizes = MixedSizes.TestCase
