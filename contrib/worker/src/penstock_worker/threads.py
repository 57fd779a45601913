"""The threads of plain tasks: the runner of penstock-threads, with one thread for each worker.

It comes as a plugin of the worker's own and stands in no list of the configuration: so there is nothing about it that
another configuration could change while the worker runs.
"""

from __future__ import annotations

from typing import Final

from penstock import TaskRunner, hookimpl
from penstock_threads import ThreadTaskRunner

__all__ = ["THREADS", "WorkerThreads"]

LEAVE_AFTER: Final = 0.2
"""Seconds for which the end of a run waits for a thread."""


class WorkerThreads:
    """The plugin that brings the runner, with so many threads."""

    def __init__(self, workers: int) -> None:
        self._workers = workers

    @hookimpl
    def penstock_task_runner(self) -> TaskRunner:
        """The runner of one run."""
        return ThreadTaskRunner(self._workers, LEAVE_AFTER)


THREADS: Final = WorkerThreads.__name__
"""The runner's name, which is that of the plugin."""
