"""Our task gate, driven as the dispatch loop drives it: fair queue, admission, strict-fair and a rule that
does nothing.

Everything is loaded as a run loads it: plugins by their entry points, hooks compiled. What is timed is all
that a task costs between being enqueued and the wake-ups of its release.
"""

from __future__ import annotations

from random import Random
from time import perf_counter
from typing import Final

from penstock import (
    Denied,
    PenstockConfig,
    PluginManager,
    QueueView,
    SchedulableTask,
    TaskAdmissionConfig,
    TaskAdmissionController,
    TaskAdmissionDenied,
    TaskAdmissionLease,
    TaskGroupSpec,
    hookimpl,
    load_config,
)
from penstock_bench.records import Sample
from penstock_bench.stopwatch import begin
from penstock_bench.workloads import Workload

__all__ = ["NOW", "NoOpinion", "TaskGate", "tasks_of", "whole"]

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


class TaskGate:
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

    def is_eligible(self, task: SchedulableTask, view: QueueView) -> Denied | None:
        """As the dispatch loop asks."""
        denied = self.admission.is_eligible(task, view, NOW)
        assert denied is None or not denied.final, f"{task.task_id} is refused for good: {denied}"
        return denied

    def start(self) -> TaskAdmissionLease | None:
        """Let the next task through; `None` if no task may start."""
        selection = self.queue.select_next(self.is_eligible, NOW)
        if selection is None:
            return None
        lease = self.admission.try_acquire(selection.item, self._view, NOW)
        assert not isinstance(lease, TaskAdmissionDenied), f"{selection.item.task_id} was selected and then refused"
        task = self.queue.commit(selection, NOW)
        assert task is not None, "a selection was stale"
        for condition in self.admission.take_turned():
            self.queue.wake(condition, EVERYTHING, NOW)
        return lease

    def release(self, lease: TaskAdmissionLease) -> None:
        """Take a lease back, and wake who waited for it."""
        for condition, amount in self.admission.release(lease, NOW).freed:
            self.queue.wake(condition, amount, NOW)

    def cycles(self, most: int) -> int:
        """Start tasks and release each at once, at most so many; how many there were."""
        queue, admission, view, is_eligible = self.queue, self.admission, self._view, self.is_eligible
        done = 0
        while done < most:  # `start` and `release`, written out: their calls are no part of what is measured
            selection = queue.select_next(is_eligible, NOW)
            if selection is None:
                break
            lease = admission.try_acquire(selection.item, view, NOW)
            assert lease.__class__ is TaskAdmissionLease
            queue.commit(selection, NOW)
            if admission.turned:
                for turned in admission.take_turned():
                    queue.wake(turned, EVERYTHING, NOW)
            for condition, amount in admission.release(lease, NOW).freed:
                queue.wake(condition, amount, NOW)
            done += 1
        return done

    def cycles_with_held(self, most: int, held: int, keeping: bool = False) -> int:
        """The same with so many leases held: before a task starts, one of them at random comes back.

        `keeping`: not one of a group with a limit, while there are others.
        """
        queue, admission, view, is_eligible = self.queue, self.admission, self._view, self.is_eligible
        out, kept, choose = self._held, self._kept, self._choose
        done, full = 0, False
        while done < most and not queue.is_empty():
            if full or len(out) + len(kept) == held:
                back = out or kept
                at = int(choose() * len(back))
                back[at], back[-1] = back[-1], back[at]
                for freed, amount in admission.release(back.pop(), NOW).freed:
                    queue.wake(freed, amount, NOW)
            selection = queue.select_next(is_eligible, NOW)
            full = selection is None
            if selection is None:  # everybody is at a limit
                continue
            lease = admission.try_acquire(selection.item, view, NOW)
            assert lease.__class__ is TaskAdmissionLease
            queue.commit(selection, NOW)
            if admission.turned:
                for turned in admission.take_turned():
                    queue.wake(turned, EVERYTHING, NOW)
            (kept if keeping and lease.item.group.admitted_limit else out).append(lease)
            done += 1
        return done

    def release_held(self) -> None:
        """All leases that are held come back."""
        for held in (self._held, self._kept):
            while held:
                self.release(held.pop())


def whole(workload: Workload, mark: int | None = None) -> Sample:
    """Enqueue all tasks of a workload and let each through; a unit is one task.

    What the tasks up to the mark took is their cycles and their share of enqueueing all.
    """
    gate = TaskGate(workload.places)
    tasks = tasks_of(workload)
    held = workload.held
    keeping = any(kind.keeps for kind in workload.groups)
    at_mark: float | None = None
    started = begin()
    gate.queue.enqueue(tasks, NOW)
    enqueued = perf_counter()
    done = 0
    for most in (mark or 0, workload.total):
        done += gate.cycles_with_held(most - done, held, keeping) if held else gate.cycles(most - done)
        if mark and at_mark is None:
            at_mark = (enqueued - started) * done / workload.total + perf_counter() - enqueued
    gate.release_held()
    took = perf_counter() - started
    assert done == workload.total, f"{done} of {workload.total} tasks were let through"
    return Sample(done, took, amount_at_mark=at_mark)
