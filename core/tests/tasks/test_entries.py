"""Tasks that come to the gate as entries: their records are made late, and the queue notes nothing of them beside."""

from __future__ import annotations

import gc
import weakref
from typing import Any

import pytest

from penstock import (
    Denied,
    FifoTaskQueue,
    SchedulableTask,
    SchedulerResourceRequest,
    Signal,
    TaskAdmissionController,
    TaskGate,
    TaskGroupSpec,
)
from penstock.tasks.entries import TaskEntry
from penstock.tasks.records import ONE_PLACE
from penstock.tasks.terms import TaskTerms


class Queued(TaskEntry):
    """A task of one place, without a payload."""

    def __init__(self, task_id: str, terms: TaskTerms) -> None:
        self.task_id, self.payload, self.terms = task_id, None, terms
        self.sequence, self.cost, self.lane, self.next = 0, 0.0, None, None
        self.forget()


def some(count: int, group: str = "g") -> dict[str, Queued]:
    terms = TaskTerms(TaskGroupSpec.named(group), ONE_PLACE, None, None)
    return {f"{group}{number}": Queued(f"{group}{number}", terms) for number in range(count)}


def gate_of(known: dict[str, Queued]) -> TaskGate:
    gate = TaskGate(FifoTaskQueue(), TaskAdmissionController())
    gate.take_entries_of(known)
    assert gate.offer_entries([*known.values()], 0.0) == tuple(known)
    gate.check_invariants()
    return gate


def drained(gate: TaskGate) -> list[str]:
    order = []
    while (lease := gate.next(1.0)) is not None:
        order.append(lease.item.task_id)
    return order


def test_a_record_is_made_when_it_is_the_turn_of_its_task_and_stays_the_same() -> None:
    known = some(3)
    gate = gate_of(known)
    lease = gate.next(0.0)
    assert lease is not None
    assert lease.item is known["g0"].item is known["g0"].make() is known["g0"].made
    assert (lease.item.task_id, lease.item.arrival) == ("g0", 1)
    assert [entry.made for entry in known.values()][1:] == [None, None]
    gate.check_invariants()


def test_one_that_is_queued_is_no_second_entry_and_one_that_was_taken_comes_anew() -> None:
    known = some(2)
    gate = gate_of(known)
    assert gate.offer_entries([known["g0"]], 0.0) == ()
    first = gate.next(0.0)
    assert first is not None
    assert gate.offer_entries([known["g0"]], 1.0) == ("g0",)
    assert first.item.arrival == 3
    gate.check_invariants()
    assert drained(gate) == ["g1", "g0"]


@pytest.mark.parametrize("at", [0, 1, 2])
def test_one_is_found_by_its_id_wherever_it_stands(at: int) -> None:
    known = some(3)
    gate = gate_of(known)
    found = gate.discard(f"g{at}", 0.0)
    assert found is not None
    assert found.task_id == f"g{at}"
    assert gate.discard(f"g{at}", 0.0) is None
    gate.check_invariants()
    assert gate.view.queued_total == 2
    assert drained(gate) == [f"g{number}" for number in range(3) if number != at]
    assert gate.queue.is_empty()


def test_the_oldest_that_asks_for_a_resource_is_known_without_a_record_of_the_others() -> None:
    known = some(3)
    gate = gate_of(known)
    oldest = gate.view.oldest("submission")
    assert oldest is known["g0"].made is not None
    assert known["g1"].made is known["g2"].made is None
    known |= some(1, "h")
    assert gate.offer_entries([known["h0"]], 0.0) == ("h0",)
    for task_id in ("g0", "g1", "g2"):
        gate.discard(task_id, 0.0)
    assert gate.view.oldest("submission") is known["h0"].made is not None


def test_what_is_refused_for_good_leaves_and_what_is_refused_alone_comes_back() -> None:
    known = some(3)
    gate = gate_of(known)
    answers: dict[str, Denied] = {
        "g0": Denied("policy_denial", {Signal("go")}, "task"),
        "g1": Denied("policy_denial", {Signal("dropped")}, "task"),
    }

    def ask(task: SchedulableTask, _: float) -> Denied | None:
        return answers.get(task.task_id)

    queue = gate.queue
    assert isinstance(queue, FifoTaskQueue)
    chosen = queue.choose(ask, 0.0)
    assert chosen is known["g2"]
    assert {blocked.scope_key for blocked in gate.blocked()} == {"g0", "g1"}
    answers.clear()
    gate.wake(Signal("go"), 0.0)
    assert queue.choose(ask, 0.0) is known["g0"]
    gate.check_invariants()


def test_what_could_never_fit_is_given_up_with_its_record() -> None:
    gate = TaskGate(FifoTaskQueue(), TaskAdmissionController())
    terms = TaskTerms(TaskGroupSpec.named("g"), SchedulerResourceRequest({"submission": 1_000_000}), None, None)
    known = {"large": Queued("large", terms)}
    gate.take_entries_of(known)
    assert gate.offer_entries([*known.values()], 0.0) == ("large",)
    assert [(task.task_id, denied.reason) for task, denied in gate.take_given_up()] == [("large", "never_fits")]


@pytest.mark.parametrize("leave", ["taken", "discarded", "discarded in the middle"])
def test_whoever_keeps_one_that_has_left_keeps_none_that_came_later(leave: str) -> None:
    known = some(40)
    gate = gate_of(known)
    if leave == "taken":
        gate.next(0.0)
    elif leave == "discarded":
        gate.discard("g0", 0.0)
    else:
        gate.discard("g1", 0.0)
        gate.next(0.0)
        gate.next(0.0)
    kept: Any = known["g1" if "middle" in leave else "g0"]
    later = weakref.ref(known["g20"])
    for task_id in [*known]:
        gate.discard(task_id, 0.0)
    known.clear()
    gc.collect()
    assert kept.next is None
    assert later() is None
