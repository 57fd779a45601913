"""Workers that carry on: several tasks in one step of the loop, one after another, and nothing that they notice."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable
from contextvars import ContextVar
from typing import Any

import attrs
import pytest
import trio
from trio.testing import MockClock

import penstock
from penstock import (
    Denied,
    QueueView,
    SchedulableTask,
    Signal,
    TaskAdmissionView,
    TaskCancelled,
    TaskSpec,
    current_correlation,
)
from penstock.scheduler.worker import IN_A_ROW
from penstock.testing import SchedulerRig, open_rig
from penstock_fairqueue import FairTaskQueue

LOCAL: ContextVar[Any] = ContextVar("local")


class Seen(trio.abc.Instrument):
    """In which step of trio's loop each task began, in the order in which they did."""

    def __init__(self) -> None:
        self.tasks: list[tuple[str, int]] = []
        self.ended: set[int] = set()
        self._step: int | None = None

    def before_task_step(self, task: trio.lowlevel.Task) -> None:
        assert self._step is not None
        self._step += 1

    async def nothing(self) -> None:
        if self._step is None:
            self._step = 0
            trio.lowlevel.add_instrument(self)
        self.tasks.append((trio.lowlevel.current_task().name, self._step))

    async def waits(self) -> None:
        await self.nothing()
        await trio.lowlevel.checkpoint()
        assert self._step is not None
        self.ended.add(self._step)

    @property
    def names(self) -> list[str]:
        return [name for name, _ in self.tasks]

    @property
    def in_a_row(self) -> Counter[int]:
        """How many tasks began in each step."""
        return Counter(step for _, step in self.tasks)


async def _of_ten(between: Callable[[Seen], Any], rig: SchedulerRig, **options: Any) -> Seen:
    """Ten tasks with one place; after the fourth comes one that is `between`."""
    seen = Seen()
    for number in range(10):
        if number == 4:
            rig.scheduler.start_soon(between, seen, task_id="between", **options)
        rig.scheduler.start_soon(seen.nothing)
    while len(seen.tasks) < 10:
        await trio.sleep(1)
    return seen


async def test_tasks_run_in_a_row_each_under_its_own_name(autojump_clock: MockClock) -> None:
    seen = Seen()
    async with open_rig(places=2) as rig:
        handles = [rig.scheduler.start_soon(seen.nothing) for _ in range(200)]
    assert max(seen.in_a_row.values()) == IN_A_ROW
    assert len(seen.in_a_row) < 200 / IN_A_ROW + 3
    assert sorted(seen.names) == sorted(handle.task_id for handle in handles)
    assert {(handle.status, handle.attempts) for handle in handles} == {("completed", 1)}


async def test_each_has_events_and_a_correlation_of_its_own(autojump_clock: MockClock) -> None:
    told: dict[str, str | None] = {}

    async def tell() -> None:
        correlation = current_correlation()
        assert correlation is not None
        told[trio.lowlevel.current_task().name] = correlation.task_id

    async with open_rig(places=1) as rig:
        handles = [rig.scheduler.start_soon(tell) for _ in range(20)]
    assert told == {handle.task_id: handle.task_id for handle in handles}
    for handle in handles:
        assert rig.kinds(handle.task_id)[-5:] == [
            "selected", "task_lease_acquired", "worker_spawned", "task_completed", "task_lease_released",
        ]  # fmt: skip


async def test_after_one_that_has_waited_a_round_decides(autojump_clock: MockClock) -> None:
    seen = Seen()
    async with open_rig(places=1) as rig:
        for _ in range(20):
            rig.scheduler.start_soon(seen.waits)
    assert len(seen.ended) == 20
    assert not seen.ended & seen.in_a_row.keys()


async def test_a_checkpoint_is_a_wait_too(autojump_clock: MockClock) -> None:
    async def lets_others_go(seen: Seen) -> None:
        await trio.lowlevel.checkpoint()

    async with open_rig(places=1) as rig:
        seen = await _of_ten(lets_others_go, rig)
    assert sorted(seen.in_a_row.values()) == [4, 6]


class Incomparable:
    def __eq__(self, other: object) -> bool:
        raise RuntimeError("ambiguous")

    __hash__ = object.__hash__


