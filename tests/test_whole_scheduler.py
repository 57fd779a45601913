"""The whole task gate in virtual time: random graphs, groups, refusals, failures, cancellations, shutdown.

After every step: the ledgers balance, and at rest nothing that is eligible sleeps while there is room. At the
end: every task has ended in exactly one way, and every lease is back.
"""

from __future__ import annotations

from collections import Counter, deque
from random import Random
from typing import Any

import pytest
import trio
from hypothesis import given, settings, strategies as st
from trio.testing import MockClock

from penstock import (
    At,
    Denied,
    FailureMark,
    FifoTaskQueue,
    QueueView,
    SchedulableTask,
    Signal,
    StallError,
    TaskAdmissionView,
    TaskGroupSpec,
    TaskHandle,
    TaskSpec,
    mark_failure,
)
from penstock.scheduler.handles import FINAL
from penstock.scheduler.parts import SchedulerOptions
from penstock.testing import SchedulerRig, open_rig
from penstock_bounded_borrow import BoundedBorrowPolicy
from penstock_fairqueue import FairTaskQueue
from penstock_strict_fair import StrictFairPolicy

GROUPS = (TaskGroupSpec.named("a"), TaskGroupSpec.named("b", 4.0, 1), TaskGroupSpec.named("c", 0.5, 2))
SHAPES: tuple[dict[str, int], ...] = ({}, {}, {"gpu": 1}, {"gpu": 2}, {"submission": 2})

task_plans = st.fixed_dictionaries(
    {
        "group": st.sampled_from(GROUPS),
        "needs": st.sampled_from(SHAPES),
        "seconds": st.sampled_from((0.0, 1.0, 3.0)),
        "fails": st.sampled_from((0, 0, 0, 1, 2, 99)),
        "mark": st.sampled_from((None, "provider_failure", "rate_limited")),
        "after": st.lists(st.integers(0, 30), max_size=2),
        "deadline": st.sampled_from((None, None, None, 4.0, 20.0)),
        "max_attempts": st.sampled_from((1, 3)),
        "barrier": st.sampled_from((False, False, False, True)),
    }
)
steps = st.one_of(
    st.tuples(st.just("add"), st.lists(task_plans, min_size=1, max_size=4)),
    st.tuples(st.just("sleep"), st.sampled_from((0.0, 0.5, 1.0, 5.0))),
    st.tuples(st.just("cancel"), st.integers(0, 30)),
    st.tuples(st.just("shut"), st.sampled_from(("a", "b", "c"))),
    st.tuples(st.just("open"), st.just(0)),
    st.tuples(st.just("seal"), st.integers(0, 30)),
)
endings = st.sampled_from(("close", "close", "shutdown", "cancel", "raise"))


class World:
    """What the run is given, and the rule that it is under: some groups are shut, and quiet hours are from 6 to 8."""

    def __init__(self) -> None:
        self.shut: set[str] = set()
        self.handles: dict[str, TaskHandle[Any]] = {}
        self.ended: Counter[str] = Counter()
        self.barriers: list[str] = []

    def rule(self, task: SchedulableTask, queue: QueueView, admission: TaskAdmissionView, now: float) -> Denied | None:
        name = task.group.key.identity[1]
        if name in self.shut:
            return Denied("policy_denial", {Signal("open")}, "group", by="doors")
        if name == "c" and 6 <= now < 8:
            return Denied("policy_denial", {At(8.0)}, by="hours")
        return None

    def add(self, rig: SchedulerRig, plans: list[dict[str, Any]]) -> None:
        names = list(self.handles)
        specs: list[TaskSpec] = []
        for plan in plans:
            name = f"t{len(self.handles) + len(specs)}"
            after = {names[number % len(names)] for number in plan["after"]} if names else set()
            names.append(name)
            specs.append(
                TaskSpec(
                    task_id=name, fn=self.work(plan), after=tuple(after), group=plan["group"], needs=plan["needs"],
                    deadline=None if plan["deadline"] is None else trio.current_time() + plan["deadline"],
                    max_attempts=plan["max_attempts"], barrier=plan["barrier"],
                )
            )  # fmt: skip
        for spec, handle in zip(specs, rig.scheduler.add(specs).values(), strict=True):
            self.handles[handle.task_id] = handle
            handle.add_done_callback(lambda handle: self.ended.update([handle.task_id]))
            if spec.barrier:
                self.barriers.append(handle.task_id)

    def work(self, plan: dict[str, Any]) -> Any:
        tries = 0

        async def run() -> int:
            nonlocal tries
            tries += 1
            await trio.sleep(plan["seconds"])
            limit = 6 if plan["mark"] == "rate_limited" else plan["fails"]
            if tries <= min(plan["fails"], limit):
                error = ValueError(f"try {tries}")
                if plan["mark"] is not None:
                    mark_failure(error, FailureMark(plan["mark"], retryable=True))
                raise error
            return tries

        return run

    def check(self, rig: SchedulerRig, *, at_rest: bool) -> None:
        scheduler = rig.scheduler
        scheduler.check_invariants()
        progress = scheduler.progress
        assert progress["in_flight"] == scheduler.admission.in_flight
        assert progress["unfinished"] == sum(not handle.done for handle in self.handles.values())
        ended = Counter(handle.status for handle in self.handles.values() if handle.done)
        assert {status: progress[status] for status in FINAL} == {status: ended[status] for status in FINAL}
        if at_rest and not scheduler.loop.stopping:
            view, admission, now = rig.queue.view(), scheduler.admission.view(), trio.current_time()
            for task in view.first_candidate_by_group.values():
                has_room = admission.has_room(task.resource_request)
                assert not has_room or self.rule(task, view, admission, now), f"{task.task_id} sleeps, and could run"


