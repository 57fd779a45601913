"""The fair queue, held against the contract of ready queues."""

from __future__ import annotations

from hypothesis import settings

from penstock.testing import ReadyQueueContract, ready_queue_machine
from penstock_fairqueue import FairTaskQueue


class TestFairTaskQueue(ReadyQueueContract):
    def make_queue(self, limits: dict[str, int]) -> FairTaskQueue:
        return FairTaskQueue(limits)


FairMachine = ready_queue_machine(FairTaskQueue, in_order=False)
TestFairAgainstAList = FairMachine.TestCase
TestFairAgainstAList.settings = settings(max_examples=60, stateful_step_count=40, deadline=None)
