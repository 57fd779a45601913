"""What a cycle of our task gate costs while much else is queued: all but one group blocked, or a million tasks."""

from __future__ import annotations

from time import perf_counter

from penstock import SchedulableTask, SchedulerResourceRequest, TaskGroupSpec
from penstock_bench.records import Sample
from penstock_bench.stopwatch import begin
from penstock_bench.task_gate import NOW, TaskGate, tasks_of
from penstock_bench.workloads import Workload

__all__ = ["all_but_one_capped", "all_but_one_without_room", "first_and_last"]


def first_and_last(workload: Workload, part: int) -> tuple[Sample, Sample]:
    """What the first `part` cycles take and what the last take, with all tasks enqueued at the beginning."""
    gate = TaskGate(workload.places)
    gate.queue.enqueue(tasks_of(workload), NOW)
    first = _cycles(gate, part)
    _cycles(gate, workload.total - 2 * part)
    return first, _cycles(gate, part)


def all_but_one_without_room(groups: int, cycles: int) -> Sample:
    """Every group but one waits for a resource that is out; what the cycles of that one take."""
    gate = TaskGate(1024, {"gpu": 1})
    on_gpu = SchedulerResourceRequest({"gpu": 1})
    tasks = [SchedulableTask(f"gpu-{n}", None, TaskGroupSpec.named(f"g{n}"), on_gpu) for n in range(groups)]
    gate.queue.enqueue(tasks, NOW)
    assert gate.start() is not None
    assert gate.start() is None  # and parks the others
    return _cycles_of_one(gate, groups - 1, cycles)


def all_but_one_capped(groups: int, cycles: int) -> Sample:
    """Every group but one is at its cap, and waits as long as a peer wants the place; what the cycles of that one take.

    A cycle changes what is queued for that place, which is what all the others wait for: so this is the hard case.
    """
    gate = TaskGate(groups + 1024)
    specs = [TaskGroupSpec.named(f"g{n}", admitted_limit=1) for n in range(groups - 1)]
    gate.queue.enqueue([SchedulableTask(f"runs-{n}", None, spec) for n, spec in enumerate(specs)], NOW)
    while gate.start() is not None:
        pass
    gate.queue.enqueue([SchedulableTask(f"waits-{n}", None, spec) for n, spec in enumerate(specs)], NOW)
    return _cycles_of_one(gate, groups - 1, cycles)


def _cycles_of_one(gate: TaskGate, blocked: int, cycles: int) -> Sample:
    free = TaskGroupSpec.named("free")
    first = SchedulableTask("first", None, free)
    gate.queue.enqueue([first], NOW)
    selection = gate.queue.select_next(gate.is_eligible, NOW)  # parks what stands before it and is to wait for it
    assert selection is not None
    assert selection.item is first
    kept_back = sum(block.tasks for block in gate.queue.blocked())
    assert kept_back == blocked, f"{kept_back} tasks are kept back, and not {blocked}"
    tasks = [SchedulableTask(f"free-{n}", None, free) for n in range(cycles)]
    started = begin()
    gate.queue.enqueue(tasks, NOW)
    done = gate.cycles(cycles)
    return Sample(done, perf_counter() - started)


def _cycles(gate: TaskGate, most: int) -> Sample:
    started = begin()
    done = gate.cycles(most)
    took = perf_counter() - started
    assert done == most, f"{done} tasks were let through, and not {most}"
    return Sample(done, took)
