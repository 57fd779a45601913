"""The runner at a cluster keeps the contract of every task runner, as far as a Ray that is not there can show it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from penstock import TaskRunner
from penstock.testing import TaskRunnerContract
from penstock_ray import RayConfig, RayTaskRunner


def hangs() -> dict[str, str]:
    return {"fake": "ends when told"}


@pytest.mark.usefixtures("ray")
class TestRay(TaskRunnerContract):
    def make_runner(self) -> TaskRunner:
        return RayTaskRunner(RayConfig(workers=2))

    @property
    def endless(self) -> Callable[[], Any]:
        return hangs
