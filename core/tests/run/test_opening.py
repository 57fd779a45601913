"""A run by the public way in: configuration, plugins, both gates; in virtual time."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import trio
from trio.testing import MockClock

import penstock
from penstock import (
    At,
    ConfigError,
    Denied,
    PluginError,
    PluginManager,
    RunInfo,
    RunReport,
    RuntimeEvent,
    SchedulableTask,
    Settings,
    Signal,
    SinkSpec,
    StallError,
    TaskAdmissionView,
    TaskDropped,
    WallClock,
    current_correlation,
    hookimpl,
    load_config,
)

NIGHT = WallClock(datetime(2026, 5, 1, 22, 0, tzinfo=UTC))


async def double(number: int) -> int:
    await trio.sleep(1)
    return 2 * number


async def fails(text: str) -> None:
    raise ValueError(text)


class QuietHours:
    """Nothing of the group `batch` between 22 and 6 o'clock."""

    @hookimpl
    def penstock_task_eligible(self, task: SchedulableTask, now: float, settings: Settings) -> Denied | None:
        clock = settings.wall(now)
        if task.group.key.identity[1] != "batch" or 6 <= clock.hour < 22:
            return None
        morning = clock.replace(hour=6, minute=0, second=0) + timedelta(days=clock.hour >= 22)
        return Denied("policy_denial", {At(settings.from_wall(morning))}, "group", detail="quiet hours")


class Witness:
    """Keeps what it is told of a run."""

    def __init__(self) -> None:
        self.kinds: list[str] = []
        self.runs: list[RunInfo] = []
        self.reports: list[RunReport] = []

    @hookimpl
    def penstock_scheduler_event(self, event: RuntimeEvent) -> None:
        self.kinds.append(event.event_kind)

    @hookimpl
    def penstock_run_started(self, run: RunInfo) -> None:
        self.runs.append(run)

    @hookimpl
    def penstock_run_finished(self, report: RunReport) -> None:
        self.reports.append(report)


CORE_ALONE = {
    "plugins": {
        "ready_queue": "fifo", "request_waiters": "fifo", "task_policies": [], "request_limiters": [], "sinks": [],
    }
}  # fmt: skip


async def test_a_run_with_the_default_configuration(autojump_clock: MockClock) -> None:
    async with penstock.open_scheduler() as scheduler:
        assert await scheduler.start_soon(double, 21) == 42
        async with scheduler.map(double, range(5)) as results:
            assert sorted([result async for result in results]) == [0, 2, 4, 6, 8]
    report = scheduler.report
    assert report is not None
    assert (report.completed, report.failed, report.dropped, report.cancelled, report.not_done_count) == (6, 0, 0, 0, 0)
    assert report.leases == (6, 6)


async def test_the_configuration_may_be_a_mapping_or_a_file(autojump_clock: MockClock, tmp_path: Path) -> None:
    file = tmp_path / "penstock.toml"
    file.write_text("[scheduler]\nsubmission_capacity = 2\n\n[scheduler.resources]\ngpu = 1\n", encoding="utf-8")
    for config in ({"scheduler": {"submission_capacity": 2, "resources": {"gpu": 1}}}, file, str(file)):
        started = trio.current_time()
        async with penstock.open_scheduler(config) as scheduler:
            limits = scheduler.admission.view().resource_limits
            assert dict(limits) == {"submission": 2, "gpu": 1}
            for number in range(4):
                scheduler.start_soon(double, number)
        assert trio.current_time() == started + 2


async def test_all_that_is_wrong_with_a_configuration_is_told_before_anything_runs() -> None:
    with pytest.raises(ConfigError) as raised:
        async with penstock.open_scheduler({"scheduler": {"submission_capacity": 0, "colour": "red"}, "what": {}}):
            pytest.fail("the block must not be entered")
    text = str(raised.value)
    assert "scheduler.submission_capacity" in text
    assert "colour" in text
    assert "what" in text


async def test_failures_that_nobody_awaited_are_raised_together_at_the_end(autojump_clock: MockClock) -> None:
    with pytest.raises(ExceptionGroup, match="2 tasks failed, and nobody awaited them") as raised:  # noqa: PT012
        async with penstock.open_scheduler(CORE_ALONE) as scheduler:
            scheduler.start_soon(fails, "first")
            scheduler.start_soon(fails, "second")
            with pytest.raises(ValueError, match="awaited"):
                await scheduler.start_soon(fails, "awaited")
    assert sorted(map(str, raised.value.exceptions)) == ["first", "second"]


