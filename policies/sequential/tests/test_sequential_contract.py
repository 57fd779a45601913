"""The policy keeps the contract of all policies."""

from __future__ import annotations

from penstock.testing import TaskPolicyContract
from penstock_sequential import SequentialPolicy


class TestSequentialContract(TaskPolicyContract):
    """A place stays empty while the one task that may hold the resource holds it."""

    work_conserving = False

    def make_policy(self) -> SequentialPolicy:
        return SequentialPolicy(["gpu"])
