"""What is told of who waits at the task gate."""

from __future__ import annotations

from penstock import Denied, FifoTaskQueue, Signal, TaskAdmissionConfig, TaskAdmissionController, TaskGate
from penstock.tasks.standing import explain
from penstock.testing import make_task


def test_equal_refusals_are_one_that_is_in_force_since_the_first_of_them_was() -> None:
    shut = Denied("policy_denial", {Signal("open")})
    gate = TaskGate(
        FifoTaskQueue(),
        TaskAdmissionController(TaskAdmissionConfig(4, {}), rule=lambda task, queue, view, now: shut),
    )
    for moment in (0.0, 5.0):
        gate.offer([make_task(f"at {moment}")], moment)
        assert gate.next(moment) is None

    (group,) = explain(gate, 8.0, unfinished=2).groups

    assert group.waits_for == ("2 refused, policy_denial; for 8.0 s, until the signal 'open'",)
