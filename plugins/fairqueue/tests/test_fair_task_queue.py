"""The fair queue, held against the contract of ready queues."""

from __future__ import annotations

from penstock.testing.ready_queue_contract import ReadyQueueContract
from penstock_fairqueue import FairTaskQueue


class TestFairTaskQueue(ReadyQueueContract):
    def make_queue(self, limits: dict[str, int]) -> FairTaskQueue:
        return FairTaskQueue(limits)
