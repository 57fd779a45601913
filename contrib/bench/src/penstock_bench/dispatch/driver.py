"""The task gate, driven as the dispatch loop drives it: fair queue, strict-fair and a rule that does nothing.

Everything is loaded as a run loads it: plugins by their entry points, hooks compiled.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from random import Random
from typing import Final

from penstock import (
    Blocked,
    Denied,
    PenstockConfig,
    PluginManager,
    SchedulableTask,
    TaskAdmissionConfig,
    TaskAdmissionController,
    TaskAdmissionLease,
    TaskGroupSpec,
    hookimpl,
    load_config,
)
from penstock.testing import TaskBench
from penstock_bench.dispatch.workloads import Workload

__all__ = ["NOW", "GateDriver", "NoOpinion", "driver_of", "tasks_of"]

NOW: Final = 0.0
"""A round of the dispatch loop takes the time once; nothing that is measured here waits for a moment."""


class NoOpinion:
    """A rule that is asked about every task, and has no opinion."""

    @hookimpl
    def penstock_task_eligible(self, task: SchedulableTask, now: float) -> Denied | None:
        return None


def tasks_of(workload: Workload) -> list[SchedulableTask]:
    """The tasks of a workload, in the order of arrival."""
    groups = [TaskGroupSpec.named(kind.name, kind.weight, kind.admitted_limit) for kind in workload.groups]
    return [SchedulableTask(task_id, None, groups[at]) for at, task_id in workload.arrivals()]


def driver_of(workload: Workload) -> GateDriver:
    """A gate with the places of a workload, in whose queue all of its tasks are."""
    driver = GateDriver(workload.places)
    driver.offer(tasks_of(workload))
    return driver


class GateDriver:
    """The gate as plugins make it, for so many `places` and further `resources`."""

    def __init__(self, places: int, resources: dict[str, int] | None = None) -> None:
        limits = {"submission_capacity": places, "resources": resources or {}}
        config: PenstockConfig = load_config(
            {"scheduler": limits, "plugins": {"ready_queue": "fair", "task_policies": ["strict-fair"]}}
        ).config
        hooks = PluginManager.from_config(config, extra=[NoOpinion()]).freeze()
        queue = hooks.make_ready_queue()
        assert queue is not None
        controller = TaskAdmissionController(
            TaskAdmissionConfig(places, resources or {}), hooks.make_task_policies(), hooks.task_eligible
        )
        self._gate = TaskBench(queue, controller).gate
        self._held: list[TaskAdmissionLease] = []
        self._kept: list[TaskAdmissionLease] = []
        self._choose = Random(0).random

    def offer(self, tasks: Sequence[SchedulableTask]) -> None:
        """Queue these tasks."""
        self._gate.offer(tasks, NOW)

    def start(self) -> TaskAdmissionLease | None:
        """The lease of the next task, which is let through; `None` if no task may start."""
        return self._gate.next(NOW)

    def release(self, lease: TaskAdmissionLease) -> None:
        """Take a lease back."""
        self._gate.finish(lease, NOW)

    def blocked(self) -> Iterator[Blocked]:
        """What keeps tasks back, with how many."""
        return self._gate.blocked()

    def cycles(self, most: int) -> int:
        """How many tasks were started, at most so many, each released at once."""
        start, release = self._gate.next, self._gate.finish
        for done in range(most):
            lease = start(NOW)
            if lease is None:
                return done
            release(lease, NOW)
        return most

    def cycles_with_held(self, most: int, held: int, keeping: bool = False) -> int:
        """The same with so many leases held: before a task starts, one of them at random comes back.

        `keeping`: not one of a group with a limit, while there are others.
        """
        out, kept, choose = self._held, self._kept, self._choose
        done, full = 0, False
        while done < most:
            if full or len(out) + len(kept) == held:
                back = out or kept
                if not back:  # nothing is held, and still nothing may start
                    break
                at = int(choose() * len(back))
                back[at], back[-1] = back[-1], back[at]
                self.release(back.pop())
            lease = self.start()
            full = lease is None
            if lease is None:  # everybody is at a limit
                continue
            (kept if keeping and lease.item.group.admitted_limit else out).append(lease)
            done += 1
        return done

    def release_held(self) -> None:
        """All leases that are held come back."""
        for held in (self._held, self._kept):
            while held:
                self.release(held.pop())
