"""Shutdown, cancellation and stalls, with tasks in every state; in virtual time."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import trio
from trio.testing import MockClock

from penstock import (
    At,
    Denied,
    QueueView,
    SchedulableTask,
    Signal,
    StallError,
    TaskAdmissionView,
    TaskCancelled,
    TaskHandle,
    TaskSpec,
)
from penstock.scheduler.parts import SchedulerOptions
from penstock.testing import SchedulerRig, open_rig


async def nothing() -> None:
    return None


async def fails() -> None:
    raise ValueError("always")


def refuse(name: str, denied: Denied) -> Callable[..., Denied | None]:
    def rule(task: SchedulableTask, queue: QueueView, admission: TaskAdmissionView, now: float) -> Denied | None:
        return denied if task.group.key.identity[1] == name else None

    return rule


PARKED = refuse("parked", Denied("policy_denial", {Signal("never")}, by="rule"))


async def in_every_state(rig: SchedulerRig) -> dict[str, TaskHandle[Any]]:
    """Tasks that run, are queued, parked, deferred, wait for others, or gather, with two places and one long task."""
    scheduler = rig.scheduler
    deferred = scheduler.start_soon(fails, retry_on=(ValueError,), task_id="deferred", max_attempts=9)
    while deferred.status != "waiting":
        await trio.sleep(0)
    handles: dict[str, TaskHandle[Any]] = {"deferred": deferred}
    handles["quick"] = scheduler.start_soon(trio.sleep, 2, task_id="quick")
    handles["slow"] = scheduler.start_soon(trio.sleep, 100, task_id="slow")
    handles["parked"] = scheduler.start_soon(nothing, group="parked", task_id="parked")
    handles |= scheduler.add(
        [
            TaskSpec(task_id="waits", fn=nothing, after=("quick",)),
            TaskSpec(task_id="gathers", fn=nothing, barrier=True),
            TaskSpec(task_id="queued", fn=nothing),
        ]
    )
    await trio.sleep(0.1)
    assert handles["slow"].status == "running"
    return handles


def statuses(handles: dict[str, TaskHandle[Any]]) -> dict[str, str]:
    return {name: handle.status for name, handle in handles.items()}


STOPPED = dict.fromkeys(("deferred", "parked", "waits", "gathers", "queued"), "shutdown")


async def test_shutdown_lets_what_runs_finish_within_the_grace_period(autojump_clock: MockClock) -> None:
    async with open_rig(places=2, rule=PARKED, backoff=50.0, options=SchedulerOptions(shutdown_grace=10.0)) as rig:
        handles = await in_every_state(rig)
        begun = trio.current_time()
        rig.scheduler.shutdown()
        rig.scheduler.shutdown()
        assert statuses(handles) == {**STOPPED, "quick": "running", "slow": "running"}
    assert trio.current_time() == pytest.approx(begun + 10)
    assert statuses(handles) == {**STOPPED, "quick": "completed", "slow": "cancelled"}
    assert set(rig.scheduler.endings.not_done) == {*STOPPED, "slow"}
    for name in (*STOPPED, "slow"):
        with pytest.raises(TaskCancelled):
            handles[name].result()


async def test_shutdown_waits_no_longer_than_it_must(autojump_clock: MockClock) -> None:
    async with open_rig(options=SchedulerOptions(shutdown_grace=1000.0)) as rig:
        rig.scheduler.start_soon(trio.sleep, 3)
        await trio.sleep(1)
        rig.scheduler.shutdown()
    assert trio.current_time() == 3.0


async def test_cancel_ends_everything_at_once(autojump_clock: MockClock) -> None:
    async with open_rig(places=2, rule=PARKED, backoff=50.0) as rig:
        handles = await in_every_state(rig)
        begun = trio.current_time()
        rig.scheduler.cancel()
    assert trio.current_time() == begun
    assert statuses(handles) == {**STOPPED, "quick": "cancelled", "slow": "cancelled"}


async def test_cancel_after_shutdown_does_not_wait_for_the_grace_period(autojump_clock: MockClock) -> None:
    async with open_rig() as rig:
        rig.scheduler.start_soon(trio.sleep, 1000)
        await trio.sleep(1)
        rig.scheduler.shutdown()
        await trio.sleep(1)
        rig.scheduler.cancel()
    assert trio.current_time() == 2.0


async def test_a_retry_that_falls_into_shutdown_is_not_tried(autojump_clock: MockClock) -> None:
    async def fails_later() -> None:
        await trio.sleep(2)
        raise ValueError("late")

    async with open_rig() as rig:
        handle = rig.scheduler.start_soon(fails_later, retry_on=(ValueError,))
        await trio.sleep(1)
        rig.scheduler.shutdown()
    assert handle.status == "shutdown"


async def test_nothing_is_taken_on_after_shutdown(autojump_clock: MockClock) -> None:
    async with open_rig() as rig:
        rig.scheduler.shutdown()
        with pytest.raises(RuntimeError, match="takes no more tasks"):
            rig.scheduler.start_soon(nothing)
        with pytest.raises(RuntimeError, match="takes no more tasks"):
            rig.scheduler.add([TaskSpec(task_id="a", fn=nothing)])


async def test_a_block_that_raises_takes_everything_along(autojump_clock: MockClock) -> None:
    with pytest.raises(KeyError):  # noqa: PT012
        async with open_rig(places=2, rule=PARKED, backoff=50.0) as rig:
            handles = await in_every_state(rig)
            raise KeyError("the caller's")
    assert all(handle.done for handle in handles.values())


async def test_cancelling_the_caller_takes_everything_along(autojump_clock: MockClock) -> None:
    with trio.move_on_after(5):
        async with open_rig(places=2, rule=PARKED, backoff=50.0) as rig:
            handles = await in_every_state(rig)
            await trio.sleep_forever()
    assert trio.current_time() == 5.0
    assert all(handle.done for handle in handles.values())


@pytest.mark.parametrize("steps", range(8))
async def test_a_lease_comes_back_at_whichever_await_its_worker_is_cancelled(
    autojump_clock: MockClock, steps: int
) -> None:
    cleaned_up = False

    async def worker() -> None:
        nonlocal cleaned_up
        try:
            for _ in range(3):
                await trio.lowlevel.checkpoint()
            async with trio.open_nursery() as nursery:
                nursery.start_soon(trio.sleep, 1)
                await trio.lowlevel.checkpoint()
        finally:
            cleaned_up = True

    async with open_rig() as rig:
        handle = rig.scheduler.start_soon(worker, cancellable=True)
        for _ in range(steps):
            await trio.lowlevel.checkpoint()
        rig.scheduler.cancel_task(handle.task_id)
        with pytest.raises(TaskCancelled):
            await handle
        assert rig.scheduler.admission.in_flight == 0


async def test_a_task_whose_nursery_fails_while_it_is_cancelled_takes_nothing_down(autojump_clock: MockClock) -> None:
    async def fails_in_clean_up() -> None:
        try:
            await trio.sleep_forever()
        finally:
            raise ValueError("while cleaning up")

    async def with_a_nursery() -> None:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(fails_in_clean_up)
            nursery.start_soon(trio.sleep_forever)

    async with open_rig(options=SchedulerOptions(shutdown_grace=1.0)) as rig:
        handle = rig.scheduler.start_soon(with_a_nursery)
        await trio.sleep(1)
        rig.scheduler.shutdown()
    assert handle.done


@pytest.mark.loopback
async def test_another_thread_is_sent_away() -> None:
    async with open_rig() as rig:
        scheduler = rig.scheduler
        token = trio.lowlevel.current_trio_token()

        def from_outside() -> None:
            calls: list[Callable[[], object]] = [
                lambda: scheduler.start_soon(nothing),
                lambda: scheduler.add([TaskSpec(task_id="a", fn=nothing)]),
                lambda: scheduler.signal("x"),
                lambda: scheduler.seal("x"),
                lambda: scheduler.cancel_task("x"),
                lambda: scheduler.emit("row_group_admitted"),
                scheduler.shutdown,
                scheduler.cancel,
            ]
            for call in calls:
                with pytest.raises(RuntimeError, match="another thread"):
                    call()
            trio.from_thread.run_sync(scheduler.start_soon, nothing, trio_token=token)

        await trio.to_thread.run_sync(from_outside)
    assert rig.scheduler.progress["completed"] == 1


# -- stalls


async def test_work_that_nothing_can_start_is_a_stall_and_says_why(autojump_clock: MockClock) -> None:
    with pytest.raises(StallError, match="gathers: a barrier that nobody has sealed"):
        async with open_rig() as rig:
            handles = rig.scheduler.add(
                [
                    TaskSpec(task_id="gathers", fn=nothing, barrier=True),
                    TaskSpec(task_id="after", fn=nothing, after=("gathers",)),
                ]
            )
    assert trio.current_time() == 0.0
    assert statuses(dict(handles)) == dict.fromkeys(("gathers", "after"), "shutdown")


async def test_a_stall_is_found_as_soon_as_somebody_waits(autojump_clock: MockClock) -> None:
    with pytest.raises(StallError):  # noqa: PT012
        async with open_rig() as rig:
            gathers = rig.scheduler.add([TaskSpec(task_id="gathers", fn=nothing, barrier=True)])["gathers"]
            await trio.sleep(100)
            await gathers
    assert trio.current_time() == 100.0


async def test_what_a_signal_could_end_is_told_and_waits(autojump_clock: MockClock) -> None:
    with pytest.raises(StallError, match="policy_denial by rule"):  # noqa: PT012
        async with open_rig(rule=PARKED, options=SchedulerOptions(stall_timeout=60.0)) as rig:
            handle = rig.scheduler.start_soon(nothing, group="parked")
            await trio.sleep(10)
            await handle
    assert trio.current_time() == 70.0
    stalled = [event for event in rig.events if event.reason_or_outcome == "stalled"]
    assert [event.captured_at_monotonic for event in stalled] == [10.0]
    assert stalled[0].diagnostics is not None
    assert "policy_denial by rule" in stalled[0].diagnostics["why"]


async def test_a_signal_in_time_ends_the_wait(autojump_clock: MockClock) -> None:
    refusals: list[Denied] = [Denied("policy_denial", {Signal("go")}, by="rule")]

    def rule(task: SchedulableTask, queue: QueueView, admission: TaskAdmissionView, now: float) -> Denied | None:
        return refusals[0] if refusals else None

    async with open_rig(rule=rule, options=SchedulerOptions(stall_timeout=60.0)) as rig, trio.open_nursery() as nursery:
        handle = rig.scheduler.start_soon(nothing)

        async def later() -> None:
            await trio.sleep(50)
            rig.scheduler.signal("go")
            await trio.sleep(50)
            refusals.clear()
            rig.scheduler.signal("go")

        nursery.start_soon(later)
        await handle
    assert trio.current_time() == 100.0


async def test_a_pause_between_two_waits_is_not_part_of_the_stall(autojump_clock: MockClock) -> None:
    with pytest.raises(StallError):  # noqa: PT012
        async with open_rig(rule=PARKED, options=SchedulerOptions(stall_timeout=60.0)) as rig:
            handle = rig.scheduler.start_soon(nothing, group="parked")
            with trio.move_on_after(10):
                await handle
            await trio.sleep(500)
            await handle
    assert trio.current_time() == 570.0


async def test_waiting_for_a_moment_or_for_a_retry_is_no_stall(autojump_clock: MockClock) -> None:
    tries = 0

    async def fails_once() -> None:
        nonlocal tries
        tries += 1
        if tries == 1:
            raise ValueError

    rule = refuse("late", Denied("policy_denial", {At(900.0)}, by="rule"))

    def until_900(task: SchedulableTask, queue: QueueView, view: TaskAdmissionView, now: float) -> Denied | None:
        return rule(task, queue, view, now) if now < 900 else None

    async with open_rig(rule=until_900, backoff=500.0, longest_backoff=500.0) as rig:
        await rig.scheduler.start_soon(fails_once, retry_on=(ValueError,))
        await rig.scheduler.start_soon(nothing, group="late")
    assert trio.current_time() == 900.0


async def test_a_run_between_submissions_is_no_stall(autojump_clock: MockClock) -> None:
    async with open_rig() as rig:
        rig.scheduler.add([TaskSpec(task_id="gathers", fn=nothing, barrier=True)])
        await trio.sleep(1000)
        rig.scheduler.seal("gathers")


async def test_what_ends_while_a_full_sink_holds_the_rounds_up_is_no_stall(autojump_clock: MockClock) -> None:
    async with open_rig(places=1) as rig:
        held_up = [1.0, 1.0]
        rig.scheduler.loop.pause_while(lambda: bool(held_up), lambda: trio.sleep(held_up.pop()))
        handles = [rig.scheduler.start_soon(nothing) for _ in range(3)]

    assert [handle.status for handle in handles] == ["completed"] * 3
    assert trio.current_time() == 2.0
