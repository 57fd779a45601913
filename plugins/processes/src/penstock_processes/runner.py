"""The runner: so many worker processes, kept warm for the whole run; one that dies ends its own task alone.

The processes are trio-parallel's. What it was asked for a task that it cannot be told to leave, it kills: cancelling a
task ends its worker, whatever that does, and another is started when it is needed. A task whose worker died may have
been carried out in part or in whole. So it fails with `WorkerLost`, and is tried again only where `retry_on` says that
it may run twice.
"""

from __future__ import annotations

import logging
import signal
from collections.abc import Callable, Sequence
from contextlib import AsyncExitStack, nullcontext
from functools import partial
from math import inf
from types import TracebackType
from typing import Any, Final

import trio_parallel

from penstock import (
    ConfigError,
    RunnerStanding,
    SchedulableTask,
    TaskAdmissionLease,
    WorkerLost,
    WorkerPlaces,
    check_plain_function,
)
from penstock_processes.pickling import check_picklable, job_of, result_of
from penstock_processes.starting import GUARD, main_is_interactive
from penstock_processes.work import carry_out, prepare

__all__ = ["LARGEST_RESULT", "ProcessTaskRunner"]

LARGEST_RESULT: Final = 64 * 1024 * 1024
"""Bytes that a result may have: it is loaded in the loop, which does nothing else meanwhile."""

_log: Final = logging.getLogger("penstock.processes")


class ProcessTaskRunner:
    """A runner of functions that compute; at most `workers` at a time, the others in order of arrival.

    Functions and arguments must be picklable, and so must results, of `largest_result` bytes at most. `nice` and
    `grace` are those of `[plugins.processes]`.
    """

    def __init__(
        self, workers: int, *, nice: int = 10, largest_result: int = LARGEST_RESULT, grace: float = 5.0
    ) -> None:
        self._places = WorkerPlaces(workers)
        self._nice = nice
        self._largest_result = largest_result
        self._grace = grace
        self._processes: trio_parallel.WorkerContext | None = None
        self._closing = AsyncExitStack()
        self._proved = False

    # -- the run

    async def __aenter__(self) -> None:
        self._processes = await self._closing.enter_async_context(
            trio_parallel.open_worker_context(
                idle_timeout=inf, init=partial(prepare, self._nice), grace_period=self._grace
            )
        )

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            await self._closing.aclose()
        except trio_parallel.BrokenWorkerError as broken:
            _log.warning("the run is over, and not all of its worker processes ended well: %s", broken.args[0])

    # -- tasks

    def check(self, fn: Callable[..., Any], args: Sequence[Any]) -> None:
        """Raise `ConfigError` for an async function, and for what does not pickle."""
        check_plain_function(fn)
        check_picklable(fn, args)
        inner: Any = fn
        while isinstance(inner, partial):
            inner = inner.func
        if getattr(inner, "__module__", None) == "__main__" and main_is_interactive():
            raise ConfigError("fn is defined where no worker process can find it: put it into a module, and import it")

    async def run(self, task: SchedulableTask, lease: TaskAdmissionLease) -> Any:
        """The result of the task, from a worker process. Raises `WorkerLost` if that died."""
        async with self._places.place(task.task_id):
            if not self._proved:
                await self._prove_that_workers_start()
            job = job_of(task.payload)
            try:
                answer = await self._in_worker(carry_out, job, self._largest_result)
            except (trio_parallel.BrokenWorkerError, OSError, EOFError) as error:
                raise WorkerLost(
                    f"the worker process of task {task.task_id!r} {_end_of(error)}: how far the task had come is not "
                    f"known; where it may run twice, say so by retry_on=(penstock.WorkerLost,)"
                ) from error
            return result_of(answer, task.task_id)

    async def _in_worker(self, fn: Callable[..., Any], *args: Any) -> Any:
        if self._processes is None:
            raise RuntimeError("a runner of processes must be entered before it runs tasks: `async with runner:`")
        return await self._processes.run_sync(fn, *args, kill_on_cancel=True, limiter=nullcontext())

    async def _prove_that_workers_start(self) -> None:
        try:
            await self._in_worker(bool)
        except trio_parallel.BrokenWorkerError as error:
            if (code := _exit_code(error)) is not None and code < 0:
                raise WorkerLost(f"the first worker process {_end_of(error)} before it had a task") from error
            raise ConfigError(
                f"no worker process can start: the first {_end_of(error)}, and says why on standard error; "
                f"if it is for want of a guard, {GUARD}"
            ) from error
        self._proved = True

    def standing(self, now: float) -> RunnerStanding:
        """How many are busy, and who waits."""
        return self._places.standing(now)


def _exit_code(error: BaseException) -> int | None:
    process = error.args[-1] if error.args else None
    code = getattr(process, "exitcode", None)
    return code if isinstance(code, int) else None


def _end_of(error: BaseException) -> str:
    """The end of a worker process, in words."""
    code = _exit_code(error)
    if code is None:
        return "died"
    if code >= 0:
        return f"ended with exit code {code}"
    try:
        return f"was killed by {signal.Signals(-code).name}"
    except ValueError:
        return f"was killed by signal {-code}"
