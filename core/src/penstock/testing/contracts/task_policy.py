"""The contract suite of task policies: what every one must do, as tests. For plugin authors and for our own policies
alike.

Make a subclass in a test file, give it the factory, and pytest runs the suite:

    class TestMyPolicy(TaskPolicyContract):
        def make_policy(self):
            return MyPolicy()

Plain asserts: no test framework is imported.
"""

from __future__ import annotations

from collections.abc import Sequence
from random import Random

from penstock.tasks.admission import TaskAdmissionConfig, TaskAdmissionController
from penstock.tasks.decision import TaskAdmissionPolicyDecision
from penstock.tasks.lease import TaskAdmissionDenied
from penstock.tasks.policy import TaskAdmissionPolicy
from penstock.tasks.queue import FifoTaskQueue
from penstock.tasks.records import SchedulableTask, TaskGroupSpec
from penstock.testing.task_bench import TaskBench
from penstock.testing.task_making import make_task
from penstock.words.verdicts import TASK_REASONS, check_denied

__all__ = ["TaskPolicyContract"]

SHAPES: Sequence[dict[str, int]] = (
    {}, {}, {"gpu": 1}, {"gpu": 2}, {"disk": 1}, {"gpu": 1, "disk": 1}, {"submission": 2},
)  # fmt: skip
GROUPS = (
    TaskGroupSpec.named("free"),
    TaskGroupSpec.named("one", 1.0, 1),
    TaskGroupSpec.named("two", 2.0, 2),
    TaskGroupSpec.named("light", 0.25, 1),
)


class TaskPolicyContract:
    """The suite of one task policy. Subclass it and give it `make_policy`."""

    def make_policy(self) -> TaskAdmissionPolicy:
        """A policy that has seen nothing yet."""
        raise NotImplementedError("make_policy: a fresh policy")

    def make_gate(self) -> TaskBench:
        """A gate with four of `submission`, two `gpu` and one `disk`, under the policy."""
        config = TaskAdmissionConfig(4, {"gpu": 2, "disk": 1})
        return TaskBench(FifoTaskQueue(), TaskAdmissionController(config, [("it", self.make_policy())]))

    def fits(self, gate: TaskBench, task: SchedulableTask) -> bool:
        """Whether there is room for the task that is not reserved for another."""
        return gate.controller.view().has_room(task.resource_request)

    def test_a_task_alone_is_admitted(self) -> None:
        for shape in SHAPES:
            for group in GROUPS:
                gate = self.make_gate()
                gate.enqueue([make_task("a", group, shape)])
                assert gate.start_all() == ["a"]

    def test_evaluating_is_pure_and_answers_by_the_rules(self) -> None:
        policy = self.make_policy()
        gate = TaskBench(FifoTaskQueue(), TaskAdmissionController(TaskAdmissionConfig(4, {"gpu": 2}), [("it", policy)]))
        gate.enqueue([make_task("a1", GROUPS[1]), make_task("a2", GROUPS[1]), make_task("b", GROUPS[0])])
        assert gate.start_one() is not None
        view, admission = gate.queue.view(), gate.controller.view()
        before = (view.snapshot(), admission.snapshot())
        for task in gate.queued.values():
            answers = [policy.evaluate(task, view, admission, 0.0) for _ in range(3)]
            assert all(isinstance(answer, TaskAdmissionPolicyDecision) for answer in answers)
            assert len({str(answer.denied) for answer in answers}) == 1
            if answers[0].denied is not None:
                check_denied(answers[0].denied, by="it", now=0.0, reasons=TASK_REASONS)
        assert (view.snapshot(), admission.snapshot()) == before

    def test_no_place_stays_empty_that_a_queued_task_could_take(self) -> None:
        """Caps and debt do not hold where no contender could run: so at rest nothing that fits is left."""
        for seed in range(60):
            self.random_run(seed)

    def test_when_all_have_ended_no_debt_is_left(self) -> None:
        for seed in range(20):
            gate = self.random_run(seed)
            while gate.queued or gate.out:
                gate.start_all()
                if gate.out:
                    gate.release(gate.out[0])
            assert not gate.controller.view().policy_debt_by_group_resource
            gate.controller.check_invariants()

    def random_run(self, seed: int) -> TaskBench:
        """A gate after a random history of arrivals, starts, releases and discards, all checked against the rules."""
        rng = Random(seed)
        gate = self.make_gate()
        numbered = 0
        for _ in range(60):
            step = rng.random()
            if step < 0.45:
                numbered += 1
                gate.enqueue([make_task(f"{numbered}", rng.choice(GROUPS), rng.choice(SHAPES))])
            elif step < 0.6 and gate.out:
                gate.release(rng.choice(gate.out))
            elif step < 0.65 and gate.queued:
                gate.discard(rng.choice(list(gate.queued)))
            else:
                self.start_and_check(gate)
            gate.controller.check_invariants()
        return gate

    def start_and_check(self, gate: TaskBench) -> None:
        """Start the tasks that may, and check the rest against what the policy promises."""
        while True:
            waiting = list(gate.queued.values())
            running = {group.key: gate.controller.view().running(group.key) for group in GROUPS}
            fitting = [task for task in waiting if self.fits(gate, task)]
            lease = gate.start_one()
            if lease is None:
                fitting = [task for task in fitting if self.fits(gate, task)]  # beside what was reserved just now
                assert not fitting, f"{[t.task_id for t in fitting]} would fit, and none was started"
                return
            view = gate.controller.view()
            room = {r: view.resources_available[r] + lease.resources.get(r, 0) for r in view.resource_limits}
            fitting = [  # also beside what was reserved just now
                task
                for task in fitting
                if all(room[r] >= amount + view.reserved.get(r, 0) for r, amount in task.resource_request.shape)
            ]
            self.check_start(
                lease.item,
                fitting,
                {group.key.identity[1]: n for group, n in zip(GROUPS, running.values(), strict=True)},
            )

    def check_start(self, task: SchedulableTask, fitting: list[SchedulableTask], running: dict[str, int]) -> None:
        """A hook for the promises of one policy: `task` was started, when these fitted and so many of each
        group ran.
        """

    def test_a_policy_gets_the_releases_of_leases_it_did_not_decide_about(self) -> None:
        policy = self.make_policy()
        controller = TaskAdmissionController(TaskAdmissionConfig(4, {"gpu": 2}))
        gate = TaskBench(FifoTaskQueue(), controller)
        gate.enqueue([make_task("a", GROUPS[1]), make_task("b", GROUPS[1])])
        assert gate.start_all() == ["a", "b"]
        controller.reconfigure([("it", policy)], None)
        for lease in tuple(gate.out):
            assert gate.release(lease).released
        gate.enqueue([make_task("c", GROUPS[1])])
        assert gate.start_all() == ["c"]
        assert not isinstance(gate.controller.view().snapshot(), TaskAdmissionDenied)
