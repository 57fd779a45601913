"""The place of a task in the order of arrival, and the oldest that asks for a resource, under any queue."""

from __future__ import annotations

import gc
import weakref
from collections.abc import Callable, Sequence
from types import SimpleNamespace
from typing import Any, Self

import attrs
import pytest

from penstock import (
    Denied,
    FifoTaskQueue,
    QueueView,
    ReadyQueue,
    SchedulableTask,
    Signal,
    TaskAdmissionConfig,
    TaskAdmissionController,
    TaskGate,
)
from penstock.testing import make_task
from penstock_fairqueue import FairTaskQueue
from penstock_model.list_queue import ListQueue

LIMITS = {"gpu": 1}
GPU = {"gpu": 1}


class SilentView:
    """A view that tells only how much is queued."""

    def __init__(self, queue: ListQueue) -> None:
        self._queue = queue

    def __getattr__(self, name: str) -> Any:
        if name == "oldest":
            raise AssertionError("a queue that is not ours is not asked who came first")
        return getattr(self._queue.view(), name)


class SilentQueue(ListQueue):
    """As somebody writes it who has never heard of the order of arrival."""

    def view(self) -> QueueView:
        return SilentView(super())  # type: ignore[arg-type]


QUEUES: dict[str, Callable[[], ReadyQueue]] = {
    "fifo": FifoTaskQueue,
    "fair": lambda: FairTaskQueue({"submission": 8, **LIMITS}),
    "a list": SilentQueue,
}

under_any_queue = pytest.mark.parametrize("queue", QUEUES.values(), ids=QUEUES)


def gate_with(queue: Callable[[], ReadyQueue], *tasks: SchedulableTask, places: int = 8) -> TaskGate:
    gate = TaskGate(queue(), TaskAdmissionController(TaskAdmissionConfig(places, LIMITS)))
    gate.offer(tasks, 0.0)
    return gate


def oldest(gate: TaskGate, resource: str = "gpu") -> str | None:
    task = gate.view.oldest(resource)
    return None if task is None else task.task_id


@under_any_queue
def test_the_oldest_is_the_first_that_asks_for_it_over_all_groups(queue: Callable[[], ReadyQueue]) -> None:
    gate = gate_with(queue, make_task("p", "a"), make_task("g1", "b", GPU), make_task("g2", "a", GPU))
    assert oldest(gate) == "g1"
    assert oldest(gate, "submission") == "p"
    assert oldest(gate, "tape") is None


@under_any_queue
def test_who_leaves_by_whatever_way_is_the_oldest_no_longer(queue: Callable[[], ReadyQueue]) -> None:
    tasks = [make_task(f"g{n}", "a", GPU) for n in range(4)]
    gate = gate_with(queue, *tasks)
    assert oldest(gate) == "g0"
    lease = gate.next(0.0)
    assert lease is not None
    assert oldest(gate) == "g1"
    gate.discard("g2", 0.0)
    assert oldest(gate) == "g1"
    gate.discard("g1", 0.0)
    assert oldest(gate) == "g3"
    gate.discard("g3", 0.0)
    assert oldest(gate) is None
    gate.offer([lease.item], 1.0)
    assert oldest(gate) == "g0"


@under_any_queue
def test_arrivals_grow_and_one_that_comes_again_comes_anew(queue: Callable[[], ReadyQueue]) -> None:
    first, second, third = (make_task(name, name, GPU) for name in "abc")
    assert first.arrival == 0, "it has not come yet"
    gate = gate_with(queue, first, second)
    assert oldest(gate) == "a"
    assert 0 < first.arrival < second.arrival
    gate.discard("a", 0.0)
    gate.offer([third, first], 0.0)
    assert second.arrival < third.arrival < first.arrival
    assert [oldest(gate)] + [oldest(gate) for name in "bc" if gate.discard(name, 0.0)] == ["b", "c", "a"]


@under_any_queue
def test_one_that_is_offered_again_while_it_is_queued_keeps_its_place(queue: Callable[[], ReadyQueue]) -> None:
    first, second = (make_task(name, name, GPU) for name in "ab")
    gate = gate_with(queue, first, second)
    assert gate.offer([first], 0.0) == ()
    assert oldest(gate) == "a"
    assert first.arrival < second.arrival


@under_any_queue
def test_what_never_fits_has_no_place(queue: Callable[[], ReadyQueue]) -> None:
    gate = gate_with(queue, make_task("g1", "a", GPU))
    assert oldest(gate) == "g1"
    gate.discard("g1", 0.0)
    gate.offer([make_task("two", "a", {"gpu": 2}), make_task("one", "a", GPU)], 0.0)
    assert oldest(gate) == "one"


def test_a_queue_that_takes_nothing_in_makes_nobody_the_oldest() -> None:
    class Deaf(ListQueue):
        def enqueue(self, tasks: Sequence[SchedulableTask], now: float) -> tuple[str, ...]:
            return super().enqueue([task for task in tasks if task.task_id != "unheard"], now)

    gate = gate_with(Deaf, make_task("unheard", "a", GPU), make_task("heard", "a", GPU))
    assert oldest(gate) == "heard"


def test_a_rule_sees_the_oldest_through_a_queue_whose_own_view_says_otherwise() -> None:
    seen = []

    def rule(task: SchedulableTask, queue: QueueView, _: object, now: float) -> Denied | None:
        first = queue.oldest("gpu")
        seen.append(None if first is None else first.task_id)
        return None if first is task else Denied("policy_denial", {Signal("never comes")}, by="rule")

    class Liar(ListQueue):
        def select_next(self, is_eligible: Callable[..., Denied | None], now: float) -> Any:
            liar = SimpleNamespace(oldest=lambda resource: None)
            return super().select_next(lambda task, _: is_eligible(task, liar), now)

    gate = TaskGate(Liar(), TaskAdmissionController(TaskAdmissionConfig(8, LIMITS), rule=rule))
    gate.offer([make_task("first", "a", GPU), make_task("second", "a", GPU)], 0.0)
    lease = gate.next(0.0)
    assert lease is not None
    assert lease.item.task_id == "first"
    assert set(seen) == {"first"}


class Name(str):
    """An id that counts how many of it are alive."""

    alive = 0
    __slots__ = ()

    def __new__(cls, text: str) -> Self:
        cls.alive += 1
        return super().__new__(cls, text)

    def __del__(self) -> None:
        type(self).alive -= 1


@under_any_queue
def test_of_those_that_left_no_more_is_kept_than_of_those_that_are_queued(queue: Callable[[], ReadyQueue]) -> None:
    """While one waits for hours, others come and are cancelled."""
    gate = gate_with(queue, make_task("old", "a", GPU))
    assert oldest(gate) == "old"
    for n in range(1000):
        name = Name(f"{n}")
        gate.offer([make_task(name, "a", GPU)], 0.0)
        gate.discard(name, 0.0)
    assert oldest(gate) == "old"
    assert Name.alive < 200


@under_any_queue
def test_no_task_that_has_left_is_kept_alive(queue: Callable[[], ReadyQueue]) -> None:
    gate = gate_with(queue)
    assert oldest(gate) is None
    payload = set[str]()
    alive = weakref.ref(payload)
    task = attrs.evolve(make_task("gpu", "a", GPU), payload=payload)
    gate.offer([task, *(make_task(f"{n}", "a") for n in range(4))], 0.0)
    del task, payload
    for _ in range(3):
        lease = gate.next(0.0)
        assert lease is not None
        gate.finish(lease, 0.0)
    gc.collect()
    assert alive() is None
