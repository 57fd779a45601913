"""The core's own waiter queue keeps the contract of waiter queues, and goes by age."""

from __future__ import annotations

from penstock import At, Denied, FifoRequestWaiters, Released
from penstock.testing import QueueDriver, RequestWaiterQueueContract, ScriptedCapacity
from penstock.testing.contracts.waiter_driver import CHAT, OTHER, until


class TestFifoRequestWaiters(RequestWaiterQueueContract):
    def make_queue(self) -> FifoRequestWaiters:
        return FifoRequestWaiters()


def test_the_oldest_goes_first_whatever_its_group_weight_and_resource() -> None:
    driver = QueueDriver(FifoRequestWaiters())
    waiters = [driver.join(CHAT if n % 2 else OTHER, n % 3, 1 + n % 4, 1.0 + n % 5) for n in range(40)]
    assert driver.serve_all() == waiters


def test_a_place_that_came_free_is_offered_to_one_and_the_next_is_refused_for_all() -> None:
    driver = QueueDriver(FifoRequestWaiters())
    capacity = ScriptedCapacity(1, cohort=True)
    driver.refuse = capacity.refuse
    waiters = [driver.join(group=n) for n in range(10)]
    first = driver.serve_one()
    assert first is waiters[0]
    capacity.take(first)
    driver.serve_all()
    capacity.give_back(first)
    driver.asked.clear()

    driver.queue.wake(Released(CHAT), 1, 0.0)
    second = driver.serve_one()
    assert second is waiters[1]
    capacity.take(second)

    assert driver.serve_one() is None
    assert driver.asked == [waiters[1].item, waiters[2].item]


def test_a_limiter_that_wants_much_of_something_of_its_own_is_asked_again_for_every_place() -> None:
    driver = QueueDriver(FifoRequestWaiters())
    driver.refuse = lambda item: Denied("no_capacity", {Released(CHAT)}, amount=5000, cohort="tokens")
    waiter = driver.join()
    driver.serve_all()
    driver.refuse = lambda item: None

    driver.queue.wake(Released(CHAT), 1, 0.0)

    assert driver.serve_one() is waiter


def test_a_moment_that_has_come_is_waited_for_no_more_while_its_waiters_are_served() -> None:
    queue = FifoRequestWaiters()
    driver = QueueDriver(queue)
    driver.refuse = until(Released(CHAT), At(5.0), cohort="all", scope="shape")
    first, second = driver.join(group="a"), driver.join(group="b")
    driver.serve_all()
    driver.refuse = lambda item: None
    driver.now = 6.0

    assert driver.serve_one() is first
    queue.check_invariants()
    assert queue.next_change(6.0) is None
    assert driver.serve_one() is second
