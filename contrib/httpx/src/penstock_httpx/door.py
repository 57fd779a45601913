"""Doors: where a transport asks for places, and what is particular to the code that calls it.

The default doors are those of the run: of its tasks, and of the threads that trio started for them. Whoever brings
other code to a request gate, of another event loop say, gives the transports a door of their own.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import Protocol

import trio

import penstock
from penstock_httpx.crossing import Crossing, RunCrossing
from penstock_httpx.exchange import Exchange

__all__ = ["Admit", "AsyncDoor", "RunDoor", "ThreadDoor", "WorkerDoor"]

Admit = Callable[[penstock.ModelRequestExecutor, Crossing], Awaitable[Exchange]]
"""Waits for the place of one call, in the thread of the run."""


class AsyncDoor(Protocol):
    """Where `AdmissionTransport` asks."""

    async def open(self, admit: Admit) -> Exchange:
        """The exchange that `admit` makes in the thread of the run. Raises what it raises, and ends it if this is
        cancelled.
        """
        ...


class ThreadDoor(Protocol):
    """Where `ThreadAdmissionTransport` asks."""

    def open(self, admit: Admit) -> Exchange:
        """The exchange that `admit` makes in the thread of the run; blocks until then. Raises `RuntimeError` where
        this thread must not block.
        """
        ...

    def raise_if_cancelled(self) -> None:
        """Raises what ends the work of this thread, if nobody wants it any more."""
        ...


class RunDoor:
    """The door of a run's tasks: to the request gate of their run, or to `executor`."""

    def __init__(self, executor: penstock.ModelRequestExecutor | None) -> None:
        self._executor = executor

    async def open(self, admit: Admit) -> Exchange:
        """The exchange, made here."""
        executor = penstock.current_executor() if self._executor is None else self._executor
        return await admit(executor, RunCrossing())


class WorkerDoor:
    """The door of the threads that trio started for tasks of a run."""

    def __init__(self, executor: penstock.ModelRequestExecutor | None) -> None:
        self._door = RunDoor(executor)

    def open(self, admit: Admit) -> Exchange:
        """The exchange; cancelling the task of this thread ends the wait. Raises `RuntimeError` in another thread."""
        _raise_unless_worker()
        return penstock.wait_in_run(self._door.open, admit)

    def raise_if_cancelled(self) -> None:
        """Raises trio's `Cancelled` if the task of this thread is cancelled."""
        with suppress(RuntimeError):  # a thread that trio did not start works for no task
            trio.from_thread.check_cancelled()


def _raise_unless_worker() -> None:
    if trio.lowlevel.in_trio_run():
        raise RuntimeError(
            "ThreadAdmissionTransport would block the trio run: use AdmissionTransport with an httpx2.AsyncClient, "
            "or make the call in trio.to_thread.run_sync"
        )
    try:
        trio.from_thread.check_cancelled()
    except RuntimeError:
        raise RuntimeError(
            "ThreadAdmissionTransport works in threads that trio started: make the call in trio.to_thread.run_sync, "
            "or open a gate for plain threads (penstock-asyncio)"
        ) from None
