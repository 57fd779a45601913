"""The task gate, driven as the dispatch loop drives it: fair queue, admission, strict-fair and a rule that
does nothing.

Everything is loaded as a run loads it: plugins by their entry points, hooks compiled. The protocol of one cycle
(select, acquire, commit, wake; later release, wake) is here and nowhere else in the benches.
"""

from __future__ import annotations

from random import Random
from typing import Final

from penstock import (
    Denied,
    PenstockConfig,
    PluginManager,
    QueueView,
    SchedulableTask,
    TaskAdmissionConfig,
    TaskAdmissionController,
    TaskAdmissionLease,
    TaskGroupSpec,
    hookimpl,
    load_config,
)
from penstock_bench.dispatch.workloads import Workload

__all__ = ["NOW", "GateDriver", "NoOpinion", "driver_of", "tasks_of"]

NOW: Final = 0.0
"""A round of the dispatch loop takes the time once; nothing that is measured here waits for a moment."""

EVERYTHING: Final = 1 << 62


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
    driver.queue.enqueue(tasks_of(workload), NOW)
    return driver


class GateDriver:
    """Queue and admission as plugins make them, for so many `places` and further `resources`."""

    def __init__(self, places: int, resources: dict[str, int] | None = None) -> None:
        limits = {"submission_capacity": places, "resources": resources or {}}
        config: PenstockConfig = load_config(
            {"scheduler": limits, "plugins": {"ready_queue": "fair", "task_policies": ["strict-fair"]}}
        ).config
        hooks = PluginManager.from_config(config, extra=[NoOpinion()]).freeze()
        queue = hooks.make_ready_queue()
        assert queue is not None
        self.queue = queue
        self.admission = TaskAdmissionController(
            TaskAdmissionConfig(places, resources or {}), hooks.make_task_policies(), hooks.task_eligible
        )
        self._view = queue.view()
        self.admission.attach(self._view)
        self._held: list[TaskAdmissionLease] = []
        self._kept: list[TaskAdmissionLease] = []
        self._choose = Random(0).random

    def next_task(self) -> SchedulableTask | None:
        """The task that would start next. What stands before it and may not start is parked by that."""
        selection = self.queue.select_next(self._is_eligible, NOW)
        return None if selection is None else selection.item

    def start(self) -> TaskAdmissionLease | None:
        """The lease of the next task, which is let through; `None` if no task may start."""
        selection = self.queue.select_next(self._is_eligible, NOW)
        if selection is None:
            return None
        lease = self.admission.try_acquire(selection.item, self._view, NOW)
        assert lease.__class__ is TaskAdmissionLease, f"{selection.item.task_id} was selected and then refused"
        self.queue.commit(selection, NOW)
        if self.admission.turned:
            for condition in self.admission.take_turned():
                self.queue.wake(condition, EVERYTHING, NOW)
        return lease

    def release(self, lease: TaskAdmissionLease) -> None:
        """Take a lease back, and wake who waited for it."""
        for condition, amount in self.admission.release(lease, NOW).freed:
            self.queue.wake(condition, amount, NOW)

    def cycles(self, most: int) -> int:
        """How many tasks were started, at most so many, each released at once."""
        start, release = self.start, self.release
        for done in range(most):
            lease = start()
            if lease is None:
                return done
            release(lease)
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

    def _is_eligible(self, task: SchedulableTask, view: QueueView) -> Denied | None:
        denied = self.admission.is_eligible(task, view, NOW)
        assert denied is None or not denied.final, f"{task.task_id} is refused for good: {denied}"
        return denied
