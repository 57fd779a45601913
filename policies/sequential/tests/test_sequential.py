"""Sequential: who may go, what the others are told, and what it costs to ask them."""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise

import pytest

from penstock import (
    Backlog,
    Denied,
    FifoTaskQueue,
    QueueView,
    ReadyQueue,
    Released,
    SchedulableTask,
    Signal,
    TaskAdmissionConfig,
    TaskAdmissionController,
    TaskAdmissionPolicy,
    TaskAdmissionPolicyDecision,
    TaskAdmissionView,
)
from penstock.testing import TaskBench, make_task
from penstock_fairqueue import FairTaskQueue
from penstock_sequential import SequentialPolicy

GPU = {"gpu": 1}
QUEUES: list[Callable[[], ReadyQueue]] = [FifoTaskQueue, lambda: FairTaskQueue({"submission": 8, "gpu": 1})]

any_queue = pytest.mark.parametrize("queue", QUEUES, ids=["fifo", "fair"])


class Counted:
    """The policy, with a count of how often it is asked."""

    stateless = True

    def __init__(self) -> None:
        self.policy = SequentialPolicy(["gpu"])
        self.asked = 0

    def evaluate(
        self, task: SchedulableTask, queue_view: QueueView, admission_view: TaskAdmissionView, now: float
    ) -> TaskAdmissionPolicyDecision:
        self.asked += "gpu" in task.resource_request.amounts
        return self.policy.evaluate(task, queue_view, admission_view, now)

    def on_acquire(self, *_: object) -> None: ...

    def on_release(self, *_: object) -> None: ...


def shut(*names: str) -> tuple[set[str], Callable[..., Denied | None]]:
    """A rule that refuses these tasks, each alone, as long as they are in the set."""
    held = set(names)

    def rule(task: SchedulableTask, _: QueueView, __: TaskAdmissionView, ___: float) -> Denied | None:
        return Denied("policy_denial", {Signal(task.task_id)}, by="rule") if task.task_id in held else None

    return held, rule


def bench(
    queue: Callable[[], ReadyQueue] = FifoTaskQueue,
    rule: Callable[..., Denied | None] | None = None,
    policy: TaskAdmissionPolicy | None = None,
    places: int = 8,
    **resources: int,
) -> TaskBench:
    policies = [("sequential", policy or SequentialPolicy(["gpu", "tape"]))]
    config = TaskAdmissionConfig(places, {"gpu": 1, **resources})
    return TaskBench(queue(), TaskAdmissionController(config, policies, rule))


def ended(gate: TaskBench, task_id: str) -> list[str]:
    """What starts when this one ends."""
    gate.release(next(lease for lease in gate.out if lease.item.task_id == task_id))
    return gate.start_all()


@any_queue
def test_they_go_one_at_a_time_in_the_order_of_arrival_whatever_the_groups_and_weights(
    queue: Callable[[], ReadyQueue],
) -> None:
    gate = bench(queue)
    names = ["a1", "a2", "b1", "a3", "c1", "b2"]
    gate.enqueue(make_task(name, name[0], GPU, weight={"a": 1, "b": 1000, "c": 0.001}[name[0]]) for name in names)
    assert gate.start_all() == ["a1"]
    for before, after in pairwise(names):
        assert ended(gate, before) == [after]
    assert ended(gate, "b2") == []


@any_queue
def test_everything_else_goes_on_beside_it(queue: Callable[[], ReadyQueue]) -> None:
    gate = bench(queue)
    gate.enqueue([make_task("g1", "a", GPU), make_task("g2", "b", GPU), make_task("p1", "b"), make_task("p2", "a")])
    assert sorted(gate.start_all()) == ["g1", "p1", "p2"]
    gate.enqueue([make_task("p3", "b")])
    assert gate.start_all() == ["p3"]


@any_queue
def test_the_next_goes_when_the_oldest_is_cancelled(queue: Callable[[], ReadyQueue]) -> None:
    _, rule = shut("a1")
    gate = bench(queue, rule)
    gate.enqueue([make_task("a1", "a", GPU), make_task("b1", "b", GPU), make_task("c1", "c", GPU)])
    assert gate.start_all() == []
    gate.discard("a1")
    assert gate.start_all() == ["b1"]


@any_queue
def test_the_resource_waits_for_the_oldest_that_another_rule_refuses(queue: Callable[[], ReadyQueue]) -> None:
    held, rule = shut("a1")
    gate = bench(queue, rule)
    gate.enqueue(
        [make_task("a1", "a", GPU), make_task("a2", "a", GPU), make_task("b1", "b", GPU), make_task("p1", "b")]
    )
    assert gate.start_all() == ["p1"]
    held.clear()
    gate.wake(Signal("a1"))
    assert gate.start_all() == ["a1"]
    assert ended(gate, "a1") == ["a2"]


