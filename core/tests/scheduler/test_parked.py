"""Workers that are kept: a round hands them the next task, and nothing of the last one is there any more."""

from __future__ import annotations

import gc
import random
import sys
import weakref
from collections.abc import Awaitable, Callable
from contextvars import ContextVar
from functools import partial
from typing import Any

import pytest
import trio
from trio.testing import MockClock

from penstock import TaskAbandoned, TaskAdmissionLease, current_correlation
from penstock.scheduler.parked import ParkedWorkers
from penstock.testing import SchedulerRig, open_rig
from penstock_fairqueue import FairTaskQueue

LOCAL: ContextVar[Any] = ContextVar("local", default="untouched")


class Seen:
    """In which trio task each task ran, in the order in which they began: by its coroutine, since a worker is not kept
    that somebody knows by its trio task.
    """

    def __init__(self) -> None:
        self.workers: list[object] = []
        self.names: list[str] = []

    def note(self) -> None:
        me = trio.lowlevel.current_task()
        self.workers.append(me.coro)
        self.names.append(me.name)

    async def waits(self) -> None:
        self.note()
        await trio.sleep(1)

    @property
    def spawned(self) -> int:
        return len({id(worker) for worker in self.workers})

    @property
    def names_now(self) -> list[str]:
        """What those are called now that have not ended."""
        root = trio.lowlevel.current_root_task()
        assert root is not None
        tasks = [root]
        for task in tasks:
            tasks += [child for nursery in task.child_nurseries for child in nursery.child_tasks]
        return [task.name for task in tasks if any(task.coro is worker for worker in self.workers)]


async def _one_by_one(seen: Seen, between: Callable[[], Awaitable[Any]], **options: Any) -> SchedulerRig:
    """Ten tasks that wait, with one place; after the fifth comes one that is `between`."""
    async with open_rig(places=1) as rig:
        for number in range(10):
            if number == 5:
                rig.scheduler.start_soon(between, task_id="between", **options)
            rig.scheduler.start_soon(seen.waits)
    return rig


async def test_tasks_that_wait_share_workers_each_under_its_own_name(autojump_clock: MockClock) -> None:
    seen = Seen()
    async with open_rig(places=4) as rig:
        handles = [rig.scheduler.start_soon(seen.waits) for _ in range(40)]
    assert seen.spawned == 4
    assert sorted(seen.names) == sorted(handle.task_id for handle in handles)
    assert trio.current_time() == 10


async def test_one_that_is_parked_has_no_tasks_name(autojump_clock: MockClock) -> None:
    seen = Seen()
    async with open_rig(places=1) as rig:
        await rig.scheduler.start_soon(seen.waits)
        await trio.testing.wait_all_tasks_blocked()
        assert seen.names_now == ["penstock worker"]
        rig.scheduler.start_soon(seen.waits, task_id="later")
        await trio.testing.wait_all_tasks_blocked()
        assert seen.names_now == ["later"]


async def test_each_has_a_context_and_a_correlation_of_its_own(autojump_clock: MockClock) -> None:
    found: list[tuple[Any, str | None, str]] = []

    async def sets() -> None:
        await trio.sleep(1)
        correlation = current_correlation()
        assert correlation is not None
        found.append((LOCAL.get(), correlation.task_id, trio.lowlevel.current_task().name))
        LOCAL.set("touched")

    LOCAL.set("outside")
    async with open_rig(places=2) as rig:
        LOCAL.set("changed in the block")
        handles = [rig.scheduler.start_soon(sets) for _ in range(20)]
    assert sorted(found) == sorted(("outside", handle.task_id, handle.task_id) for handle in handles)


async def leaves_a_scope() -> None:
    trio.CancelScope().__enter__()
    await trio.sleep(1)


async def leaves_a_lock() -> None:
    await trio.Lock().acquire()


TAKEN = trio.CapacityLimiter(1000)
NOTED: dict[Any, str] = {}
WATCHED: weakref.WeakKeyDictionary[trio.lowlevel.Task, str] = weakref.WeakKeyDictionary()


async def leaves_a_token() -> None:
    await TAKEN.acquire()


