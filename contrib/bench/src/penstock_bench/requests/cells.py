"""Our request gate as tasks use it: executor, fair waiters, AIMD and cooldown; alone, and against others."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Awaitable, Callable
from time import perf_counter
from typing import Any, Final

import attrs
import trio
import trio.testing

import penstock
from penstock import ModelRequestExecutor, RequestAdmissionItem, RequestAdmissionLease, RequestReleaseOutcome
from penstock_bench.measuring.records import Sample
from penstock_bench.measuring.stopwatch import start_clock

__all__ = ["bare_kernel", "config_of", "contended", "handover", "parked_cpu", "try_uncontended", "uncontended"]

SUCCESS: Final = RequestReleaseOutcome(kind="success")

Body = Callable[[ModelRequestExecutor, RequestAdmissionItem], Awaitable[Sample]]


def config_of(cap: int) -> dict[str, Any]:
    """A run with one model of this cap; AIMD begins there, as the competitor's does."""
    return {
        "providers": {"bench": {"models": {"model": {"max_parallel_requests": cap}}}},
        "plugins": {"request_limiters": ["cooldown", "aimd"], "aimd": {"startup_ramp_seconds": 0.0}},
    }


def _in_a_run(cap: int, body: Body) -> Sample:
    """What `body` measures, inside such a run."""

    async def run() -> Sample:
        async with penstock.open_scheduler(config_of(cap)) as scheduler:
            executor = scheduler.requests
            item = RequestAdmissionItem(executor.resolver.resolve("bench/model", "chat"))
            executor.release(await executor.acquire(item), SUCCESS)
            sample = await body(executor, item)
            return attrs.evolve(sample, capacity=scheduler.capacity_plan())

    return trio.run(run)


def uncontended(cycles: int, cap: int) -> Sample:
    """Acquire and release again and again; a unit is one such pair."""

    async def body(executor: ModelRequestExecutor, item: RequestAdmissionItem) -> Sample:
        started = start_clock()
        for _ in range(cycles):
            executor.release(await executor.acquire(item), SUCCESS)
        return Sample(cycles, perf_counter() - started)

    return _in_a_run(cap, body)


def try_uncontended(cycles: int, cap: int) -> Sample:
    """The same without waiting."""

    async def body(executor: ModelRequestExecutor, item: RequestAdmissionItem) -> Sample:
        started = start_clock()
        for _ in range(cycles):
            lease = executor.try_acquire(item)
            assert isinstance(lease, RequestAdmissionLease)
            executor.release(lease, SUCCESS)
        return Sample(cycles, perf_counter() - started)

    return _in_a_run(cap, body)


def contended(tasks: int, each: int, cap: int, mark: int | None = None) -> Sample:
    """`tasks` tasks acquire `each` times, and let others run while they hold the lease; a unit is one acquisition.

    Until the first release every task has asked for its first lease: so many acquisitions share that time.
    """

    async def body(executor: ModelRequestExecutor, item: RequestAdmissionItem) -> Sample:
        done = 0
        asked = 0.0
        at_mark: float | None = None

        async def caller() -> None:
            nonlocal done, asked, at_mark
            for _ in range(each):
                lease = await executor.acquire(item)
                await trio.lowlevel.checkpoint()
                if not done:
                    asked = perf_counter() - started
                executor.release(lease, SUCCESS)
                done += 1
                if done == mark:
                    at_mark = perf_counter() - started - asked + asked * min(mark / tasks, 1.0)

        started = start_clock()
        async with trio.open_nursery() as nursery:
            for _ in range(tasks):
                nursery.start_soon(caller)
        took = perf_counter() - started
        assert done == tasks * each
        return Sample(done, took, amount_at_mark=at_mark)

    return _in_a_run(cap, body)


def bare_kernel(tasks: int, each: int, cap: int) -> Sample:
    """The same through what a limit of places cannot do without: who finds none parks in order of arrival, and a place
    that comes back is handed to the first. No records, limits, fairness, time-outs or views.
    """

    async def run() -> Sample:
        free, done = cap, 0
        parked: deque[trio.lowlevel.Task] = deque()

        def abort(_: object) -> trio.lowlevel.Abort:
            raise AssertionError("nobody is cancelled here")

        async def caller() -> None:
            nonlocal free, done
            for _ in range(each):
                if free:
                    free -= 1
                    await trio.lowlevel.checkpoint()
                else:
                    parked.append(trio.lowlevel.current_task())
                    await trio.lowlevel.wait_task_rescheduled(abort)
                await trio.lowlevel.checkpoint()
                if parked:
                    trio.lowlevel.reschedule(parked.popleft())
                else:
                    free += 1
                done += 1

        started = start_clock()
        async with trio.open_nursery() as nursery:
            for _ in range(tasks):
                nursery.start_soon(caller)
        took = perf_counter() - started
        assert (free, done) == (cap, tasks * each)
        return Sample(done, took)

    return trio.run(run)


def handover(waiters: int, handovers: int, cap: int = 4) -> Sample:
    """Leases go from hand to hand while so many tasks wait, each queueing again; a unit is one admission."""

    async def body(executor: ModelRequestExecutor, item: RequestAdmissionItem) -> Sample:
        left = handovers
        over = trio.Event()

        async def caller() -> None:
            nonlocal left
            while True:
                lease = await executor.acquire(item)
                await trio.lowlevel.checkpoint()
                left -= 1
                if not left:
                    over.set()
                executor.release(lease, SUCCESS)

        leases = [await executor.acquire(item) for _ in range(cap)]
        async with trio.open_nursery() as nursery:
            for _ in range(waiters):
                nursery.start_soon(caller)
            await trio.testing.wait_all_tasks_blocked()
            started = start_clock()
            for lease in leases:
                executor.release(lease, SUCCESS)
            await over.wait()
            took = perf_counter() - started
            nursery.cancel_scope.cancel()
        return Sample(handovers, took)

    return _in_a_run(cap, body)


def parked_cpu(waiters: int, seconds: float, cap: int = 1) -> Sample:
    """The share of a core that the process uses while all places are taken and so many tasks wait, in real time."""

    async def body(executor: ModelRequestExecutor, item: RequestAdmissionItem) -> Sample:
        async def caller() -> None:
            await executor.acquire(item)

        leases = [await executor.acquire(item) for _ in range(cap)]
        async with trio.open_nursery() as nursery:
            for _ in range(waiters):
                nursery.start_soon(caller)
            await trio.testing.wait_all_tasks_blocked()
            started, cpu = perf_counter(), time.process_time()
            await trio.sleep(seconds)
            used, took = time.process_time() - cpu, perf_counter() - started
            nursery.cancel_scope.cancel()
        for lease in leases:
            executor.release(lease, SUCCESS)
        return Sample(1, used / took)

    return _in_a_run(cap, body)