async def test_what_the_block_raises_leaves_it_as_it_is(autojump_clock: MockClock) -> None:
    with pytest.raises(KeyError, match="mine"):  # noqa: PT012
        async with penstock.open_scheduler(CORE_ALONE) as scheduler:
            handle = scheduler.start_soon(trio.sleep_forever)
            await trio.sleep(1)
            raise KeyError("mine")
    assert handle.status == "cancelled"
    with trio.move_on_after(5) as scope:
        async with penstock.open_scheduler(CORE_ALONE) as scheduler:
            handle = scheduler.start_soon(trio.sleep_forever)
            await trio.sleep_forever()
    assert scope.cancelled_caught
    assert handle.status == "cancelled"
    assert scheduler.report is not None


async def test_a_rule_of_ten_lines_is_parked_by_its_own_moment_and_shown_by_name(autojump_clock: MockClock) -> None:
    async with penstock.open_scheduler(CORE_ALONE, plugins=[QuietHours()], wall_clock=NIGHT) as scheduler:
        quiet = scheduler.start_soon(double, 1, group="batch")
        assert await scheduler.start_soon(double, 2, group="urgent") == 4
        assert trio.current_time() == 1.0
        text = scheduler.explain()
        assert "by QuietHours: quiet hours" in text
        assert "batch" in text
        assert await quiet == 2
        assert trio.current_time() == 8 * 3600 + 1


async def test_the_plugins_may_have_been_made_before(autojump_clock: MockClock) -> None:
    class Door:
        @hookimpl
        def penstock_task_eligible(self, task: SchedulableTask) -> Denied | None:
            return Denied("policy_denial", {At(5.0)}, detail="not yet") if trio.current_time() < 5.0 else None

    manager = PluginManager.from_config(load_config(CORE_ALONE).config, extra=[Door()])
    witness = Witness()
    async with penstock.open_scheduler(manager, plugins=[witness]) as scheduler:
        assert await scheduler.start_soon(double, 1) == 2
        assert trio.current_time() == 6.0
    assert [each.plugins for each in witness.runs] == [manager.active] == [("Door", "Witness")]


async def test_plugins_are_those_of_one_run(autojump_clock: MockClock) -> None:
    manager = PluginManager.from_config(load_config(CORE_ALONE).config)
    async with penstock.open_scheduler(manager):
        pass
    with pytest.raises(ConfigError, match="frozen"):
        async with penstock.open_scheduler(manager):
            pass


@pytest.mark.parametrize(("more", "given"), [(Path("gone.py"), {}), (Witness, {"run_id": "a/b"})])
async def test_plugins_are_added_to_those_made_before_all_or_none(
    autojump_clock: MockClock, more: object, given: dict[str, Any]
) -> None:
    manager = PluginManager.from_config(load_config(CORE_ALONE).config)
    with pytest.raises(penstock.PenstockError):
        async with penstock.open_scheduler(manager, plugins=[Witness(), more], **given):
            pass
    assert manager.active == ()


async def test_a_rule_may_be_a_file(autojump_clock: MockClock, tmp_path: Path) -> None:
    rules = tmp_path / "rules.py"
    rules.write_text(
        "from penstock import NEVER, Denied, hookimpl\n"
        "@hookimpl\n"
        "def penstock_task_eligible(task, now):\n"
        "    if task.group.key.identity[1] == 'bad':\n"
        "        return Denied('policy_denial', {NEVER}, detail='not here')\n",
        encoding="utf-8",
    )
    async with penstock.open_scheduler(CORE_ALONE, plugins=[rules]) as scheduler:
        with pytest.raises(TaskDropped, match="rules: not here"):
            await scheduler.start_soon(double, 1, group="bad")
        assert await scheduler.start_soon(double, 1) == 2


async def test_a_rule_that_raises_refuses_until_the_run_is_reconfigured(autojump_clock: MockClock) -> None:
    class Broken:
        @hookimpl
        def penstock_task_eligible(self, task: SchedulableTask, admission: TaskAdmissionView) -> Denied | None:
            raise RuntimeError("oh dear")

    async with penstock.open_scheduler(CORE_ALONE, plugins=[Broken()]) as scheduler:
        handle = scheduler.start_soon(double, 1)
        await trio.sleep(10)
        assert handle.status == "pending"
        assert "by Broken: raised RuntimeError" in scheduler.explain()
        scheduler.reconfigure(plugins=[])
        assert await handle == 2
        assert trio.current_time() == 11.0