async def leaves_a_token_after_a_sleep() -> None:
    await trio.sleep(1)
    await TAKEN.acquire()
    with trio.move_on_after(1):
        await trio.sleep_forever()


async def is_noted() -> None:
    NOTED[trio.lowlevel.current_task()] = "by somebody"
    with trio.move_on_after(1):
        await trio.sleep_forever()


async def is_watched() -> None:
    await trio.sleep(1)
    WATCHED[trio.lowlevel.current_task()] = "by somebody"


async def works_in_a_thread() -> None:
    task = trio.lowlevel.current_task()
    known = sys.getrefcount(task)
    await trio.to_thread.run_sync(lambda: None, limiter=TAKEN)
    while sys.getrefcount(task) > known:  # the thread has told the result, and not let go of the task yet
        await trio.sleep(0)


async def fails() -> None:
    await trio.sleep(1)
    raise ValueError("mine")


async def cancels_what_runs_in_it() -> None:
    async with trio.open_nursery() as nursery:
        nursery.start_soon(trio.sleep_forever)
        await trio.sleep(1)
        nursery.cancel_scope.cancel()


@pytest.mark.parametrize(
    ("between", "spawned"),
    [
        (leaves_a_scope, 2),
        (leaves_a_lock, 2),
        (leaves_a_token, 2),
        (leaves_a_token_after_a_sleep, 2),
        (is_noted, 2),
        (is_watched, 2),
        (fails, 2),
        (cancels_what_runs_in_it, 1),
        (works_in_a_thread, 1),
    ],
)
async def test_who_leaves_something_behind_is_not_kept(
    between: Callable[[], Awaitable[Any]], spawned: int, autojump_clock: MockClock
) -> None:
    seen = Seen()
    await _one_by_one(seen, between)
    assert seen.spawned == spawned


async def does_nothing() -> None:
    pass


@pytest.mark.parametrize("before", [does_nothing, partial(trio.sleep, 0), partial(trio.sleep, 1)])
@pytest.mark.parametrize("after", [does_nothing, partial(trio.sleep, 0), partial(trio.sleep, 1)])
async def test_tokens_that_are_never_given_back_fail_nobody(
    before: Callable[[], Awaitable[Any]], after: Callable[[], Awaitable[Any]], autojump_clock: MockClock
) -> None:
    limiter = trio.CapacityLimiter(40)

    async def takes() -> None:
        await before()
        await limiter.acquire()
        await after()

    async with open_rig(places=4) as rig:
        handles = [rig.scheduler.start_soon(takes) for _ in range(40)]
    assert {handle.status for handle in handles} == {"completed"}
    assert limiter.borrowed_tokens == 40


async def test_what_a_task_gets_that_was_handed_to_a_worker_with_something_left(autojump_clock: MockClock) -> None:
    """A worker of its own, which is like every other."""
    seen = Seen()

    async def looks() -> tuple[str, Any, str | None]:
        seen.note()
        correlation = current_correlation()
        assert correlation is not None
        found = LOCAL.get(), correlation.task_id
        LOCAL.set("touched")
        await trio.sleep(0)
        return (seen.names[-1], *found)

    async with open_rig(places=1) as rig:
        rig.scheduler.start_soon(is_noted)
        handles = [rig.scheduler.start_soon(looks) for _ in range(3)]
        rig.scheduler.start_soon(is_noted)
    assert [handle.result() for handle in handles] == [(h.task_id, "untouched", h.task_id) for h in handles]
    assert [handle.attempts for handle in handles] == [1, 1, 1]
    assert seen.spawned == 1
    rig.scheduler.check_invariants()


