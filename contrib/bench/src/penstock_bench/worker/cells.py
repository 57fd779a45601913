"""A worker in a process of its own, with a parent that keeps so many tasks in flight and counts every answer."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Sequence
from time import perf_counter
from typing import IO, Final

from penstock import PenstockError
from penstock_bench.measuring.records import Sample
from penstock_worker.testing import Parent

__all__ = ["BARE_LOOP", "three_waits", "through"]

BARE_LOOP: Final = (sys.executable, "-m", "penstock_bench.worker.bare_loop")
ONE_READ: Final = 1 << 16


def worker(workers: int) -> Sequence[str]:
    """The command of a worker with so many places."""
    return (sys.executable, "-m", "penstock", "worker", "penstock_bench.worker.jobs:app", "--workers", str(workers))


def through(kind: str, tasks: int, in_flight: int, workers: int) -> Sample:
    """So many tasks that do nothing, from the first line to the last answer. Raises `PenstockError` for a torn or lost
    answer. `kind` is `bare` (the loop), or the type of task for the worker.
    """
    command = BARE_LOOP if kind == "bare" else worker(workers)
    with _Started(command) as started:
        began = perf_counter()
        sent = 0
        while len(started.parent.outcomes) < tasks:
            room = min(in_flight - len(started.parent.pending), tasks - sent)
            started.send(kind, range(sent, sent + room), {"n": 1})
            sent += room
            started.read()
        return Sample(tasks, perf_counter() - began)


def three_waits(seconds: float, workers: int) -> Sample:
    """Three tasks that each take so many seconds, from the first line to the last answer."""
    with _Started(worker(workers)) as started:
        began = perf_counter()
        started.send("wait", range(3), seconds)
        while len(started.parent.outcomes) < 3:
            started.read()
        return Sample(1, perf_counter() - began)


class _Started:
    """A process that is ready, and its end; at which nothing may have been dropped."""

    def __init__(self, command: Sequence[str]) -> None:
        self.parent = Parent()
        self._process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE)

    def __enter__(self) -> _Started:
        while self.parent.status is None:
            self.read()
        return self

    def __exit__(self, *error: object) -> None:
        with self._process as process:
            if error[0] is None:
                _of(process.stdin).close()
            else:
                process.kill()
            process.wait()
        if error[0] is None and (self.parent.warnings or process.returncode):
            said = "; ".join(self.parent.warnings[:3])
            raise PenstockError(f"the worker ended with {process.returncode}, and of its answers: {said}")

    def send(self, kind: str, numbers: range, payload: object) -> None:
        lines = b"".join(self.parent.line(str(number), payload, kind=kind) for number in numbers)
        if lines:
            _of(self._process.stdin).write(lines)
            _of(self._process.stdin).flush()

    def read(self) -> None:
        data = os.read(_of(self._process.stdout).fileno(), ONE_READ)
        if not data:
            raise PenstockError("the worker ended before all was answered")
        self.parent.read(data, perf_counter())


def _of(stream: IO[bytes] | None) -> IO[bytes]:
    assert stream is not None
    return stream
