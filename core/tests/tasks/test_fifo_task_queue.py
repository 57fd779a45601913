"""The queue that needs no plugin, held against the contract of ready queues."""

from __future__ import annotations

from hypothesis import settings

from penstock import FifoTaskQueue
from penstock.testing import ReadyQueueContract, make_task, ready_queue_machine, take_all, take_one


class TestFifoTaskQueue(ReadyQueueContract):
    def make_queue(self, limits: dict[str, int]) -> FifoTaskQueue:
        return FifoTaskQueue()

    def test_what_came_first_goes_first_whatever_group_it_is_of(self) -> None:
        queue = self.queue_with(
            *(make_task(f"{n}", f"g{n % 3}", {"gpu": 1 + n % 2}, weight=1 + n % 3) for n in range(12))
        )
        assert take_all(queue) == [f"{n}" for n in range(12)]

    def test_the_next_of_a_group_goes_before_the_first_of_another_that_came_later(self) -> None:
        queue = self.queue_with(make_task("1", "a"), make_task("2", "a"), make_task("3", "b"), make_task("4", "a"))
        assert take_all(queue) == ["1", "2", "3", "4"]

    def test_a_resource_that_nobody_asks_for_any_more_is_not_in_the_view(self) -> None:
        queue = self.queue_with(make_task("1", "a", {"gpu": 1}), make_task("2", "b", {"disk": 2}), make_task("3", "b"))
        take_one(queue)
        assert queue.view().queued_peer_demand_by_resource == {"disk": 2, "submission": 2}
        queue.discard("2", 0.0)
        assert queue.view().queued_peer_demand_by_resource == {"submission": 1}


FifoMachine = ready_queue_machine(lambda limits: FifoTaskQueue(), in_order=True)
TestFifoAgainstAList = FifoMachine.TestCase
TestFifoAgainstAList.settings = settings(max_examples=60, stateful_step_count=40, deadline=None)
