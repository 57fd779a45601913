"""What cycles of the task gate cost: a whole workload, and a gate in which much else is queued or blocked."""

from __future__ import annotations

from time import perf_counter

from penstock import SchedulableTask, SchedulerResourceRequest, TaskGroupSpec
from penstock_bench.dispatch.driver import GateDriver, driver_of, tasks_of
from penstock_bench.dispatch.workloads import Workload
from penstock_bench.measuring.records import Sample
from penstock_bench.measuring.stopwatch import start_clock

__all__ = [
    "all_but_one_capped",
    "all_but_one_without_room",
    "first_and_last",
    "gate_with_capped",
    "gate_with_short_shapes",
    "whole_workload",
]


def whole_workload(workload: Workload, mark: int | None = None) -> Sample:
    """What it takes to enqueue all tasks of a workload and let each through; a unit is one task.

    What the tasks up to the mark took is their cycles and their share of enqueueing all.
    """
    driver = GateDriver(workload.places)
    tasks = tasks_of(workload)
    held = workload.held
    keeping = any(kind.keeps for kind in workload.groups)
    at_mark: float | None = None
    started = start_clock()
    driver.offer(tasks)
    enqueued = perf_counter()
    done = 0
    for most in (mark or 0, workload.total):
        done += driver.cycles_with_held(most - done, held, keeping) if held else driver.cycles(most - done)
        if mark and at_mark is None:
            at_mark = (enqueued - started) * done / workload.total + perf_counter() - enqueued
    driver.release_held()
    took = perf_counter() - started
    assert done == workload.total, f"{done} of {workload.total} tasks were let through"
    return Sample(done, took, amount_at_mark=at_mark)


def first_and_last(workload: Workload, part: int) -> tuple[Sample, Sample]:
    """What the first `part` cycles take and what the last take, with all tasks enqueued at the beginning."""
    driver = driver_of(workload)
    first = _cycles(driver, part)
    _cycles(driver, workload.total - 2 * part)
    return first, _cycles(driver, part)


def all_but_one_without_room(groups: int, cycles: int) -> Sample:
    """What the cycles of one group take, while every other waits for a resource that is out."""
    driver = GateDriver(1024, {"gpu": 1})
    on_gpu = SchedulerResourceRequest({"gpu": 1})
    tasks = [SchedulableTask(f"gpu-{n}", None, TaskGroupSpec.named(f"g{n}"), on_gpu) for n in range(groups)]
    driver.offer(tasks)
    assert driver.start() is not None
    assert driver.start() is None  # and parks the others
    return _cycles_of_one(driver, groups - 1, cycles)


def all_but_one_capped(groups: int, cycles: int) -> Sample:
    """What the cycles of one group take, while every other is at its cap, and waits as long as another group wants the
    place.

    A cycle changes what is queued for that place, which is what all the others wait for: so this is the hard case.
    """
    return _cycles_of_one(gate_with_capped(groups - 1), groups - 1, cycles)


def gate_with_capped(groups: int) -> GateDriver:
    """A gate in which so many groups are at their caps, each with a task that waits."""
    driver = GateDriver(groups + 1024)
    specs = [TaskGroupSpec.named(f"g{n}", admitted_limit=1) for n in range(groups)]
    driver.offer([SchedulableTask(f"runs-{n}", None, spec) for n, spec in enumerate(specs)])
    while driver.start() is not None:
        pass
    driver.offer([SchedulableTask(f"waits-{n}", None, spec) for n, spec in enumerate(specs)])
    return driver


def gate_with_short_shapes(shapes: int) -> GateDriver:
    """A gate in which so many groups wait for a resource that is out, each for another amount of it."""
    driver = GateDriver(1024, {"gpu": shapes})
    held, *short = [
        SchedulableTask(f"gpu-{n}", None, TaskGroupSpec.named(f"g{n}"), SchedulerResourceRequest({"gpu": amount}))
        for n, amount in enumerate([shapes, *range(1, shapes + 1)])
    ]
    driver.offer([held])
    assert driver.start() is not None
    driver.offer(short)
    assert driver.start() is None
    return driver


def _cycles_of_one(driver: GateDriver, blocked: int, cycles: int) -> Sample:
    free = TaskGroupSpec.named("free")
    first = SchedulableTask("first", None, free)
    driver.offer([first])
    lease = driver.start()  # and what is to wait for it is parked
    assert lease is not None
    assert lease.item is first
    driver.release(lease)
    kept_back = sum(block.tasks for block in driver.blocked())
    assert kept_back == blocked, f"{kept_back} tasks are kept back, and not {blocked}"
    tasks = [SchedulableTask(f"free-{n}", None, free) for n in range(cycles)]
    started = start_clock()
    driver.offer(tasks)
    done = driver.cycles(cycles)
    return Sample(done, perf_counter() - started)


def _cycles(driver: GateDriver, most: int) -> Sample:
    started = start_clock()
    done = driver.cycles(most)
    took = perf_counter() - started
    assert done == most, f"{done} tasks were let through, and not {most}"
    return Sample(done, took)
