"""The policy `sequential` against a naive model, a list of who waits: under any queue, with rules that come and go."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from random import Random

import pytest

from penstock import (
    Denied,
    FifoTaskQueue,
    QueueView,
    ReadyQueue,
    SchedulableTask,
    SchedulerResourceRequest,
    Signal,
    TaskAdmissionConfig,
    TaskAdmissionController,
    TaskAdmissionLease,
    TaskAdmissionPolicy,
    TaskAdmissionView,
    TaskGate,
    TaskGroupSpec,
)
from penstock_bounded_borrow import BoundedBorrowPolicy
from penstock_fairqueue import FairTaskQueue
from penstock_model.list_queue import ListQueue
from penstock_sequential import SequentialPolicy
from penstock_strict_fair import StrictFairPolicy

pytestmark = pytest.mark.no_cover

ONE_AT_A_TIME = ("gpu", "tape")
LIMITS = {"gpu": 1, "tape": 3, "cpu": 4}
"""More than one of `tape`: the policy holds by itself, also where nobody has looked at the limits."""

PLACES = 6
SHAPES: list[dict[str, int]] = [
    {},
    {"gpu": 1},
    {"tape": 1},
    {"tape": 2},
    {"gpu": 1, "tape": 1},
    {"gpu": 1, "cpu": 3},
    {"cpu": 2},
]
GROUPS = [
    TaskGroupSpec.named(name, weight, limit) for name, weight, limit in [("a", 1, None), ("b", 4, 2), ("c", 0.5, 1)]
]

QUEUES: dict[str, Callable[[], ReadyQueue]] = {
    "fifo": FifoTaskQueue,
    "fair": lambda: FairTaskQueue({"submission": PLACES, **LIMITS}),
    "a list": ListQueue,
}
OTHERS: dict[str, Callable[[], list[tuple[str, TaskAdmissionPolicy]]]] = {
    "alone": list,
    "strict-fair": lambda: [("strict-fair", StrictFairPolicy())],
    "bounded-borrow": lambda: [("bounded-borrow", BoundedBorrowPolicy())],
}


class Run:
    """A task gate with the policy, and beside it what a child would write down: who waits, in order, and who holds."""

    def __init__(self, queue: str, seed: int, others: str = "alone") -> None:
        self.rng = Random(seed)
        policies = [*OTHERS[others](), ("sequential", SequentialPolicy(ONE_AT_A_TIME))]
        self.controller = TaskAdmissionController(TaskAdmissionConfig(PLACES, LIMITS), policies, self._rule)
        self.gate = TaskGate(QUEUES[queue](), self.controller)
        self.exact = others == "alone"
        self.now = 0.0
        self.waiting: list[SchedulableTask] = []
        self.out: list[TaskAdmissionLease] = []
        self.shut: dict[str, str] = {}
        """What the other rule refuses, a group or a task, and how far it says that this goes."""
        self.admitted = self.made = 0

    def _rule(self, task: SchedulableTask, _: QueueView, __: TaskAdmissionView, ___: float) -> Denied | None:
        for name in (str(task.group.key), task.task_id):
            if name in self.shut:
                return Denied("policy_denial", {Signal(name)}, scope=self.shut[name], by="the rule")  # type: ignore[arg-type]
        return None

    def step(self) -> None:
        self.now += self.rng.choice([0.0, 1.0])
        kinds: Sequence[Callable[[], object]] = (
            self._offer, self._offer, self._finish, self._finish, self._retry, self._discard, self._shut, self._open,
        )  # fmt: skip
        self.rng.choice(kinds)()
        self.settle()

    def _offer(self) -> None:
        fresh = []
        for _ in range(self.rng.choice([1, 1, 3])):
            self.made += 1
            needs = SchedulerResourceRequest(self.rng.choice(SHAPES))
            fresh.append(SchedulableTask(f"{self.made}", None, self.rng.choice(GROUPS), needs))
        self._come(fresh)

    def _come(self, tasks: list[SchedulableTask]) -> None:
        assert self.gate.offer(tasks, self.now) == tuple(task.task_id for task in tasks)
        self.waiting += tasks

    def _finish(self) -> SchedulableTask | None:
        if not self.out:
            return None
        lease = self.out.pop(self.rng.randrange(len(self.out)))
        assert self.gate.finish(lease, self.now).released
        return lease.item

    def _retry(self) -> None:
        """One fails, and comes again: after all that wait."""
        if (task := self._finish()) is not None:
            self.settle()
            self._come([task])

    def _discard(self) -> None:
        if self.waiting:
            task = self.waiting.pop(self.rng.randrange(len(self.waiting)))
            assert self.gate.discard(task.task_id, self.now) is task

    def _shut(self) -> None:
        if self.rng.random() < 0.5:
            name, scope = str(self.rng.choice(GROUPS).key), self.rng.choice(["task", "shape", "group"])
        elif self.waiting:
            name, scope = self.rng.choice(self.waiting).task_id, "task"
        else:
            return
        self.shut[name] = scope

    def _open(self) -> None:
        if self.shut:
            name = self.rng.choice(list(self.shut))
            del self.shut[name]
            self.gate.wake(Signal(name), self.now)

    # -- what must hold

    def settle(self) -> None:
        while (lease := self.gate.next(self.now)) is not None:
            self.admitted += 1
            assert lease.item in self.waiting
            for resource in self._one_at_a_time(lease.item):
                first = next(task for task in self.waiting if resource in task.resource_request.amounts)
                assert first is lease.item, f"{lease.item.task_id} goes before {first.task_id}"
            self.waiting.remove(lease.item)
            self.out.append(lease)
            holders = Counter(resource for each in self.out for resource in self._one_at_a_time(each.item))
            assert all(count == 1 for count in holders.values())
        assert [task.arrival for task in self.waiting] == sorted({task.arrival for task in self.waiting})
        for resource in (*LIMITS, "submission"):
            asking = [task for task in self.waiting if resource in task.resource_request.amounts]
            assert self.gate.view.oldest(resource) is (asking[0] if asking else None)
        self.gate.check_invariants()
        if self.exact and not self.controller.view().reserved:
            assert not [task.task_id for task in self.waiting if self._could_go(task)], "somebody sleeps"

    def _one_at_a_time(self, task: SchedulableTask) -> list[str]:
        return [resource for resource in ONE_AT_A_TIME if resource in task.resource_request.amounts]

    def _could_go(self, task: SchedulableTask) -> bool:
        free = self.controller.view().resources_available
        if any(free[resource] < amount for resource, amount in task.resource_request.shape):
            return False
        if str(task.group.key) in self.shut or task.task_id in self.shut:
            return False
        return all(
            free[resource] == LIMITS[resource]
            and task is next(each for each in self.waiting if resource in each.resource_request.amounts)
            for resource in self._one_at_a_time(task)
        )

    def drain(self) -> None:
        """Nothing is refused any more, and whoever runs ends: then all come to run."""
        while self.shut:
            self._open()
        self.settle()
        while self.out:
            self._finish()
            self.settle()
        assert not self.waiting, "somebody sleeps for ever"


@pytest.mark.parametrize("others", OTHERS)
@pytest.mark.parametrize("queue", QUEUES)
def test_one_task_at_a_time_goes_in_the_order_of_arrival_and_nobody_sleeps(queue: str, others: str) -> None:
    admitted = 0
    for seed in range(40):
        run = Run(queue, seed, others)
        for _ in range(80):
            run.step()
        run.drain()
        admitted += run.admitted
    assert admitted > 1000
