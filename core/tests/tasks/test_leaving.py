"""Who waits because of another task is asked when that one has left the queue."""

from __future__ import annotations

from typing import Any

import pytest

from penstock import (
    NEVER,
    Denied,
    FifoTaskQueue,
    ReadyQueue,
    SchedulableTask,
    Signal,
    TaskAdmissionConfig,
    TaskAdmissionController,
    Uncontested,
)
from penstock.testing import TaskBench, make_task
from penstock_model.list_queue import ListQueue


def gate_of(queue: ReadyQueue, rule: Any) -> TaskBench:
    return TaskBench(queue, TaskAdmissionController(TaskAdmissionConfig(4), rule=rule))


def test_who_waits_under_the_answer_of_another_is_asked_when_that_one_is_discarded() -> None:
    """A class waits for what the latest answer under it named; of the first one's own nothing is known any more."""
    shut = True

    def rule(task: SchedulableTask, *_: Any) -> Denied | None:
        return Denied("policy_denial", {Signal(task.task_id)}, "group", cohort="same", by="rule") if shut else None

    gate = gate_of(FifoTaskQueue(), rule)
    gate.enqueue([make_task("first", "a"), make_task("latest", "b")])
    assert gate.start_all() == []
    shut = False
    gate.discard("latest")
    assert gate.start_all() == ["first"]


@pytest.mark.parametrize("queue", [FifoTaskQueue, ListQueue])
def test_who_waits_because_of_one_that_is_refused_for_good_is_asked_again_at_once(queue: type[ReadyQueue]) -> None:
    def rule(task: SchedulableTask, _: Any, view: Any, now: float) -> Denied | None:
        if task.task_id == "doomed":
            return Denied("policy_denial", {NEVER}, by="rule")
        others = view.runnable_peers("submission", task.group.key)
        return Denied("policy_denial", {Uncontested("submission")}, by="rule") if others else None

    gate = gate_of(queue(), rule)
    gate.enqueue([make_task("polite", "a"), make_task("doomed", "b")])
    assert gate.start_all() == ["polite"]
    assert gate.queued == {}
