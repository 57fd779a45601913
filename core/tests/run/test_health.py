"""Health: who waits longest, what is in flight, and which task kept the loop from everything else."""

from __future__ import annotations

from itertools import count
from types import SimpleNamespace

import pytest
import trio
from trio.testing import MockClock

import penstock
from penstock import RuntimeEvent, StallError, event_to_json, hookimpl
from penstock.run.watchdog import Watchdog


class Witness:
    """Keeps the snapshots of a run."""

    def __init__(self) -> None:
        self.snapshots: list[RuntimeEvent] = []

    @hookimpl
    def penstock_scheduler_event(self, event: RuntimeEvent) -> None:
        if event.event_kind == "scheduler_health_snapshot":
            self.snapshots.append(event)


async def test_health_tells_depth_flight_and_the_longest_wait_of_each_group(autojump_clock: MockClock) -> None:
    config = {"scheduler": {"submission_capacity": 2, "resources": {"gpu": 1}}}
    async with penstock.open_scheduler(config) as scheduler:
        scheduler.start_soon(trio.sleep, 60, needs={"gpu": 1})
        scheduler.start_soon(trio.sleep, 60, group="late", needs={"gpu": 1})
        await trio.sleep(4)
        scheduler.start_soon(trio.sleep, 60, group="later", needs={"gpu": 1})
        await trio.sleep(3)
        health = scheduler.health()
        scheduler.cancel()
    assert (health.queued, health.running, health.unfinished) == (2, 1, 3)
    assert health.in_flight == {"submission": 1, "gpu": 1}
    assert health.longest_waits == {"local/late": 7.0, "local/later": 3.0}
    assert health.queued_by_group == {"local/late": 1, "local/later": 1}


async def test_snapshots_come_at_their_interval_while_there_is_work(autojump_clock: MockClock) -> None:
    witness = Witness()
    config = {"scheduler": {"health_interval": 5.0, "submission_capacity": 1}}
    async with penstock.open_scheduler(config, plugins=[witness]) as scheduler:
        scheduler.start_soon(trio.sleep, 12, group="first")
        scheduler.start_soon(trio.sleep, 1, group="second")
    assert [event.captured_at_monotonic for event in witness.snapshots] == [5.0, 10.0]
    assert [event.snapshot["longest_waits"] for event in witness.snapshots if event.snapshot] == [
        {"local/second": 5.0},
        {"local/second": 10.0},
    ]
    for event in witness.snapshots:
        event_to_json(event)


async def test_snapshots_can_be_switched_off_and_keep_no_run_alive(autojump_clock: MockClock) -> None:
    witness = Witness()
    async with penstock.open_scheduler({"scheduler": {"health_interval": 0}}, plugins=[witness]) as scheduler:
        scheduler.start_soon(trio.sleep, 100)
    assert witness.snapshots == []
    async with penstock.open_scheduler(plugins=[witness]) as scheduler:
        scheduler.start_soon(trio.sleep, 1)
    assert trio.current_time() == 101


async def test_a_service_with_calls_and_no_tasks_has_snapshots_too(autojump_clock: MockClock) -> None:
    witness = Witness()
    config = {
        "scheduler": {"health_interval": 5.0},
        "providers": {"acme": {"models": {"m": {"max_parallel_requests": 1}}}},
        "plugins": {"request_limiters": [], "sinks": []},
    }
    async with penstock.open_scheduler(config, plugins=[witness]):
        await trio.sleep(7)
        async with penstock.request("acme/m"):
            await trio.sleep(6)
        await trio.sleep(10)
    assert [event.captured_at_monotonic for event in witness.snapshots] == [10.0]
    assert witness.snapshots[0].snapshot is not None
    assert witness.snapshots[0].snapshot["requests_in_flight"] == 1


async def test_a_stall_is_a_stall_as_before(autojump_clock: MockClock) -> None:
    with pytest.raises(StallError):
        async with penstock.open_scheduler(plugins=[Witness()]) as scheduler:
            scheduler.add([penstock.TaskSpec(task_id="b", fn=trio.lowlevel.checkpoint, barrier=True)])
    assert trio.current_time() == 0


