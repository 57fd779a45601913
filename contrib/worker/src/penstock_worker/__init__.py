"""A worker on standard input and output: one JSON task per line in, many at a time, one JSON answer per line out.

The way of a task, file by file: `streams` moves the pipes away from whatever else writes; `framing` and `messages` make
tasks of bytes; `tasks` gives each to the scheduler; `carrying_out` calls its handler; `answers` makes the one line of
what came of it; `outbox` writes it. `serving` says how the worker begins and ends; `entry` does that in a process.
"""

from __future__ import annotations

from penstock_worker.answers import RetryableError
from penstock_worker.settings import WorkerConfig
from penstock_worker.worker import Worker

__all__ = ["RetryableError", "Worker", "WorkerConfig", "default", "load", "run", "run_once", "task"]

default = Worker()
"""The worker that the functions of this module are the methods of."""

task = default.task
load = default.load
run = default.run
run_once = default.run_once
