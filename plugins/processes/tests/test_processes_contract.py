"""The runner of processes keeps the contract of every task runner."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from functools import partial
from typing import Any

from penstock import TaskRunner
from penstock.testing import TaskRunnerContract
from penstock_processes import ProcessTaskRunner


class TestProcesses(TaskRunnerContract):
    tasks = 24

    def make_runner(self) -> TaskRunner:
        return ProcessTaskRunner(workers=2, nice=0)

    @property
    def endless(self) -> Callable[[], Any]:
        return partial(time.sleep, 3600)

    @property
    def dying(self) -> Callable[[], Any]:
        return os.abort