def test_the_watchdog_names_the_longest_step_and_counts_those_beyond_the_threshold(
    caplog: pytest.LogCaptureFixture,
) -> None:
    ticks = count()
    slow = {"slow": 7, "slower": 9}

    def clock() -> float:
        return float(next(ticks))

    watchdog = Watchdog(5.0, clock)

    async def step(seconds: int) -> None:
        for _ in range(seconds):
            next(ticks)

    async def run() -> None:
        async with trio.open_nursery() as nursery:
            for name, seconds in slow.items():
                nursery.start_soon(step, seconds, name=name)
                nursery.start_soon(step, 2, name="quick")
                nursery.start_soon(step, seconds, name=name)

    trio.run(run, instruments=[watchdog])
    longest = watchdog.take()
    assert longest is not None
    assert (longest.task, longest.seconds) == ("slower", 10.0)
    assert watchdog.times == 4
    assert watchdog.take() is None
    assert sorted(record.getMessage().split(" blocked")[0] for record in caplog.records) == [
        "task 'slow'",
        "task 'slower'",
    ]


async def test_a_task_that_blocks_the_loop_is_named_in_the_health_of_the_run(
    autojump_clock: MockClock, caplog: pytest.LogCaptureFixture
) -> None:
    async with penstock.open_scheduler({"scheduler": {"watchdog": 0.01}}) as scheduler:
        await scheduler.start_soon(block, autojump_clock, 0.05, task_id="the-one")
        health = scheduler.health()
    assert health.blocked_by == "the-one"
    assert health.blocked_seconds == 0.05
    assert health.blocked_times == 1
    assert 'give it a runner: runner="processes" where it computes' in caplog.text


async def test_the_interval_and_the_watchdog_change_under_way(autojump_clock: MockClock) -> None:
    witness = Witness()
    config = {"scheduler": {"health_interval": 0.0}}
    async with penstock.open_scheduler(config, plugins=[witness]) as scheduler:
        scheduler.start_soon(trio.sleep, 12)
        await trio.sleep(1)
        scheduler.reconfigure({"scheduler": {"health_interval": 4.0, "watchdog": 0.001}})
        await trio.sleep(9)
        scheduler.reconfigure({"scheduler": {"health_interval": 0.0, "watchdog": 0.0}})
        done = scheduler.reconfigure({"scheduler": {"health_interval": 0.0}})
        assert done.figures == {}, "what is not said is as it is"
    assert [event.captured_at_monotonic for event in witness.snapshots] == [5.0, 9.0]


async def test_a_watchdog_that_comes_under_way_watches(autojump_clock: MockClock) -> None:
    async with penstock.open_scheduler({}) as scheduler:
        await scheduler.start_soon(block, autojump_clock, 0.02)
        assert scheduler.health().blocked_times == 0
        scheduler.reconfigure({"scheduler": {"watchdog": 0.01}})
        await scheduler.start_soon(block, autojump_clock, 0.02)
        assert scheduler.health().blocked_times == 1
        scheduler.reconfigure({"scheduler": {"watchdog": 100.0}})
        await scheduler.start_soon(block, autojump_clock, 0.02)
        assert scheduler.health().blocked_times == 1


async def test_health_tells_how_many_models_are_known_that_nobody_configured_and_how_many_may_be() -> None:
    async with penstock.open_scheduler({"plugins": {"sinks": []}}) as scheduler:
        bound = scheduler.health().unconfigured_models_bound
        for number in range(bound + 10):
            scheduler.requests.register_unconfigured("acme", f"model-{number}", cap=1)
            assert scheduler.health().unconfigured_models <= bound
        assert 0 < scheduler.health().unconfigured_models < bound


async def block(clock: MockClock, seconds: float) -> None:
    """A step that takes so long: nothing else runs meanwhile."""
    clock.jump(seconds)


def test_a_step_that_a_plugin_took_is_told_by_its_name_and_that_of_the_hook(caplog: pytest.LogCaptureFixture) -> None:
    moments = iter([0.0, 9.0, 9.0, 18.0])
    found = iter([("slow", "penstock_task_eligible"), None])
    watchdog = Watchdog(5.0, lambda: next(moments), lambda seconds: next(found))

    task = SimpleNamespace(name="penstock dispatch")
    for _ in range(2):
        watchdog.before_task_step(task)  # type: ignore[arg-type]
        watchdog.after_task_step(task)  # type: ignore[arg-type]
    first, second = (record.message for record in caplog.records)
    assert first.startswith(
        """task "penstock dispatch, asking plugin 'slow' in penstock_task_eligible" blocked the loop for 9.00 s"""
    )
    assert "a plugin answers at once" in first
    assert second.startswith("task 'penstock dispatch' blocked the loop for 9.00 s")