def stack(name: str) -> dict[str, Any]:
    """The ready queue and the policies of a stack."""
    if name == "fifo":
        return {"queue": FifoTaskQueue()}
    policy = StrictFairPolicy() if name == "strict-fair" else BoundedBorrowPolicy()
    return {"queue": FairTaskQueue({"submission": 3, "gpu": 2}), "policies": [(name, policy)]}


async def live(world: World, stack_name: str, plan: list[tuple[str, Any]], ending: str) -> None:
    options = SchedulerOptions(shutdown_grace=2.0, stall_timeout=30.0)
    async with open_rig(
        places=3, resources={"gpu": 2}, rule=world.rule, options=options, longest_backoff=4.0, **stack(stack_name)
    ) as rig:
        for what, value in plan:
            if what == "add":
                world.add(rig, value)
            elif what == "sleep":
                await trio.sleep(value)
                await trio.testing.wait_all_tasks_blocked()
                world.check(rig, at_rest=True)
            elif what == "cancel" and world.handles:
                rig.scheduler.cancel_task(f"t{value % len(world.handles)}")
            elif what == "shut":
                world.shut.add(value)
            elif what == "open":
                world.shut.clear()
                rig.scheduler.signal("open")
            elif what == "seal" and world.barriers:
                rig.scheduler.seal(world.barriers[value % len(world.barriers)])
            world.check(rig, at_rest=False)
        if ending == "raise":
            raise KeyError("the caller")
        if ending == "shutdown":
            rig.scheduler.shutdown()
        elif ending == "cancel":
            rig.scheduler.cancel()
        elif not rig.scheduler.loop.stopping:
            world.shut.clear()
            rig.scheduler.signal("open")
            for name in world.barriers:
                rig.scheduler.seal(name)
    world.check(rig, at_rest=False)


@pytest.mark.parametrize("stack_name", ["fifo", "strict-fair", "bounded-borrow"])
@settings(max_examples=120, deadline=None)
@given(plan=st.lists(steps, max_size=25), ending=endings)
def test_whatever_happens_every_task_ends_once_and_every_lease_is_back(
    stack_name: str, plan: list[tuple[str, Any]], ending: str
) -> None:
    world = World()
    try:
        trio.run(live, world, stack_name, plan, ending, clock=MockClock(autojump_threshold=0))
    except KeyError:
        assert ending == "raise"
    assert all(handle.done for handle in world.handles.values())
    assert world.ended == Counter(list(world.handles))
    if ending == "close":
        assert not any(handle.status == "shutdown" for handle in world.handles.values())


async def test_a_run_that_is_left_with_a_shut_group_stalls(autojump_clock: MockClock) -> None:
    world = World()
    world.shut.add("a")
    with pytest.raises(StallError) as caught:
        async with open_rig(rule=world.rule, options=SchedulerOptions(stall_timeout=5.0)) as rig:
            world.add(rig, [{"group": GROUPS[0], "needs": {}, "seconds": 0, "fails": 0, "mark": None, "after": [],
                             "deadline": None, "max_attempts": 1, "barrier": False}])  # fmt: skip
    assert "doors" in caught.value.explanation
    assert trio.current_time() == 5.0


CROWD = 100_000


@pytest.mark.no_cover
def test_a_crowd_with_random_cancellations_leaves_no_lease_and_no_trace() -> None:
    """Tasks of many groups, some cancelled while they wait, some while they run; 100,000 of them."""
    rng = Random(3)
    ended: Counter[str] = Counter()

    async def pause() -> None:
        await trio.sleep(rng.randrange(4) / 2)

    async def run() -> None:
        groups = [TaskGroupSpec.named(f"g{n}", 1.0 + n % 3, 1 + n % 4) for n in range(40)]
        async with open_rig(places=32, record_events=False, **stack("strict-fair")) as rig:
            running: deque[TaskHandle[None]] = deque(maxlen=500)
            for number in range(CROWD):
                handle = rig.scheduler.start_soon(pause, group=groups[number % 40], cancellable=True)
                handle.add_done_callback(lambda handle: ended.update([handle.status]))
                running.append(handle)
                if rng.random() < 0.3:
                    rig.scheduler.cancel_task(rng.choice(running).task_id)
                if len(rig.scheduler.book.jobs) > 2_000:
                    await trio.sleep(1)
        rig.scheduler.check_invariants()
        issued, returned = rig.scheduler.admission.leases
        assert issued == returned > CROWD / 2
        assert not rig.queue.view().queued_by_group

    trio.run(run, clock=MockClock(autojump_threshold=0))
    assert sum(ended.values()) == CROWD
    assert set(ended) == {"completed", "cancelled"}
    assert ended["cancelled"] > CROWD / 10
