"""Small tasks do not starve a large one: when it is first in the order, room is reserved for it until it starts."""

from __future__ import annotations

from collections import Counter
from itertools import count
from typing import Any

import pytest
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from penstock import At, Denied, FifoTaskQueue, ReadyQueue, TaskAdmissionConfig, TaskAdmissionController
from penstock.testing import TaskBench, group_key, make_task
from penstock_fairqueue import FairTaskQueue

LIMITS = {"submission": 100, "gpu": 8}


def gate_with(queue: ReadyQueue, rule: Any = None) -> TaskBench:
    controller = TaskAdmissionController(TaskAdmissionConfig(100, {"gpu": 8, "disk": 4}), rule=rule)
    return TaskBench(queue, controller)


@pytest.fixture(params=["fifo", "fair"])
def gate(request: pytest.FixtureRequest) -> TaskBench:
    return gate_with(FifoTaskQueue() if request.param == "fifo" else FairTaskQueue(LIMITS))


def crowd(gate: TaskBench, group: str, tasks: int, gpu: int) -> None:
    gate.enqueue([make_task(f"{group}-{gpu}-{n}", group, {"gpu": gpu}) for n in range(tasks)])


def end_first(gate: TaskBench) -> None:
    gate.release(gate.out[0])


def reserve_for_large(gate: TaskBench) -> None:
    """Eight small ones hold all gpus, and the large one is first: eight gpus are reserved."""
    crowd(gate, "small", 8, 1)
    gate.start_all()
    crowd(gate, "large", 1, 8)
    crowd(gate, "small", 20, 1)
    while not gate.controller.view().reserved:
        end_first(gate)
        gate.start_all()


def test_a_large_task_starts_within_one_turnover_of_the_resource(gate: TaskBench) -> None:
    crowd(gate, "small", 8, 1)
    gate.start_all()
    crowd(gate, "large", 1, 8)
    crowd(gate, "small", 100, 1)
    passed = ended = 0
    while (started := gate.start_all()) != ["large-8-0"]:
        passed += len(started)
        end_first(gate)
        ended += 1
    assert passed <= 8
    assert ended == passed + 8


def test_while_room_is_reserved_it_says_for_what(gate: TaskBench) -> None:
    reserve_for_large(gate)
    view = gate.controller.view()
    assert dict(view.reserved) == {"gpu": 8}
    end_first(gate)
    assert gate.start_all() == []
    assert not view.has_room(make_task("small", needs={"gpu": 1}).resource_request)
    assert view.has_room(make_task("disk", needs={"disk": 1}).resource_request)
    blocked = {blocked.group: blocked.denied.detail for blocked in gate.queue.blocked()}
    assert blocked[group_key("small")].startswith("8 of gpu reserved for tasks that are next")
    assert blocked[group_key("large")] == "less than 8 of gpu is free"


def test_of_one_group_the_oldest_goes_first_and_has_room_reserved_if_it_does_not_fit(gate: TaskBench) -> None:
    crowd(gate, "a", 1, 4)
    gate.start_all()
    crowd(gate, "a", 1, 8)
    crowd(gate, "a", 3, 1)
    assert gate.start_all() == []
    end_first(gate)
    assert gate.start_all() == ["a-8-0"]


def test_of_one_group_the_oldest_goes_first_whatever_it_takes(gate: TaskBench) -> None:
    needs = [{"gpu": 1}, {"disk": 1}, {}, {"disk": 2}, {"gpu": 1}, {}, {"gpu": 2}]
    gate.enqueue([make_task(str(n), "a", each) for n, each in enumerate(needs)])
    assert gate.start_all() == [str(n) for n in range(len(needs))]


def test_who_fits_beside_what_is_reserved_goes(gate: TaskBench) -> None:
    reserve_for_large(gate)
    end_first(gate)
    gate.enqueue([make_task("plain"), make_task("disk", needs={"disk": 4})])
    assert gate.start_all() == ["plain", "disk"]


def test_no_place_is_kept_empty_of_what_a_reservation_is_not_short_of() -> None:
    """One gpu is out for long, the next task for it is first: meanwhile plain tasks have all other places."""
    gate = TaskBench(FifoTaskQueue(), TaskAdmissionController(TaskAdmissionConfig(2, {"gpu": 1})))
    gate.enqueue([make_task("long", "a", {"gpu": 1}), make_task("next", "a", {"gpu": 1})])
    gate.enqueue([make_task(f"plain-{n}", "b") for n in range(3)])
    assert gate.start_all() == ["long", "plain-0"]
    gate.release(gate.out[1])
    assert gate.start_all() == ["plain-1"]
    gate.release(gate.out[0])
    assert gate.start_all() == ["next"]


