"""The core's own waiter queue keeps the contract of waiter queues, and goes by age."""

from __future__ import annotations

from penstock.requests.lane_waiters import FifoRequestWaiters
from penstock.testing.waiter_contract import RequestWaiterQueueContract
from penstock.testing.waiter_driver import CHAT, OTHER, QueueDriver


class TestFifoRequestWaiters(RequestWaiterQueueContract):
    def make_queue(self) -> FifoRequestWaiters:
        return FifoRequestWaiters()


def test_the_oldest_goes_first_whatever_its_group_weight_and_resource() -> None:
    driver = QueueDriver(FifoRequestWaiters())
    waiters = [driver.join(CHAT if n % 2 else OTHER, n % 3, 1 + n % 4, 1.0 + n % 5) for n in range(40)]
    assert driver.serve_all() == waiters
