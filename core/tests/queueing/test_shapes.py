"""Many shapes: what items take may differ from each to the next."""

from __future__ import annotations

from penstock import FifoTaskQueue, TaskAdmissionConfig, TaskAdmissionController
from penstock.testing import TaskBench, make_task

SHAPES = 200


def test_tasks_of_many_shapes_are_served_whether_they_fit_when_they_come_or_later() -> None:
    limits = TaskAdmissionConfig(2 * SHAPES, {"gpu": SHAPES**2})
    gate = TaskBench(FifoTaskQueue(), TaskAdmissionController(limits))
    gate.enqueue([make_task("holds all", needs={"gpu": SHAPES**2})])
    assert gate.start_all() == ["holds all"]
    gate.enqueue([make_task(f"{gpus}", f"g{gpus}", {"gpu": gpus}) for gpus in range(1, SHAPES)])
    assert gate.start_all() == []
    gate.release(gate.out[0])
    assert gate.start_all() == [f"{gpus}" for gpus in range(1, SHAPES)]
