"""The scheduler's own nursery keeps the contract of every task runner."""

from __future__ import annotations

from penstock import NurseryTaskRunner, TaskRunner
from penstock.testing import TaskRunnerContract


class TestNursery(TaskRunnerContract):
    plain = False

    def make_runner(self) -> TaskRunner:
        return NurseryTaskRunner()