@pytest.mark.parametrize("values", [(1,), ([],), (Incomparable(),)])
async def test_what_a_task_sets_in_its_context_is_seen_by_no_other(
    values: tuple[Any], autojump_clock: MockClock
) -> None:
    found: list[Any] = []
    LOCAL.set(Incomparable())
    outside = LOCAL.get()

    async def sets(seen: Seen) -> None:
        LOCAL.set(values[0])

    async def looks() -> None:
        found.append(LOCAL.get())

    async with open_rig(places=1) as rig:
        for _ in range(5):
            rig.scheduler.start_soon(looks)
            rig.scheduler.start_soon(sets, Seen())
    assert len(found) == 5
    assert all(value is outside for value in found)


async def test_who_sets_a_variable_back_has_changed_nothing(autojump_clock: MockClock) -> None:
    LOCAL.set("outside")

    async def sets_back(seen: Seen) -> None:
        LOCAL.reset(LOCAL.set("inside"))

    async with open_rig(places=1) as rig:
        seen = await _of_ten(sets_back, rig)
    assert list(seen.in_a_row.values()) == [10]


async def test_a_failure_is_its_tasks_own_and_ends_the_row(autojump_clock: MockClock) -> None:
    async def fails(seen: Seen) -> None:
        raise ValueError("mine")

    async with open_rig(places=1) as rig:
        seen = await _of_ten(fails, rig)
    assert rig.scheduler.progress["failed"] == 1
    assert rig.scheduler.progress["completed"] == 10
    assert sorted(seen.in_a_row.values()) == [4, 6]


async def test_a_task_that_is_cancelled_alone_cancels_no_other(autojump_clock: MockClock) -> None:
    async with open_rig(places=1) as rig:

        async def cancels_itself(seen: Seen) -> None:
            rig.scheduler.cancel_task("between")

        async def waits_after_that(seen: Seen) -> None:
            rig.scheduler.cancel_task("between")
            await trio.sleep(100)

        seen = await _of_ten(cancels_itself, rig, cancellable=True)
        assert list(seen.in_a_row.values()) == [10]
    async with open_rig(places=1) as rig:
        await _of_ten(waits_after_that, rig, cancellable=True)
    assert rig.scheduler.progress["cancelled"] == 1
    assert trio.current_time() < 100


async def test_a_task_may_open_nurseries_and_start_tasks(autojump_clock: MockClock) -> None:
    seen = Seen()
    async with open_rig(places=1) as rig:

        async def opens() -> None:
            async with trio.open_nursery() as nursery:
                nursery.start_soon(seen.nothing)

        async def starts() -> None:
            rig.scheduler.start_soon(seen.nothing)

        for _ in range(5):
            rig.scheduler.start_soon(opens)
            rig.scheduler.start_soon(starts)
        while len(seen.tasks) < 10:
            await trio.sleep(1)
    assert len(seen.tasks) == 10


@pytest.mark.parametrize("sleepers", [0, 100])
async def test_others_of_the_loop_get_their_turn_after_a_batch(sleepers: int, autojump_clock: MockClock) -> None:
    count, most = 0, 0
    ended, asleep = False, trio.Event()

    async def looks() -> None:
        nonlocal most
        before = count
        while not ended:
            most = max(most, count - before)
            before = count
            await trio.lowlevel.checkpoint()

    async def counts() -> None:
        nonlocal count
        count += 1

    async with trio.open_nursery() as nursery:
        nursery.start_soon(looks)
        async with open_rig(places=5000, record_events=False) as rig:
            for _ in range(sleepers):
                rig.scheduler.start_soon(asleep.wait)
            for _ in range(5000):
                rig.scheduler.start_soon(counts)
            while count < 5000:
                await trio.lowlevel.checkpoint()
            asleep.set()
        ended = True
    assert count == 5000
    assert IN_A_ROW < most <= 4 * 512  # a batch before and one after a round, in two steps of the loop


async def test_many_tasks_that_wait_are_started_together(autojump_clock: MockClock) -> None:
    running: list[int] = []
    async with open_rig(places=5000, record_events=False) as rig:
        for _ in range(2000):
            rig.scheduler.start_soon(trio.sleep, 1)
        for _ in range(8):
            await trio.lowlevel.checkpoint()
            running.append(rig.scheduler.progress["in_flight"])
    assert running[-1] == 2000
    assert trio.current_time() == 1.0