def test_when_one_resource_is_there_what_it_is_short_of_by_then_is_reserved_too() -> None:
    gate = gate_with(FifoTaskQueue())
    gate.enqueue([make_task("holder", "a", {"gpu": 1})])
    gate.start_all()
    gate.enqueue([make_task("large", "b", {"gpu": 8, "disk": 4}), make_task("small", "c", {"gpu": 1})])
    assert gate.start_all() == []
    assert dict(gate.controller.view().reserved) == {"gpu": 8}
    gate.enqueue([make_task("disk", "d", {"disk": 1})])
    assert gate.start_all() == ["disk"], "it is not short of disks yet"
    end_first(gate)
    gate.enqueue([make_task("disk too", "d", {"disk": 1})])
    assert gate.start_all() == []
    assert dict(gate.controller.view().reserved) == {"gpu": 8, "disk": 4}
    end_first(gate)
    assert gate.start_all() == ["large"]


def test_reservations_that_fit_together_are_held_together() -> None:
    queue = FifoTaskQueue()
    gate = gate_with(queue)
    gate.enqueue([make_task("gpus", "a", {"gpu": 8}), make_task("disks", "a", {"disk": 4})])
    assert gate.start_all() == ["gpus", "disks"]
    gate.enqueue([make_task("gpus-too", "b", {"gpu": 5}), make_task("disks-too", "c", {"disk": 3})])
    gate.enqueue([make_task("a-gpu", "d", {"gpu": 4}), make_task("a-disk", "d", {"disk": 2}), make_task("p", "d")])
    assert gate.start_all() == ["p"]
    assert dict(gate.controller.view().reserved) == {"gpu": 5, "disk": 3}
    gate.release(gate.out[0])
    assert gate.start_all() == ["gpus-too"]
    gate.release(gate.out[0])
    assert gate.start_all() == ["disks-too"]


@pytest.mark.parametrize("needs", [{"disk": 4, "gpu": 1}, {"disk": 2, "gpu": 2}, {"disk": 4, "gpu": 4}], ids=str)
@pytest.mark.parametrize("queue", ["fifo", "fair"])
def test_a_task_of_two_scarce_resources_starts_among_streams_of_each(needs: dict[str, int], queue: str) -> None:
    limits = {"submission": 100, "gpu": 4, "disk": 4}
    order = FifoTaskQueue() if queue == "fifo" else FairTaskQueue(limits)
    gate = TaskBench(order, TaskAdmissionController(TaskAdmissionConfig(100, {"gpu": 4, "disk": 4})))
    numbered = count()
    started: list[str] = []

    def streams() -> None:
        for resource in ("disk", "gpu"):
            while sum(resource in task.task_id for task in gate.queued.values()) < 4:
                gate.enqueue([make_task(f"{resource}-{next(numbered)}", resource, {resource: 1})])

    streams()
    started += gate.start_all()
    gate.enqueue([make_task("large", "large", needs)])
    for ended in range(60):
        if "large" in started:
            break
        gate.release(gate.out[ended * 7 % len(gate.out)])
        streams()
        started += gate.start_all()
    assert "large" in started


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


def test_others_go_on_when_the_one_for_whom_room_was_reserved_is_given_up(gate: TaskBench) -> None:
    reserve_for_large(gate)
    end_first(gate)
    held = tuple(gate.out)
    assert gate.start_all() == []
    gate.discard("large-8-0")
    assert len(gate.start_all()) == 8 - len(held)


def test_others_go_on_when_a_rule_refuses_the_one_for_whom_room_was_reserved() -> None:
    """Room is reserved for it, and then a rule holds it back until later: meanwhile nobody waits for it."""
    night: list[bool] = []

    def rule(task: Any, queue: Any, admission: Any, now: float) -> Denied | None:
        large = task.group.key.identity[1] == "large"
        return Denied("policy_denial", {At(60.0)}, scope="shape", by="night") if large and night else None

    gate = gate_with(FairTaskQueue(LIMITS), rule)
    reserve_for_large(gate)
    end_first(gate)
    assert gate.start_all() == []
    night.append(True)
    gate.start_all()
    assert len(gate.out) == 8
    assert not gate.controller.view().reserved


def test_only_one_is_served_before_the_others_may_pass_again() -> None:
    gate = gate_with(FairTaskQueue(LIMITS))
    crowd(gate, "small", 8, 1)
    gate.start_all()
    crowd(gate, "large", 3, 8)
    crowd(gate, "small", 100, 1)
    order = []
    for _ in range(60):
        order += [task_id.split("-")[0] for task_id in gate.start_all()]
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
        assert not self.gate.controller.view().reserved


TestMixedSizes = MixedSizes.TestCase
