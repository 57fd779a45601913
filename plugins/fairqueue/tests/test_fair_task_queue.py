"""The fair queue, held against the contract of ready queues."""

from __future__ import annotations

from hypothesis import settings

from penstock import TaskGroupSpec
from penstock.testing import ReadyQueueContract, make_task, ready_queue_machine
from penstock_fairqueue import FairTaskQueue


class TestFairTaskQueue(ReadyQueueContract):
    def make_queue(self, limits: dict[str, int]) -> FairTaskQueue:
        return FairTaskQueue(limits)


FairMachine = ready_queue_machine(FairTaskQueue, in_order=False)
TestFairAgainstAList = FairMachine.TestCase
TestFairAgainstAList.settings = settings(max_examples=60, stateful_step_count=40, deadline=None)


def test_tasks_that_come_after_a_change_count_for_their_share_of_the_new_limits() -> None:
    def order(limits: dict[str, int]) -> list[str]:
        queue = FairTaskQueue({"submission": 100, "gpu": 2})
        queue.limits_changed(limits)
        large = [make_task(f"large{n}", group=TaskGroupSpec.named("large"), needs={"gpu": 1}) for n in range(4)]
        small = [make_task(f"small{n}", group=TaskGroupSpec.named("small")) for n in range(4)]
        queue.enqueue([*large, *small], 0.0)
        chosen = []
        while (selection := queue.select_next(lambda task, view: None, 0.0)) is not None:
            chosen.append(selection.item.task_id[:5])
            queue.commit(selection, 0.0)
        return chosen

    assert order({"submission": 100, "gpu": 2})[-3:] == ["large"] * 3
    assert order({"submission": 100, "gpu": 100})[:4].count("large") == 2
