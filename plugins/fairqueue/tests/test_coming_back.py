"""A group that had run empty and comes again: nothing of before counts but what it has taken ahead."""

from __future__ import annotations

from collections import Counter

from penstock import TaskAdmissionConfig, TaskAdmissionController, TaskGate, TaskGroupSpec
from penstock.testing import TaskBench, make_task
from penstock_fairqueue import FairTaskQueue

LIMITS = {"submission": 100, "gpu": 4}


def gate() -> TaskBench:
    controller = TaskAdmissionController(TaskAdmissionConfig(LIMITS["submission"], {"gpu": LIMITS["gpu"]}))
    return TaskBench(FairTaskQueue(LIMITS), controller)


def offered(gate: TaskBench, group: TaskGroupSpec, tasks: int, needs: dict[str, int] | None = None) -> None:
    gate.enqueue([make_task(f"{group.key}-{n}-{needs}-{gate.now}", group, needs) for n in range(tasks)])
    gate.gate.check_invariants()


def cycles(gate: TaskBench, most: int) -> Counter[str]:
    """How many of each group are let through, one after the other."""
    through: Counter[str] = Counter()
    for _ in range(most):
        lease = gate.start_one()
        if lease is None:
            break
        through[lease.item.group.key.identity[1]] += 1
        gate.release(lease)
        gate.gate.check_invariants()
    return through


def test_a_group_that_comes_again_has_the_weight_that_it_comes_with() -> None:
    kept = gate()
    offered(kept, TaskGroupSpec.named("other"), 200)
    offered(kept, TaskGroupSpec.named("again", weight=9.0), 1)
    cycles(kept, 20)

    kept.now += 1.0
    offered(kept, TaskGroupSpec.named("again", weight=3.0), 100)

    assert abs(cycles(kept, 80)["again"] - 60) <= 2


def test_so_has_one_whose_account_was_dropped_since_nobody_competed() -> None:
    kept = gate()
    offered(kept, TaskGroupSpec.named("again", weight=9.0), 2)
    cycles(kept, 2)

    kept.now += 1.0
    offered(kept, TaskGroupSpec.named("again", weight=3.0), 100)
    offered(kept, TaskGroupSpec.named("other"), 100)

    assert abs(cycles(kept, 80)["again"] - 60) <= 2


def test_a_group_that_comes_again_may_ask_for_something_else() -> None:
    kept = gate()
    offered(kept, TaskGroupSpec.named("other"), 20)
    offered(kept, TaskGroupSpec.named("again"), 1)
    cycles(kept, 4)

    offered(kept, TaskGroupSpec.named("again"), 3, {"gpu": 1})
    offered(kept, TaskGroupSpec.named("again"), 3)

    assert cycles(kept, 50)["again"] == 6


def test_a_queue_that_has_run_empty_many_times_is_as_fair_as_a_new_one() -> None:
    kept = gate()
    one, three = TaskGroupSpec.named("one"), TaskGroupSpec.named("three", weight=3.0)
    for _ in range(150):
        kept.now += 1.0
        for group in (one, three):
            offered(kept, group, 8)
            offered(kept, group, 2, {"gpu": 1})
        assert abs(cycles(kept, 8)["three"] - 6) <= 1
        assert cycles(kept, 50).total() == 12


def test_of_groups_that_took_ahead_so_many_are_remembered_and_not_more() -> None:
    queue = FairTaskQueue(LIMITS)
    gate = TaskGate(queue, TaskAdmissionController(TaskAdmissionConfig(LIMITS["submission"])))
    gate.offer([make_task(f"busy-{n}", TaskGroupSpec.named("busy")) for n in range(2000)], 0.0)
    gate.offer([make_task(f"light-{n}", TaskGroupSpec.named(f"light-{n}", weight=0.001)) for n in range(8000)], 0.0)
    most = 0
    for number in range(6000):
        lease = gate.next(0.0)
        assert lease is not None
        gate.finish(lease, 0.0)
        if number % 100 == 0:
            most = max(most, queue.remembered_groups)
    assert most == 4096
