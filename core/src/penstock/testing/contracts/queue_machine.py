"""The state machine of a ready queue beside a naive model, for Hypothesis, which this module imports.

    TestMyQueue = ready_queue_machine(MyQueue, in_order=False).TestCase

The model is a list of tasks and a small world: what is free, which groups are shut, a clock, a task that is
not to run before its moment, and a group that is polite, which waits while others have more queued. After
every selection: what was selected could run; if nothing was, nothing could. `in_order`: the queue is first
in, first out among those that can run.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from penstock.tasks.ready_queue import QueueView, ReadyQueue
from penstock.tasks.records import SchedulableTask
from penstock.testing.task_making import group_key, make_task
from penstock.words.verdicts import At, Backlog, Denied, Released, Signal

__all__ = ["ready_queue_machine"]

GROUPS = ("a", "b", "c", "polite")
LIMITS = {"submission": 3, "gpu": 4, "disk": 2}
SHAPES: tuple[dict[str, int], ...] = (
    {}, {"gpu": 1}, {"gpu": 3}, {"disk": 1}, {"gpu": 1, "disk": 2}, {"submission": 2},
)  # fmt: skip


def ready_queue_machine(
    make_queue: Callable[[dict[str, int]], ReadyQueue], *, in_order: bool
) -> type[RuleBasedStateMachine]:
    """The state machine for queues that `make_queue(limits)` makes."""

    class ReadyQueueMachine(RuleBasedStateMachine):
        def __init__(self) -> None:
            super().__init__()
            self.queue = make_queue(dict(LIMITS))
            self.queued: list[SchedulableTask] = []
            self.running: list[SchedulableTask] = []
            self.free = dict(LIMITS)
            self.shut: set[str] = set()
            self.not_before: dict[str, float] = {}
            self.now = 0.0
            self.numbered = 0
            self.settled = False

        # -- the world's rule

        def peers_queued(self, task: SchedulableTask) -> int:
            return sum(other.group.key != task.group.key for other in self.queued)

        def verdict(self, task: SchedulableTask) -> Denied | None:
            for resource, amount in task.resource_request.shape:
                if self.free[resource] < amount:
                    if resource == "submission" and not self.free[resource]:
                        return Denied("no_capacity", {Released(resource)}, "all")
                    cohort = ("no_capacity", resource, amount)
                    return Denied("no_capacity", {Released(resource)}, "shape", cohort=cohort, amount=amount)
            name = task.group.key.identity[1]
            if name in self.shut:
                return Denied("policy_denial", {Signal(name)}, "group")
            moment = self.not_before.get(task.task_id, 0.0)
            if moment > self.now:
                return Denied("policy_denial", {At(moment)}, "task")
            if name == "polite" and self.peers_queued(task) > 2:
                until = {Backlog(resource) for resource in task.resource_request.amounts}
                return Denied("group_cap", until, "shape", cohort=("polite", task.resource_request.shape))
            return None

        def is_eligible(self, task: SchedulableTask, view: QueueView) -> Denied | None:
            assert view.queued_total == len(self.queued)
            assert any(task is queued for queued in self.queued), "a task was offered that is not queued"
            return self.verdict(task)

        # -- what may happen

        @rule(
            names=st.lists(st.sampled_from(GROUPS), min_size=1, max_size=4),
            shape=st.sampled_from(SHAPES),
            delay=st.sampled_from((0.0, 0.0, 0.0, 1.0, 2.0)),
        )
        def enqueue(self, names: list[str], shape: dict[str, int], delay: float) -> None:
            fresh = []
            for name in names:
                self.numbered += 1
                task = make_task(f"{self.numbered}", name, shape, weight=1.0 + GROUPS.index(name))
                if delay:
                    self.not_before[task.task_id] = self.now + delay
                fresh.append(task)
            assert self.queue.enqueue([*fresh, *self.queued[:2]], self.now) == tuple(t.task_id for t in fresh)
            self.queued += fresh
            self.settled = False

        @rule(most=st.integers(1, 4))
        def dispatch(self, most: int) -> None:
            for _ in range(most):
                before = self.queue.view().snapshot()
                selection = self.queue.select_next(self.is_eligible, self.now)
                assert self.queue.view().snapshot() == before
                able = [task for task in self.queued if self.verdict(task) is None]
                self.settled = selection is None
                if selection is None:
                    assert not able, f"{[task.task_id for task in able]} could run, and none was selected"
                    return
                task = selection.item
                assert task in able
                same = [
                    t for t in able if t.group.key == task.group.key and t.resource_request == task.resource_request
                ]
                assert task is same[0], "order within a group and shape is the order of arrival"
                assert not in_order or task is able[0]
                assert self.queue.commit(selection, self.now) is task
                self.queued.remove(task)
                self.running.append(task)
                for resource, amount in task.resource_request.shape:
                    self.free[resource] -= amount

        @precondition(lambda self: self.queued)
        @rule(data=st.data())
        def discard(self, data: st.DataObject) -> None:
            task = data.draw(st.sampled_from(self.queued))
            assert self.queue.discard(task.task_id, self.now) is task
            assert self.queue.discard(task.task_id, self.now) is None
            self.queued.remove(task)
            self.settled = False

        @precondition(lambda self: self.running)
        @rule(data=st.data(), count=st.integers(1, 3))
        def release(self, data: st.DataObject, count: int) -> None:
            for _ in range(min(count, len(self.running))):
                task = data.draw(st.sampled_from(self.running))
                self.running.remove(task)
                for resource, amount in task.resource_request.shape:
                    self.free[resource] += amount
                    self.queue.wake(Released(resource), self.free[resource], self.now)
            self.settled = False

        @rule(name=st.sampled_from(GROUPS))
        def shut_or_open(self, name: str) -> None:
            if name in self.shut:
                self.shut.remove(name)
                self.queue.wake(Signal(name), 1, self.now)
                self.settled = False
            else:
                self.shut.add(name)

        @rule(step=st.sampled_from((0.5, 1.0)))
        def time_passes(self, step: float) -> None:
            moment = self.queue.next_change(self.now)
            self.now += step
            if moment is None or moment > self.now:
                return
            self.settled = False

        # -- what must hold

        @invariant()
        def the_queue_is_in_order(self) -> None:
            checker: Any = getattr(self.queue, "check_invariants", None)
            if checker is not None:
                checker()

        @invariant()
        def the_view_tells_what_is_queued(self) -> None:
            view = self.queue.view()
            assert view.queued_total == len(self.queued)
            assert self.queue.is_empty() == (not self.queued)
            demand: dict[str, int] = {}
            for name in GROUPS:
                of_group = [task for task in self.queued if task.group.key == group_key(name)]
                assert view.queued_by_group.get(group_key(name), 0) == len(of_group)
                for task in of_group:
                    for resource, amount in task.resource_request.shape:
                        demand[resource] = demand.get(resource, 0) + amount
                if of_group:
                    assert view.first_candidate_by_group[group_key(name)] is of_group[0]
            assert {r: n for r, n in view.queued_peer_demand_by_resource.items() if n} == demand

        @invariant()
        def what_is_blocked_is_told(self) -> None:
            blocked = list(self.queue.blocked())
            kept_back = sum(block.tasks for block in blocked if block.scope_key != "all")
            assert kept_back <= len(self.queued)
            if self.settled and self.queued:
                shut = any(block.scope_key == "all" for block in blocked)
                assert shut or kept_back == len(self.queued), "what was refused is reported"

    return ReadyQueueMachine
