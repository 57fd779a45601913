"""The contract suite of task policies: what every one must do, as tests. For plugin authors and for our own policies
alike.

Make a subclass in a test file, give it the factory, and pytest runs the suite:

    class TestMyPolicy(TaskPolicyContract):
        def make_policy(self):
            return MyPolicy()

A policy that may leave a place empty says so by `work_conserving = False`, and one that refuses until a moment comes by
`time_based = True` (`GateSuite`). Plain asserts: no test framework is imported.
"""

from __future__ import annotations

from penstock.tasks.admission import TaskAdmissionConfig, TaskAdmissionController
from penstock.tasks.decision import TaskAdmissionPolicyDecision
from penstock.tasks.lease import TaskAdmissionDenied
from penstock.tasks.policy import TaskAdmissionPolicy
from penstock.tasks.queue import FifoTaskQueue
from penstock.testing.contracts.gate_suite import GROUPS, GateSuite, raised
from penstock.testing.task_bench import TaskBench
from penstock.testing.task_making import make_task
from penstock.words.verdicts import TASK_REASONS, check_denied

__all__ = ["TaskPolicyContract"]


class TaskPolicyContract(GateSuite):
    """The suite of one task policy. Subclass it and give it `make_policy`."""

    def make_policy(self) -> TaskAdmissionPolicy:
        """A policy that has seen nothing yet."""
        raise NotImplementedError("make_policy: a fresh policy")

    def make_controller(self, config: TaskAdmissionConfig) -> TaskAdmissionController:
        return TaskAdmissionController(config, [("it", self.make_policy())], on_failure=raised)

    def test_evaluating_is_pure_and_answers_by_the_rules(self) -> None:
        policy = self.make_policy()
        controller = TaskAdmissionController(TaskAdmissionConfig(4, {"gpu": 2}))
        gate = TaskBench(FifoTaskQueue(), controller, self.begins_at)
        gate.enqueue([make_task("a1", GROUPS[1]), make_task("a2", GROUPS[1]), make_task("b", GROUPS[0])])
        assert gate.start_one() is not None
        controller.reconfigure([("it", policy)], None)
        view, admission = gate.queue.view(), gate.controller.view()
        before = (view.snapshot(), admission.snapshot())
        for task in gate.queued.values():
            answers = [policy.evaluate(task, view, admission, gate.now) for _ in range(3)]
            assert all(isinstance(answer, TaskAdmissionPolicyDecision) for answer in answers)
            assert len({str(answer.denied) for answer in answers}) == 1
            if answers[0].denied is not None:
                check_denied(answers[0].denied, by="it", now=gate.now, reasons=TASK_REASONS)
        assert (view.snapshot(), admission.snapshot()) == before

    def test_when_all_have_ended_no_debt_is_left(self) -> None:
        for seed in range(20):
            gate = self.random_run(seed)
            self.end_all(gate)
            assert not gate.controller.view().policy_debt_by_group_resource
            gate.controller.check_invariants()

    def test_a_policy_gets_the_releases_of_leases_it_did_not_decide_about(self) -> None:
        policy = self.make_policy()
        controller = TaskAdmissionController(TaskAdmissionConfig(4, {"gpu": 2}))
        gate = TaskBench(FifoTaskQueue(), controller, self.begins_at)
        gate.enqueue([make_task("a", GROUPS[1]), make_task("b", GROUPS[1])])
        assert gate.start_all() == ["a", "b"]
        controller.reconfigure([("it", policy)], None)
        for lease in tuple(gate.out):
            assert gate.release(lease).released
        gate.enqueue([make_task("c", GROUPS[1])])
        assert self.start_in_time(gate) == ["c"]
        assert not isinstance(gate.controller.view().snapshot(), TaskAdmissionDenied)
