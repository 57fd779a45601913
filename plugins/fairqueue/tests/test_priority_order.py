"""The highest priority first within a group: the contract of any queue of waiters, and a model that scans."""

from __future__ import annotations

from random import Random

import pytest

from penstock import (
    ConfigError,
    Denied,
    Released,
    RequestAdmissionItem,
    RequestGroupSpec,
    RequestResourceKey,
    RequestWaiter,
    RequestWaiterQueue,
)
from penstock.testing import RequestWaiterQueueContract
from penstock_fairqueue import FairRequestWaiters

CHAT = RequestResourceKey("provider", "model", "chat")
EMBEDDING = RequestResourceKey("provider", "model", "embedding")


class TestContract(RequestWaiterQueueContract):
    def make_queue(self) -> RequestWaiterQueue:
        return FairRequestWaiters(within_group="priority")


class Waiters:
    """A queue by priorities."""

    def __init__(self) -> None:
        self.queue = FairRequestWaiters(within_group="priority")
        self.count = 0

    def join(self, priority: int = 0, group: str = "a", at: RequestResourceKey = CHAT) -> RequestWaiter:
        waiter = RequestWaiter(RequestAdmissionItem(at, RequestGroupSpec(group), priority=priority), 0.0, self.count)
        self.count += 1
        self.queue.enqueue(waiter, 0.0)
        return waiter

    def serve(self) -> RequestWaiter | None:
        selection = self.queue.select_next(lambda _: None, 0.0)
        return None if selection is None else self.queue.commit(selection, 0.0)


def test_the_highest_goes_first_and_of_equals_the_oldest() -> None:
    waiters = Waiters()
    usual, low, high, later, highest = (waiters.join(priority) for priority in (0, -5, 7, 0, 100))
    assert [waiters.serve() for _ in range(6)] == [highest, high, usual, later, low, None]


def test_one_who_says_nothing_goes_before_a_lower_one_that_stands_alone() -> None:
    waiters = Waiters()
    low, usual = waiters.join(-1), waiters.join()
    assert [waiters.serve(), waiters.serve()] == [usual, low]


def test_priorities_give_a_group_no_more_than_its_share() -> None:
    waiters = Waiters()
    for _ in range(50):
        waiters.join(group="patient")
        waiters.join(100, group="urgent")
    served = [waiters.serve() for _ in range(40)]
    assert sum(waiter is not None and waiter.item.group.key == "patient" for waiter in served) == 20


def test_who_joins_a_refused_lane_with_a_higher_priority_goes_first_when_it_is_woken() -> None:
    waiters = Waiters()
    usual = waiters.join()
    refused = Denied("no_capacity", {Released(CHAT)}, scope="shape", cohort=CHAT)
    assert waiters.queue.select_next(lambda _: refused, 0.0) is None
    high = waiters.join(1)
    waiters.queue.wake(Released(CHAT), 1, 0.0)
    assert [waiters.serve(), waiters.serve()] == [high, usual]


@pytest.mark.parametrize("seed", range(20))
def test_a_model_that_scans_agrees(seed: int) -> None:
    rng = Random(seed)
    waiters = Waiters()
    there: list[RequestWaiter] = []
    for _ in range(300):
        step = rng.random()
        if step < 0.5:
            there.append(waiters.join(rng.choice((0, 0, 0, 1, -1, 100, -100)), at=rng.choice((CHAT, EMBEDDING))))
        elif step < 0.6 and there:
            waiters.queue.remove(there.pop(rng.randrange(len(there))), 0.0)
        else:
            expected = min(there, key=lambda each: (-each.item.priority, each.sequence), default=None)
            assert waiters.serve() is expected
            if expected is not None:
                there.remove(expected)
        waiters.queue.check_invariants()


@pytest.mark.parametrize("priority", [101, -101, 1.5, True, "high", None])
def test_a_priority_that_is_none_is_refused(priority: object) -> None:
    with pytest.raises(ConfigError, match="priority"):
        RequestAdmissionItem(CHAT, RequestGroupSpec("a"), priority=priority)  # type: ignore[arg-type]