async def test_the_run_ends_where_such_a_worker_cannot_be_spawned(
    autojump_clock: MockClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    start_soon, spawned = trio.Nursery.start_soon, 0

    def fails(self: trio.Nursery, fn: Any, *args: Any, **options: Any) -> None:
        nonlocal spawned
        spawned += any(isinstance(arg, TaskAdmissionLease) for arg in args)
        if spawned > 1:
            raise OSError("no more tasks in this world")
        start_soon(self, fn, *args, **options)

    monkeypatch.setattr(trio.Nursery, "start_soon", fails)
    with pytest.raises(OSError, match="no more tasks"):  # noqa: PT012
        async with open_rig(places=1) as rig:
            rig.scheduler.start_soon(is_noted)
            handle = rig.scheduler.start_soon(trio.sleep, 1, task_id="it")
            await trio.sleep_forever()
    assert handle.status == "cancelled"
    assert rig.kinds("it")[-3:] == ["task_lease_released", "worker_spawn_failed", "cancelled"]
    assert rig.scheduler.admission.leases == (2, 2)


async def test_a_worker_with_something_left_ends_when_the_loop_sleeps(autojump_clock: MockClock) -> None:
    seen = Seen()

    async def noted() -> None:
        seen.note()
        await is_noted()

    async with open_rig(places=2) as rig:
        rig.scheduler.start_soon(noted)
        rig.scheduler.start_soon(seen.waits)
        await trio.sleep(2)
        await trio.testing.wait_all_tasks_blocked()
        assert seen.names_now == ["penstock worker"]


@pytest.mark.parametrize("before", [does_nothing, partial(trio.sleep, 0), partial(trio.sleep, 1)])
@pytest.mark.parametrize("idle", [0, 5])
async def test_a_scope_that_was_left_open_cancels_nobody_later(
    before: Callable[[], Awaitable[Any]], idle: float, autojump_clock: MockClock
) -> None:
    left = trio.CancelScope()

    async def opens() -> None:
        await before()
        left.__enter__()

    async with open_rig(places=1) as rig:
        await rig.scheduler.start_soon(opens)
        began = trio.current_time()
        await trio.sleep(idle)
        later = rig.scheduler.start_soon(trio.sleep, 10)
        await trio.sleep(1)
        left.cancel()
        await later
        rig.scheduler.start_soon(trio.sleep, 10)
    assert trio.current_time() == began + idle + 20


async def test_a_scope_that_was_left_open_cancels_no_run_when_all_is_idle(autojump_clock: MockClock) -> None:
    left = trio.CancelScope()

    async def opens() -> None:
        await trio.sleep(1)
        left.__enter__()
        left.cancel()

    async with open_rig(places=1) as rig:
        await rig.scheduler.start_soon(opens)
        await trio.sleep(1)
        later = rig.scheduler.start_soon(trio.sleep, 1)
    assert later.status == "completed"


async def test_who_waits_for_a_lock_hears_of_the_end_of_its_holder(autojump_clock: MockClock) -> None:
    lock = trio.Lock()

    async with open_rig(places=2) as rig:
        rig.scheduler.start_soon(lock.acquire)
        rig.scheduler.start_soon(trio.sleep, 1)
        with pytest.raises(trio.BrokenResourceError):
            await rig.scheduler.start_soon(lock.acquire)


async def test_a_task_that_is_cancelled_alone_cancels_no_other(autojump_clock: MockClock) -> None:
    async with open_rig(places=1) as rig:
        victim = rig.scheduler.start_soon(trio.sleep, 100, cancellable=True)
        others = [rig.scheduler.start_soon(trio.sleep, 1, cancellable=True) for _ in range(5)]
        await trio.sleep(1)
        rig.scheduler.cancel_task(victim.task_id)
    assert victim.status == "cancelled"
    assert {handle.status for handle in others} == {"completed"}
    assert trio.current_time() == 6


async def test_a_task_that_a_worker_left_behind_leaves_the_worker(autojump_clock: MockClock) -> None:
    async def abandons() -> None:
        raise TaskAbandoned("its thread goes on")

    seen = Seen()
    await _one_by_one(seen, abandons)
    assert seen.spawned == 2


async def test_nothing_of_a_task_is_kept_by_its_worker(autojump_clock: MockClock) -> None:
    class Large:
        pass

    kept: list[weakref.ref[Large]] = []

    async def makes(given: Large) -> Large:
        LOCAL.set(given)
        await trio.sleep(1)
        return given

    async with open_rig(record_events=False) as rig:
        large = Large()
        kept.append(weakref.ref(large))
        rig.scheduler.start_soon(makes, large)
        del large
        await trio.sleep(2)
        await trio.testing.wait_all_tasks_blocked()
        gc.collect()
        assert kept[0]() is None


async def test_few_are_kept_while_nothing_is_to_be_done(autojump_clock: MockClock) -> None:
    before = trio.lowlevel.current_statistics().tasks_living
    async with open_rig(places=500) as rig:
        for _ in range(500):
            rig.scheduler.start_soon(trio.sleep, 1)
        await trio.sleep(2)
        await trio.testing.wait_all_tasks_blocked()
        assert 32 <= trio.lowlevel.current_statistics().tasks_living - before <= 36
    assert trio.lowlevel.current_statistics().tasks_living == before


@pytest.mark.parametrize("ends", ["shutdown", "cancel"])
async def test_a_run_ends_though_workers_are_parked(ends: str, autojump_clock: MockClock) -> None:
    async with open_rig(places=3) as rig:
        for _ in range(3):
            rig.scheduler.start_soon(trio.sleep, 1)
        await trio.sleep(2)
        getattr(rig.scheduler, ends)()
    assert trio.current_time() == 2
    assert rig.scheduler.progress["completed"] == 3


def _outcomes(seed: int) -> tuple[Any, ...]:
    """What became of random tasks, each in the order in which things happened to it, and when all was over."""
    rng = random.Random(seed)
    log: list[tuple[float, str, Any]] = []
    errors: dict[str, str] = {}

    async def does(name: str, steps: list[tuple[str, float]]) -> str:
        LOCAL.set(name)
        for what, seconds in steps:
            log.append((trio.current_time(), name, LOCAL.get()))
            if what == "sleep":
                await trio.sleep(seconds)
            elif what == "fail":
                raise ValueError(name)
            elif what == "time out":
                with trio.move_on_after(seconds):
                    await trio.sleep_forever()
            elif what == "share":
                async with trio.open_nursery() as nursery:
                    nursery.start_soon(trio.sleep, seconds)
                    nursery.start_soon(trio.sleep, 2 * seconds)
            elif what == "leave a scope open":
                trio.CancelScope(deadline=trio.current_time() + seconds).__enter__()
        return name

    async def run() -> tuple[Any, ...]:
        queue = FairTaskQueue({"submission": 4})
        handles = {}
        async with open_rig(places=rng.randint(1, 4), queue=queue, record_events=False) as rig:
            for number in range(60):
                name = f"task-{number}"
                kinds = rng.choices(["sleep", "time out", "share", "fail"], [6, 2, 2, 1], k=rng.randint(0, 3))
                kinds += ["leave a scope open"] * (rng.random() < 0.2)
                steps = [(kind, rng.randint(1, 1000) + rng.random()) for kind in kinds]
                handles[name] = rig.scheduler.start_soon(
                    does, name, steps, task_id=name, group=rng.choice("abc"), cancellable=rng.random() < 0.5
                )
                if rng.random() < 0.3:
                    await trio.sleep(rng.randint(1, 500) + rng.random())
                if rng.random() < 0.1:
                    rig.scheduler.cancel_task(f"task-{rng.randint(0, number)}")
            for name, handle in handles.items():
                await handle.wait()
                errors[name] = f"{handle.status} {type(handle.error).__name__} {handle.attempts}"
            rig.scheduler.check_invariants()
        by_task = {name: [(at, value) for at, who, value in log if who == name] for name in handles}
        return by_task, errors, rig.scheduler.admission.leases, trio.current_time()

    return trio.run(run, clock=MockClock(autojump_threshold=0))


@pytest.mark.parametrize("seed", range(8))
async def test_tasks_end_as_they_do_where_no_worker_is_kept(seed: int, monkeypatch: pytest.MonkeyPatch) -> None:
    kept = await trio.to_thread.run_sync(_outcomes, seed)
    monkeypatch.setattr(ParkedWorkers, "hand", lambda self, admitted: False)
    assert await trio.to_thread.run_sync(_outcomes, seed) == kept
