"""What the contract suites of policies and rules share: a task gate under what is tested, and random histories of it.

The qualities that it has are said by the suite of it, as class attributes: what it promises beyond the contract is then
tested too, and an honest one that promises less is not found wanting.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from random import Random

from penstock.tasks.admission import TaskAdmissionConfig, TaskAdmissionController
from penstock.tasks.queue import FifoTaskQueue
from penstock.tasks.records import SchedulableTask, TaskGroupSpec
from penstock.testing.contracts.steps import bounded, lines_run
from penstock.testing.task_bench import TaskBench
from penstock.testing.task_making import make_task

__all__ = ["GROUPS", "SHAPES", "GateSuite", "raised"]

SHAPES: Sequence[dict[str, int]] = (
    {}, {}, {"gpu": 1}, {"gpu": 2}, {"disk": 1}, {"gpu": 1, "disk": 1}, {"submission": 2},
)  # fmt: skip
GROUPS = (
    TaskGroupSpec.named("free"),
    TaskGroupSpec.named("one", 1.0, 1),
    TaskGroupSpec.named("two", 2.0, 2),
    TaskGroupSpec.named("light", 0.25, 1),
)


def raised(plugin: str, hook: str, error: BaseException, asked: object = None, /) -> None:
    """Fail by what was raised: it would be refused for it, and the run would go on."""
    raise error


class GateSuite:
    """The common part of a suite.

    `work_conserving`  at rest no place stays empty that a queued task could take
    `time_based`       it may refuse until a moment comes, also while nothing is out
    `begins_at`        the moment of the run's clock at which the histories begin
    `moments`          how many moments may come before a task that is alone has started; beyond that it sleeps for ever
    """

    work_conserving = True
    time_based = False
    begins_at = 0.0
    moments = 1000

    def make_controller(self, config: TaskAdmissionConfig) -> TaskAdmissionController:
        """A controller under what is tested, which has seen nothing yet."""
        raise NotImplementedError

    def make_gate(self) -> TaskBench:
        """A gate with four of `submission`, two `gpu` and one `disk`, under what is tested."""
        config = TaskAdmissionConfig(4, {"gpu": 2, "disk": 1})
        return TaskBench(FifoTaskQueue(), self.make_controller(config), self.begins_at)

    def fits(self, gate: TaskBench, task: SchedulableTask) -> bool:
        """Whether there is room for the task that is not reserved for another."""
        return gate.controller.view().has_room(task.resource_request)

    def random_run(self, seed: int) -> TaskBench:
        """A gate after random arrivals, starts, releases and discards, and time; all checked against the rules."""
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
            if self.time_based and rng.random() < 0.3:
                gate.now += rng.choice((0.1, 1.0, 60.0, 3600.0))
            gate.controller.check_invariants()
        return gate

    def start_and_check(self, gate: TaskBench) -> None:
        """Start the tasks that may, and check the rest against what is promised."""
        while True:
            waiting = list(gate.queued.values())
            running = {group.key: gate.controller.view().running(group.key) for group in GROUPS}
            fitting = [task for task in waiting if self.fits(gate, task)]
            lease = gate.start_one()
            if lease is None:
                self.check_rest(gate, [task for task in fitting if self.fits(gate, task)])
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

    def check_rest(self, gate: TaskBench, fitting: Sequence[SchedulableTask]) -> None:
        """Check a gate at which nothing starts any more, with the queued tasks for which there is room."""
        names = [task.task_id for task in fitting]
        assert not (fitting and self.work_conserving), f"{names} would fit, and none was started"
        view = gate.queue.view()
        asleep = [task.task_id for task in fitting if gate.controller.is_eligible(task, view, gate.now) is None]
        assert not asleep, (
            f"{asleep} would be let go at {gate.now}, and sleep: they were refused until something else than what came"
        )

    def check_start(self, task: SchedulableTask, fitting: list[SchedulableTask], running: dict[str, int]) -> None:
        """A hook for promises of one's own: `task` was started, when these fitted and so many of each group ran."""

    def start_in_time(self, gate: TaskBench) -> list[str]:
        """The ids of the tasks that start, at the moments that are named if nothing is out."""
        started = gate.start_all()
        for _ in range(self.moments if self.time_based else 0):
            moment = gate.gate.next_change(gate.now)
            if gate.out or not gate.queued or moment is None:
                return started
            gate.now = max(gate.now, moment)
            started += gate.start_all()
        assert gate.out or not gate.queued or not self.time_based, (
            f"{sorted(gate.queued)} did not start within {self.moments} moments that were named, and nothing is out"
        )
        return started

    def end_all(self, gate: TaskBench) -> None:
        """Let all tasks run and end. Fails if some never start."""
        while gate.queued or gate.out:
            self.start_in_time(gate)
            assert gate.out, f"{sorted(gate.queued)} are left, nothing is out, and no moment is named when they start"
            gate.release(gate.out[0])

    # -- what all of them must do

    def test_a_task_alone_is_admitted(self) -> None:
        for shape in SHAPES:
            for group in GROUPS:
                gate = self.make_gate()
                gate.enqueue([make_task("a", group, shape)])
                assert self.start_in_time(gate) == ["a"]

    def test_nobody_sleeps_who_would_be_let_go(self) -> None:
        """Whoever is refused sleeps until what the refusal names; so an answer may change only when that comes true. At
        rest therefore nothing is left that would be let go, and nothing that fits where no place may stay empty.
        """
        for seed in range(60):
            self.random_run(seed)

    def test_the_cost_of_an_answer_does_not_grow_with_the_queue(self) -> None:
        costs = []
        for count in (16, 1024):
            gate = self.make_gate()
            gate.enqueue([make_task(f"{n}", GROUPS[n % 4], SHAPES[n % len(SHAPES)]) for n in range(count)])
            task, view = next(iter(gate.queued.values())), gate.queue.view()
            costs.append(lines_run(partial(gate.controller.is_eligible, task, view, gate.now)))
        assert bounded(*costs), f"an answer took {costs[0]} lines of Python beside 16 tasks, and {costs[1]} beside 1024"

    def test_whatever_happened_all_tasks_run(self) -> None:
        for seed in range(20):
            self.end_all(self.random_run(seed))
