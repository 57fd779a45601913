"""The competitor's ready queue and task admission, driven as its scheduler drives them."""

from __future__ import annotations

from collections.abc import Callable
from random import Random
from typing import Any

from data_designer.engine.dataset_builders.scheduling.queue import FairTaskQueue
from data_designer.engine.dataset_builders.scheduling.resources import (
    SchedulableTask,
    SchedulerResourceRequest,
    TaskGroupKey,
    TaskGroupSpec,
)
from data_designer.engine.dataset_builders.scheduling.task_admission import TaskAdmissionConfig, TaskAdmissionController
from data_designer.engine.dataset_builders.scheduling.task_model import Task
from data_designer.engine.dataset_builders.scheduling.task_policies import StrictFairTaskAdmissionPolicy

from penstock_bench.competitor_side.progress import Progress
from penstock_bench.dispatch import workloads
from penstock_bench.dispatch.workloads import Workload

__all__ = ["dispatch"]


def dispatch(progress: Progress, *, workload: str, groups: int, tasks: int) -> None:
    """Enqueue all tasks, and let every one through the gate. A unit is one task's cycle."""
    makes: dict[str, Callable[[int, int], Workload]] = {
        "all_fits": workloads.all_fits, "window": workloads.window, "turning": workloads.turning,
    }  # fmt: skip
    make = makes[workload]
    plan = make(groups, tasks)
    items = _items(plan)
    queue = FairTaskQueue()
    admission = TaskAdmissionController(
        TaskAdmissionConfig(submission_capacity=plan.places), StrictFairTaskAdmissionPolicy()
    )
    progress.begin()
    queue.enqueue(items)
    progress.enqueued(len(items))
    if plan.held:
        kept = {kind.name for kind in plan.groups if kind.keeps}
        _with_leases_held(progress, queue, admission, plan.held, kept)
    else:
        _released_at_once(progress, queue, admission)


def _items(plan: Workload) -> list[Any]:
    specs = [
        TaskGroupSpec(TaskGroupKey("local", ("local", kind.name)), kind.weight, kind.admitted_limit)
        for kind in plan.groups
    ]
    request = SchedulerResourceRequest({"submission": 1})
    payload = Task(column="c", row_group=0, row_index=0, task_type="cell")
    return [SchedulableTask(task_id, payload, specs[at], request) for at, task_id in plan.arrivals()]


def _start(queue: Any, admission: Any) -> Any:
    """The lease of the next task, which is let through; `None` if everybody is at a limit."""
    selection = queue.select_next(admission.is_eligible)
    if selection is None:
        return None
    lease = admission.try_acquire(selection.item, selection.queue_view)
    queue.commit(selection)
    return lease


def _released_at_once(progress: Progress, queue: Any, admission: Any) -> None:
    while queue.has_queued_tasks:
        admission.release(_start(queue, admission))
        progress.units += 1


def _with_leases_held(progress: Progress, queue: Any, admission: Any, held: int, kept: set[str]) -> None:
    choose = Random(0).random
    leases: list[Any] = []
    kept_leases: list[Any] = []
    while queue.has_queued_tasks:
        if len(leases) + len(kept_leases) == held:
            _release_one(leases or kept_leases, admission, choose)
        lease = _start(queue, admission)
        if lease is None:
            _release_one(leases or kept_leases, admission, choose)
            continue
        keeps = lease.item.group.key.identity[1] in kept
        (kept_leases if keeps else leases).append(lease)
        progress.units += 1
    for lease in (*leases, *kept_leases):
        admission.release(lease)


def _release_one(leases: list[Any], admission: Any, choose: Callable[[], float]) -> None:
    at = int(choose() * len(leases))
    leases[at], leases[-1] = leases[-1], leases[at]
    admission.release(leases.pop())
