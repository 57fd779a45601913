"""Our own queues keep nothing of what has left them: the memory of a flood, of fresh groups, of refusals comes back."""

from __future__ import annotations

import gc
import tracemalloc
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pytest

from penstock import At, Condition, Denied, FifoTaskQueue, QueueView, ReadyQueue, Released, SchedulableTask, Signal
from penstock.testing import make_task, take_all
from penstock_fairqueue import FairTaskQueue

LIMITS = {"submission": 16, "gpu": 4}
FLOOD = 3000
EVERYTHING = 1 << 30


@pytest.fixture(params=["fifo", "fair"])
def queue(request: pytest.FixtureRequest) -> ReadyQueue:
    return FifoTaskQueue() if request.param == "fifo" else FairTaskQueue(LIMITS)


@contextmanager
def traced() -> Iterator[Callable[[], int]]:
    """Tells how many bytes the block has taken and not given back."""

    def left() -> int:
        gc.collect()
        return tracemalloc.get_traced_memory()[0]

    tracemalloc.start()
    try:
        yield left
    finally:
        tracemalloc.stop()


def refuse(queue: ReadyQueue, *until: Condition, by_shape: bool = False) -> None:
    """Refuse everybody who can be asked."""
    denied = Denied("policy_denial", until, "shape", cohort="c") if by_shape else Denied("policy_denial", until)
    assert queue.select_next(lambda task, view: denied, 0.0) is None


def taken(queue: ReadyQueue) -> None:
    take_all(queue)


def discarded(queue: ReadyQueue) -> None:
    for number in range(FLOOD):
        queue.discard(f"{number}", 0.0)


def refused_and_discarded(queue: ReadyQueue) -> None:
    refuse(queue, Signal("go"), At(1e9), by_shape=True)
    discarded(queue)


@pytest.mark.parametrize("leave", [taken, discarded, refused_and_discarded])
def test_memory_is_back_after_a_flood_however_it_left(queue: ReadyQueue, leave: Callable[[ReadyQueue], None]) -> None:
    queue.enqueue([make_task("warm")], 0.0)
    take_all(queue)
    with traced() as left:
        queue.enqueue([make_task(f"{n}", f"g{n % 1500}", {"gpu": 1 + n % 2}) for n in range(FLOOD)], 0.0)
        held = left()
        leave(queue)
        assert left() < 0.05 * held


def test_streams_of_fresh_groups_leave_no_trace_while_another_group_waits(queue: ReadyQueue) -> None:
    queue.enqueue([make_task("waits", "old")], 0.0)
    refuse(queue, Signal("never"))

    def no_gpu(task: SchedulableTask, view: QueueView) -> Denied | None:
        amount = task.resource_request.amounts.get("gpu", 0)
        if not amount:
            return None
        cohort = ("no_capacity", "gpu", amount)
        return Denied("no_capacity", {Released("gpu")}, "shape", cohort=cohort, amount=amount)

    def stream(name: str) -> None:
        for number in range(500):
            needs = {"gpu": 1} if number % 2 else None
            queue.enqueue([make_task(f"{name}{number}/{n}", f"{name}{number}", needs) for n in range(2)], 0.0)
            queue.select_next(no_gpu, 0.0)
            queue.wake(Released("gpu"), 2, 0.0)
            assert len(take_all(queue)) == 2

    stream("warm")
    with traced() as left:
        stream("flood")
        assert left() < 50_000, "of 500 groups that have gone"


@pytest.mark.parametrize("looked", [True, False])
def test_streams_of_fresh_shapes_leave_no_trace_while_another_task_waits(queue: ReadyQueue, looked: bool) -> None:
    queue.enqueue([make_task("waits", "old")], 0.0)
    refuse(queue, Signal("never"))

    def stream(amounts: range) -> None:
        for gpus in amounts:
            queue.enqueue([make_task("fresh", "new", {"gpu": gpus})], 0.0)
            if looked:
                assert take_all(queue) == ["fresh"]
            else:
                queue.discard("fresh", 0.0)

    stream(range(1, 300))
    with traced() as left:
        stream(range(300, 1300))
        assert left() < 80_000, "of 1000 shapes that have gone"


def test_refusals_that_are_renewed_leave_no_trace(queue: ReadyQueue) -> None:
    queue.enqueue([make_task("waits", "third")], 0.0)
    refuse(queue, Signal("never"), At(9e9))
    queue.enqueue([make_task("a"), make_task("b", "other")], 0.0)

    def renew(rounds: int) -> None:
        for number in range(rounds):
            refuse(queue, At(1e6 + number), Signal("again"), by_shape=True)
            queue.wake(Signal("again"), EVERYTHING, 0.0)

    renew(500)
    with traced() as left:
        renew(2000)
        assert left() < 100_000, "of refusals that have ended"