@any_queue
def test_one_that_comes_again_comes_last(queue: Callable[[], ReadyQueue]) -> None:
    gate = bench(queue)
    first = make_task("a1", "a", GPU)
    gate.enqueue([first, make_task("b1", "b", GPU)])
    assert gate.start_all() == ["a1"]
    before = first.arrival
    assert ended(gate, "a1") == ["b1"]
    gate.enqueue([first])
    assert first.arrival > before
    gate.enqueue([make_task("b2", "b", GPU)])
    assert ended(gate, "b1") == ["a1"]
    assert ended(gate, "a1") == ["b2"]


@any_queue
def test_one_that_needs_two_such_resources_goes_when_it_is_the_oldest_for_both(queue: Callable[[], ReadyQueue]) -> None:
    gate = bench(queue, tape=1)
    both = {"gpu": 1, "tape": 1}
    gate.enqueue([make_task("t1", "a", {"tape": 1}), make_task("gt", "b", both), make_task("g1", "c", GPU)])
    gate.enqueue([make_task("t2", "d", {"tape": 1})])
    assert gate.start_all() == ["t1"], "the gpu waits for the one that came first, and waits for the tape"
    assert ended(gate, "t1") == ["gt"]
    assert sorted(ended(gate, "gt")) == ["g1", "t2"]


@any_queue
def test_the_oldest_starts_though_small_ones_keep_taking_what_it_is_short_of(queue: Callable[[], ReadyQueue]) -> None:
    gate = bench(queue, cpu=2)
    gate.enqueue([make_task("s0", "s", {"cpu": 1}), make_task("s1", "s", {"cpu": 1})])
    gate.start_all()
    gate.enqueue([make_task("big", "g", {"gpu": 1, "cpu": 2}), make_task("g2", "h", GPU)])
    started = gate.start_all()
    for n in range(2, 40):
        gate.enqueue([make_task(f"s{n}", "s", {"cpu": 1})])
        gate.release(gate.out[0])
        started += gate.start_all()
    gpu = [name for name in started if not name.startswith("s")]
    assert gpu[0] == "big"


def test_what_never_fits_holds_nobody_up() -> None:
    gate = bench()
    gate.enqueue([make_task("two", "a", {"gpu": 2}), make_task("one", "b", GPU)])
    assert gate.start_all() == ["one"]
    assert not gate.queued


def test_it_holds_where_there_is_more_than_one_of_the_resource() -> None:
    gate = bench(gpu=4)
    gate.enqueue([make_task("two", "a", {"gpu": 2}), make_task("one", "b", GPU), make_task("four", "c", {"gpu": 4})])
    assert gate.start_all() == ["two"]
    assert ended(gate, "two") == ["one"]
    assert ended(gate, "one") == ["four"]


def test_the_others_are_told_who_came_first_and_what_would_end_their_wait() -> None:
    _, rule = shut("a1")
    gate = bench(rule=rule)
    gate.enqueue([make_task("a1", "a", GPU), make_task("b1", "b", GPU)])
    gate.start_all()
    (denied,) = [each.denied for each in gate.gate.blocked() if each.denied.by == "sequential"]
    assert (denied.reason, denied.scope) == ("policy_denial", "shape")
    assert denied.until == {Released("gpu"), Backlog("gpu")}
    assert denied.detail == "in order of arrival: task a1 came first for gpu"


@pytest.mark.parametrize("groups", [10, 400])
@any_queue
def test_a_release_costs_one_question_for_each_group_that_waits_at_most(
    queue: Callable[[], ReadyQueue], groups: int
) -> None:
    policy = Counted()
    gate = bench(queue, policy=policy)
    gate.enqueue(make_task(f"{n}", f"g{n % groups}", GPU) for n in range(2 * groups))
    gate.start_all()
    for _ in range(2 * groups - 1):
        policy.asked = 0
        gate.release(gate.out[0])
        assert len(gate.start_all()) == 1
        assert policy.asked <= groups


@any_queue
def test_an_arrival_behind_an_oldest_that_is_refused_asks_no_crowd(queue: Callable[[], ReadyQueue]) -> None:
    _, rule = shut("first")
    policy = Counted()
    gate = bench(queue, rule, policy)
    gate.enqueue([make_task("first", "f", GPU)])
    gate.enqueue(make_task(f"{n}", f"g{n}", GPU) for n in range(400))
    gate.start_all()
    policy.asked = 0
    for n in range(10):
        gate.enqueue([make_task(f"late{n}", f"late{n}", GPU)])
        assert gate.start_all() == []
    assert policy.asked <= 10 * 4


@any_queue
def test_with_other_tasks_beside_it_a_release_costs_each_group_one_question_too(
    queue: Callable[[], ReadyQueue],
) -> None:
    groups, policy = 200, Counted()
    gate = bench(queue, policy=policy)
    gate.enqueue(make_task(f"{n}", f"g{n}", GPU) for n in range(groups))
    gate.start_all()
    for n in range(100):
        policy.asked = 0
        for beside in range(3):
            name = f"plain{n}-{beside}"
            gate.enqueue([make_task(name, "plain")])
            assert gate.start_all() == [name]
            ended(gate, name)
        (holder,) = [lease.item.task_id for lease in gate.out]
        assert len(ended(gate, holder)) == 1
        assert policy.asked <= groups + 3
