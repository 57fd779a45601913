"""The runner of threads keeps the contract of every task runner."""

from __future__ import annotations

from collections.abc import Callable
from threading import Event
from typing import Any

import trio

from penstock import TaskRunner
from penstock.testing import TaskRunnerContract
from penstock_threads import ThreadTaskRunner


def asks_until_it_is_cancelled() -> None:
    while True:
        trio.from_thread.check_cancelled()
        Event().wait(0.002)


class TestThreads(TaskRunnerContract):
    def make_runner(self) -> TaskRunner:
        return ThreadTaskRunner(workers=2)

    @property
    def endless(self) -> Callable[[], Any]:
        return asks_until_it_is_cancelled
