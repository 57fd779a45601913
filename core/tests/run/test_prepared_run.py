"""A run that is put together before there is a loop, as a program does that forks, and opened later."""

from __future__ import annotations

import threading
from datetime import UTC, datetime

import pytest
import trio
from trio.testing import MockClock

import penstock
from penstock import ConfigError, PluginError, RunInfo, SchedulableTask, Settings, hookimpl

CORE_ALONE = {
    "plugins": {
        "ready_queue": "fifo", "request_waiters": "fifo", "task_policies": [], "request_limiters": [], "sinks": [],
    }
}  # fmt: skip


async def double(number: int) -> int:
    await trio.sleep(1)
    return 2 * number


class Watch:
    """Keeps the time of day at which it is asked, and what it is told of the run."""

    def __init__(self) -> None:
        self.times: list[datetime] = []
        self.runs: list[RunInfo] = []

    @hookimpl
    def penstock_task_eligible(self, task: SchedulableTask, now: float, settings: Settings) -> None:
        self.times.append(settings.wall(now))

    @hookimpl
    def penstock_run_started(self, run: RunInfo) -> None:
        self.runs.append(run)


def test_a_run_is_prepared_without_a_loop() -> None:
    watch = Watch()
    prepared = penstock.prepare_run(CORE_ALONE, plugins=[watch], run_id="early")

    async def later() -> int:
        async with penstock.open_scheduler(prepared) as scheduler:
            assert scheduler.run_id == "early"
            return await scheduler.start_soon(double, 2)

    assert trio.run(later, clock=MockClock(autojump_threshold=0)) == 4
    assert [(run.run_id, run.plugins) for run in watch.runs] == [("early", ("Watch",))]


async def test_its_time_of_day_goes_from_its_opening(autojump_clock: MockClock) -> None:
    watch = Watch()
    prepared = penstock.prepare_run(CORE_ALONE, plugins=[watch], run_id="early")
    await trio.sleep(3600)
    async with penstock.open_scheduler(prepared) as scheduler:
        await trio.sleep(60)
        await scheduler.start_soon(double, 2)
        assert scheduler.figures().running_for == 61.0
    assert watch.times == [datetime(2026, 1, 1, 0, 1, tzinfo=UTC)]
    assert watch.runs[0].started_at == 3600.0


def test_a_factory_that_raises_is_named_where_the_run_is_prepared() -> None:
    class Broken:
        @hookimpl
        def penstock_task_policy(self) -> None:
            raise RuntimeError("not today")

    with pytest.raises(PluginError, match=r"'Broken': penstock_task_policy failed: .*not today") as raised:
        penstock.prepare_run(CORE_ALONE, plugins=[Broken()], run_id="early")
    assert isinstance(raised.value.__cause__, RuntimeError)


async def test_it_is_opened_once(autojump_clock: MockClock) -> None:
    prepared = penstock.prepare_run(run_id="early")
    async with penstock.open_scheduler(prepared):
        pass
    with pytest.raises(ConfigError, match="before"):
        async with penstock.open_scheduler(prepared):
            pass


async def test_it_has_its_plugins_and_its_name(autojump_clock: MockClock) -> None:
    prepared = penstock.prepare_run(run_id="early")
    with pytest.raises(ConfigError, match="prepared"):
        async with penstock.open_scheduler(prepared, run_id="late"):
            pass
    with pytest.raises(ConfigError, match="prepared"):
        async with penstock.open_scheduler(prepared, plugins=[Watch()]):
            pass


async def test_no_plugins_are_none_whatever_lists_them(autojump_clock: MockClock) -> None:
    prepared = penstock.prepare_run(CORE_ALONE, run_id="early")
    async with penstock.open_scheduler(prepared, plugins=iter([])) as scheduler:
        assert await scheduler.start_soon(double, 2) == 4


def test_a_name_that_no_run_may_have_is_refused_where_it_is_prepared() -> None:
    with pytest.raises(ConfigError, match="run_id"):
        penstock.prepare_run(run_id="a/b")


def test_it_may_be_opened_in_another_thread_than_it_was_prepared_in() -> None:
    prepared = penstock.prepare_run(CORE_ALONE, run_id="early")
    results: list[int] = []

    async def main() -> None:
        async with penstock.open_scheduler(prepared) as scheduler:
            results.append(await scheduler.start_soon(double, 4))

    thread = threading.Thread(target=trio.run, args=(main,), kwargs={"clock": MockClock(autojump_threshold=0)})
    thread.start()
    thread.join()
    assert results == [8]