async def test_of_tasks_that_wait_and_soon_end_few_run_at_once(autojump_clock: MockClock) -> None:
    seen = Seen()
    running: list[int] = []
    async with open_rig(places=5000, record_events=False) as rig:
        for _ in range(3000):
            rig.scheduler.start_soon(seen.waits)
        while rig.scheduler.progress["completed"] < 3000:
            await trio.lowlevel.checkpoint()
            running.append(rig.scheduler.progress["in_flight"])
    # In which order trio runs those of one step is chance: at worst nothing has ended when the third round begins.
    assert max(running) <= 64 + 128 + 256
    assert len(running) <= 3000 / 64 + 8


async def test_a_worker_that_has_had_its_turn_takes_no_other() -> None:
    clock = MockClock()
    seen = Seen()

    async def takes_long() -> None:
        await seen.nothing()
        clock.jump(0.0004)

    async def run() -> None:
        async with open_rig(places=1) as rig:
            for _ in range(9):
                rig.scheduler.start_soon(takes_long)

    await trio.to_thread.run_sync(lambda: trio.run(run, clock=clock))
    assert list(seen.in_a_row.values()) == [3, 3, 3]


async def test_where_somebody_is_refused_each_round_decides(autojump_clock: MockClock) -> None:
    allowed = False

    def rule(task: SchedulableTask, queue: QueueView, admission: TaskAdmissionView, now: float) -> Denied | None:
        refused = task.group.key.identity[1] == "refused" and not allowed
        return Denied("policy_denial", {Signal("go")}, scope="group", by="rule") if refused else None

    seen = Seen()
    async with open_rig(places=1, rule=rule) as rig:
        refused = rig.scheduler.start_soon(seen.nothing, group="refused")
        others = [rig.scheduler.start_soon(seen.nothing) for _ in range(9)]
        for handle in others:
            await handle
        assert set(seen.in_a_row.values()) == {1}
        allowed = True
        rig.scheduler.signal("go")
        await refused


async def test_who_is_short_of_another_resource_is_not_passed_by_workers(autojump_clock: MockClock) -> None:
    seen = Seen()
    async with open_rig(places=2, resources={"gpu": 1}) as rig:
        holds = rig.scheduler.start_soon(trio.sleep, 5, needs={"gpu": 1})
        rig.scheduler.start_soon(seen.nothing, needs={"gpu": 1})
        for _ in range(9):
            rig.scheduler.start_soon(seen.nothing)
        await trio.sleep(1)
        assert not holds.done
        assert set(seen.in_a_row.values()) == {1}
    assert len(seen.tasks) == 10


async def test_who_is_late_is_not_carried_on_with() -> None:
    clock = MockClock()
    seen = Seen()

    async def takes_time() -> None:
        clock.jump(0.0001)

    async def run() -> None:
        async with open_rig(places=1) as rig:
            rig.scheduler.start_soon(takes_time)
            late = rig.scheduler.start_soon(seen.nothing, deadline=clock.current_time() + 0.00005)
            rig.scheduler.start_soon(seen.nothing)
            await late.wait()
            assert late.status == "dropped"
            assert late.error is not None

    await trio.to_thread.run_sync(lambda: trio.run(run, clock=clock))
    assert len(seen.tasks) == 1


async def test_who_comes_after_another_is_offered_in_a_round(autojump_clock: MockClock) -> None:
    seen = Seen()
    async with open_rig(places=1) as rig:
        names = [f"{number}" for number in range(20)]
        rig.scheduler.add(
            TaskSpec(task_id=name, fn=seen.nothing, after=names[at - 1 : at] if at else ())
            for at, name in enumerate(names)
        )
    assert seen.names == names


async def test_who_comes_under_way_has_its_turn_in_the_queues_order(autojump_clock: MockClock) -> None:
    ran: list[str] = []
    async with open_rig(places=1, queue=FairTaskQueue({"submission": 1})) as rig:

        async def many(number: int) -> None:
            ran.append("many")
            if number == 4:
                rig.scheduler.start_soon(few, group="few")

        async def few() -> None:
            ran.append("few")

        for number in range(20):
            rig.scheduler.start_soon(many, number, group="many")
        while len(ran) < 21:
            await trio.sleep(1)
    assert ran.index("few") <= 6


