"""The queue that needs no plugin, held against the contract of ready queues."""

from __future__ import annotations

from hypothesis import settings

from penstock import FifoTaskQueue
from penstock.testing import ReadyQueueContract, make_task, ready_queue_machine, take_all


class TestFifoTaskQueue(ReadyQueueContract):
    def make_queue(self, limits: dict[str, int]) -> FifoTaskQueue:
        return FifoTaskQueue()

    def test_what_came_first_goes_first_whatever_group_it_is_of(self) -> None:
        queue = self.queue_with(
            *(make_task(f"{n}", f"g{n % 3}", {"gpu": 1 + n % 2}, weight=1 + n % 3) for n in range(12))
        )
        assert take_all(queue) == [f"{n}" for n in range(12)]


FifoMachine = ready_queue_machine(lambda limits: FifoTaskQueue(), in_order=True)
TestFifoAgainstAList = FifoMachine.TestCase
TestFifoAgainstAList.settings = settings(max_examples=60, stateful_step_count=40, deadline=None)