async def test_a_run_that_cannot_go_on_says_why(autojump_clock: MockClock) -> None:
    class Door:
        @hookimpl
        def penstock_task_eligible(self, task: SchedulableTask) -> Denied | None:
            return Denied("policy_denial", {Signal("open")}, detail="the door is shut")

    config = {**CORE_ALONE, "scheduler": {"stall_timeout": 20.0}}
    with pytest.raises(StallError, match="the door is shut"):
        async with penstock.open_scheduler(config, plugins=[Door()]) as scheduler:
            handle = scheduler.start_soon(double, 1)
    assert trio.current_time() == 20.0
    assert handle.status == "shutdown"
    assert scheduler.report is not None
    assert scheduler.report.not_done_count == 1


async def test_sinks_and_notes_hear_of_the_run(autojump_clock: MockClock) -> None:
    witness = Witness()
    async with penstock.open_scheduler(CORE_ALONE, plugins=[witness], run_id="mine") as scheduler:
        await scheduler.start_soon(double, 1)
    assert [run.run_id for run in witness.runs] == ["mine"]
    assert witness.reports == [scheduler.report]
    assert witness.kinds[0] == "scheduler_job_started"
    assert witness.kinds[-1] == "scheduler_job_completed"
    assert witness.kinds.count("task_lease_acquired") == witness.kinds.count("task_lease_released") == 1


@pytest.mark.parametrize("looks", [True, False])
async def test_who_hears_of_nothing_but_ends_is_told_each_under_its_own_execution(
    looks: bool, autojump_clock: MockClock
) -> None:
    class Ends:
        sink = SinkSpec(kinds=frozenset({"task_completed", "task_lease_released"}))

        @hookimpl
        def penstock_scheduler_event(self, event: RuntimeEvent) -> None:
            told.append((event.event_kind, event.task_execution_id))

    async def fails_once() -> None:
        if looks:
            correlation = current_correlation()
            assert correlation is not None
            seen.append(correlation.task_execution_id)
        if not told:
            raise ValueError

    told, seen = list[tuple[str, str | None]](), list[str | None]()
    async with penstock.open_scheduler(CORE_ALONE, plugins=[Ends()]) as scheduler:
        await scheduler.start_soon(fails_once, retry_on=(ValueError,))
    first, second = [execution for kind, execution in told if kind == "task_completed"]
    assert first != second
    assert [execution for kind, execution in told if kind == "task_lease_released"] == [first, second]
    assert seen == ([first, second] if looks else [])


async def test_tasks_make_requests_under_the_run_that_they_belong_to(autojump_clock: MockClock) -> None:
    config = {**CORE_ALONE, "providers": {"p": {"kind": "mock", "models": {"m": {"max_parallel_requests": 2}}}}}

    async def call(number: int) -> int:
        async with penstock.request("p/m", domain="chat"):
            await trio.sleep(1)
        return number

    async with penstock.open_scheduler(config) as scheduler:
        handles = [scheduler.start_soon(call, number) for number in range(6)]
        assert [await handle for handle in handles] == list(range(6))
        assert trio.current_time() == 3.0
    assert scheduler.report is not None
    assert scheduler.report.request_leases == (6, 6)
    with pytest.raises(RuntimeError, match="there is no run here"):
        penstock.request("p/m")


async def test_runs_may_follow_each_other_and_stand_inside_each_other(autojump_clock: MockClock) -> None:
    async with penstock.open_scheduler(CORE_ALONE) as outer:
        async with penstock.open_scheduler(CORE_ALONE) as inner:
            assert penstock.current_executor() is inner.requests
            assert await inner.start_soon(double, 1) == 2
        assert penstock.current_executor() is outer.requests
        assert await outer.start_soon(double, 1) == 2


class NotToday:
    """Nothing for a day, whatever happens."""

    @hookimpl
    def penstock_task_eligible(self, task: SchedulableTask, now: float) -> Denied | None:
        return Denied("policy_denial", {At(now + 86_400)}, "group", detail="not today")


async def test_what_a_rule_refused_is_asked_again_when_the_rule_is_taken_out(autojump_clock: MockClock) -> None:
    async with penstock.open_scheduler(plugins=[NotToday()]) as scheduler:
        handle = scheduler.start_soon(double, 4)
        await trio.sleep(5)
        scheduler.reconfigure(plugins=[])
        assert await handle == 8
        assert trio.current_time() == 6


async def test_what_is_no_limiter_is_the_error_of_its_plugin_which_says_what_it_lacks() -> None:
    class Half:
        @hookimpl
        def penstock_request_limiter(self, scope: object) -> object:  # type: ignore[penstock]
            return object()

    with pytest.raises(PluginError, match=r"must make a RequestLimiter.*lacks acquire, check, next_change") as caught:
        async with penstock.open_scheduler(
            {"providers": {"acme": {"models": {"small": {"max_parallel_requests": 2}}}}}, plugins=[Half()]
        ):
            pass
    assert caught.value.plugin == "Half"