async def test_a_full_sink_stops_those_that_carry_on(autojump_clock: MockClock) -> None:
    seen, full, paused_at = Seen(), False, list[int]()

    async def drained() -> None:
        nonlocal full
        await trio.testing.wait_all_tasks_blocked()
        paused_at.append(len(seen.tasks))
        full = False

    async def fills() -> None:
        nonlocal full
        await seen.nothing()
        full = full or len(seen.tasks) == 3

    async with open_rig(places=1) as rig:
        rig.scheduler.loop.pause_while(lambda: full, drained)
        for _ in range(6):
            rig.scheduler.start_soon(fills)
    assert paused_at == [4]  # the round that sees it has admitted one more
    assert list(seen.in_a_row.values()) == [3, 1, 2]


@pytest.mark.parametrize("grace", [math.inf, -math.inf])
async def test_nothing_more_starts_when_the_run_is_shut_down_in_the_middle(grace: float) -> None:
    ran: list[int] = []
    async with open_rig(places=1) as rig:

        async def ends_it(number: int) -> None:
            ran.append(number)
            if number == 3:
                rig.scheduler.loop.stop(grace)

        handles = [rig.scheduler.start_soon(ends_it, number) for number in range(9)]
    assert ran == [0, 1, 2, 3]
    assert [handle.status for handle in handles] == ["completed"] * 4 + ["shutdown"] * 5
    assert isinstance(handles[-1].error, TaskCancelled)


async def test_a_keyboard_interrupt_in_a_task_ends_the_run_and_every_lease_is_back() -> None:
    kept: list[penstock.Scheduler] = []

    async def interrupts(number: int) -> None:
        if number == 5:
            raise KeyboardInterrupt

    async def run() -> None:
        async with penstock.open_scheduler({"scheduler": {"submission_capacity": 1}}) as scheduler:
            kept.append(scheduler)
            for number in range(9):
                scheduler.start_soon(interrupts, number)

    with pytest.raises(BaseExceptionGroup) as raised:
        await trio.to_thread.run_sync(lambda: trio.run(run, clock=MockClock(autojump_threshold=0)))
    assert raised.group_contains(KeyboardInterrupt)
    report = kept[0].report
    assert report is not None
    assert report.leases in [(6, 6), (7, 7)]  # the round that it wakes may admit one before it hears of the end
    assert report.completed + report.cancelled == 9


async def test_a_request_block_that_is_left_open_ends_with_its_task(
    autojump_clock: MockClock, caplog: pytest.LogCaptureFixture
) -> None:
    seen = Seen()
    config = {
        "scheduler": {"submission_capacity": 1},
        "providers": {"p": {"models": {"m": {"max_parallel_requests": 1}}}},
    }

    async def leaves_open() -> None:
        await seen.nothing()
        await penstock.request("p/m").__aenter__()

    async with penstock.open_scheduler(config) as scheduler:
        for _ in range(3):
            scheduler.start_soon(leaves_open)
        for _ in range(4):
            scheduler.start_soon(seen.nothing)
    assert sorted(seen.in_a_row.values()) == [1, 1, 1, 4]
    assert caplog.text.count("left a request block open") == 3


async def test_an_order_that_breaks_under_a_worker_ends_the_run_by_name(autojump_clock: MockClock) -> None:
    class Broken(penstock.LaneTaskQueue):
        def __init__(self) -> None:
            super().__init__(BreaksAtTheFifth())

    kept: list[SchedulerRig] = []

    async def run() -> None:
        async with open_rig(places=1, queue=Broken()) as rig:
            kept.append(rig)
            for _ in range(9):
                rig.scheduler.start_soon(Seen().nothing)

    with pytest.raises(penstock.PluginError, match=r"Broken.*RuntimeError"):
        await run()
    assert kept[0].scheduler.admission.leases == (4, 4)


@attrs.define(eq=False)
class BreaksAtTheFifth:
    """The order of arrival, until the fifth is taken."""

    served_so_far: int = 0
    lanes: list[Any] = attrs.field(factory=list)
    clock: float = 0.0

    def arena(self, home: object) -> BreaksAtTheFifth:
        return self

    def forget(self) -> None: ...

    def insert(self, lane: Any) -> None:
        self.lanes.append(lane)

    def remove(self, lane: Any) -> None:
        self.lanes.remove(lane)

    def first(self) -> Any:
        if self.served_so_far == 4:
            raise RuntimeError("broken")
        return self.lanes[0] if self.lanes else None

    def served(self, lane: Any, cost: float) -> None:
        self.served_so_far += 1

    def offered(self, begins: bool) -> None: ...

    def short(self, begins: bool) -> None: ...

    def tags(self, lane: Any) -> tuple[float, float]:
        return 0.0, 1.0
