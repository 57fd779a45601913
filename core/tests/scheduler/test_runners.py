"""Runners by name: which of them a task gets, what is refused when it is handed in, and what one does wrong."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import pytest
import trio
import trio.testing
from trio.testing import MockClock

import penstock
from penstock import (
    ConfigError,
    PluginError,
    RunnerStanding,
    RuntimeEvent,
    SchedulableTask,
    TaskAbandoned,
    TaskCancelled,
    TaskRunner,
    TaskSpec,
    WorkerLost,
    WorkerPlaces,
    check_plain_function,
)
from penstock.testing import open_rig


class Plain:
    """A runner of plain functions, which each take a second; in virtual time."""

    def __init__(self, workers: int = 2) -> None:
        self.places = WorkerPlaces(workers)
        self.ran: list[str] = []

    def check(self, fn: Callable[..., Any], args: Sequence[Any]) -> None:
        check_plain_function(fn)

    async def run(self, task: SchedulableTask, lease: object) -> Any:
        async with self.places.place(task.task_id):
            self.ran.append(task.task_id)
            await trio.sleep(1)
            return task.payload()

    def standing(self, now: float) -> RunnerStanding:
        return self.places.standing(now)


class Plugin:
    """A plugin whose runner is given."""

    def __init__(self, name: str, runner: Any) -> None:
        self.plugin_name = name
        self.runner = runner

    @penstock.hookimpl
    def penstock_task_runner(self) -> Any:
        return self.runner


class Witness:
    def __init__(self) -> None:
        self.events: list[RuntimeEvent] = []

    @penstock.hookimpl
    def penstock_scheduler_event(self, event: RuntimeEvent) -> None:
        self.events.append(event)


def doubled(number: int) -> int:
    return number * 2


async def doubled_later(number: int) -> int:
    return number * 2


# -- who runs a task


async def test_a_task_names_its_runner_and_all_others_run_in_the_nursery(autojump_clock: MockClock) -> None:
    one, other = Plain(), Plain()
    async with open_rig(runners={"one": one, "other": other}) as rig:
        scheduler = rig.scheduler
        assert await scheduler.start_soon(doubled, 1, runner="one", task_id="a") == 2
        assert await scheduler.start_soon(doubled, 2, runner="other", task_id="b") == 4
        assert await scheduler.start_soon(doubled_later, 3) == 6
        assert await scheduler.start_soon(doubled_later, 4, runner="nursery") == 8
        assert scheduler.runners == ("one", "other")
    assert (one.ran, other.ran) == (["a"], ["b"])


async def test_a_graph_and_a_map_name_their_runners_too(autojump_clock: MockClock) -> None:
    runner = Plain()
    async with open_rig(runners={"one": runner}) as rig:
        async with rig.scheduler.map(doubled, [1, 2, 3], runner="one") as results:
            assert {result async for result in results} == {2, 4, 6}
        specs = [
            TaskSpec(task_id="first", fn=doubled, args=(1,), runner="one"),
            TaskSpec(task_id="second", fn=doubled_later, args=(2,), after=["first"]),
        ]
        handles = rig.scheduler.add(specs)
        assert (await handles["first"], await handles["second"]) == (2, 4)
    assert runner.ran[3:] == ["first"]


async def test_the_configuration_names_the_runner_of_a_group(autojump_clock: MockClock) -> None:
    runner = Plain()
    config = {"scheduler": {"runners": {"local/parse": "one"}}}
    async with penstock.open_scheduler(config, plugins=[Plugin("one", runner)]) as scheduler:
        assert await scheduler.start_soon(doubled, 1, group="parse", runner=None, task_id="a") == 2
        assert await scheduler.start_soon(doubled_later, 2, group="parse", runner="nursery") == 4
        assert await scheduler.start_soon(doubled_later, 2, group="other") == 4
        assert await scheduler.start_soon(doubled, 3, runner="one", group="other", task_id="b") == 6
    assert runner.ran == ["a", "b"]


async def test_another_map_of_groups_holds_for_what_is_handed_in_from_then_on(autojump_clock: MockClock) -> None:
    runner = Plain()
    async with penstock.open_scheduler(plugins=[Plugin("one", runner)]) as scheduler:
        before = scheduler.start_soon(doubled_later, 1, group="parse")
        done = scheduler.reconfigure({"scheduler": {"runners": {"local/parse": "one"}}})
        after = scheduler.start_soon(doubled, 2, group="parse", runner=None)
        assert (await before, await after) == (2, 4)
        assert done.figures["scheduler.runners"] == ({}, {"local/parse": "one"})
        with pytest.raises(ConfigError, match=r"scheduler.runners.\"local/parse\": no runner 'on' is active"):
            scheduler.reconfigure({"scheduler": {"runners": {"local/parse": "on"}}})
        with pytest.raises(ConfigError, match=r"plugins.task_runners: cannot change .* the runners run tasks"):
            scheduler.reconfigure({}, plugins=[])
    assert len(runner.ran) == 1


# -- what is refused when it is handed in


async def test_what_cannot_run_is_refused_to_who_hands_it_in(autojump_clock: MockClock) -> None:
    async with open_rig(runners={"one": Plain()}) as rig:
        scheduler = rig.scheduler
        good = scheduler.start_soon(doubled, 1, runner="one")
        with pytest.raises(
            ConfigError, match="runner 'one': fn must be a plain function, and doubled_later is an async"
        ):
            scheduler.start_soon(doubled_later, 1, runner="one")
        with pytest.raises(ConfigError, match="no runner is called 'On'; did you mean 'one'"):
            scheduler.start_soon(doubled, 1, runner="On")
        with pytest.raises(ConfigError, match="no runner is called 'x'; known are nursery, one"):
            scheduler.map(doubled, [1], runner="x")
        with pytest.raises(ConfigError, match="runner must be"):
            scheduler.start_soon(doubled, 1, runner=3)  # type: ignore[call-overload]
        with pytest.raises(ConfigError, match="runner 'one'"):
            scheduler.add(
                [
                    TaskSpec(task_id="fine", fn=doubled_later, args=(1,)),
                    TaskSpec(task_id="not", fn=doubled_later, args=(1,), runner="one"),
                ]
            )
        assert scheduler.progress["unfinished"] == 1
        assert await good == 2


async def test_a_plain_function_in_the_nursery_is_told_of_runners(autojump_clock: MockClock) -> None:
    async with open_rig() as rig:
        with pytest.raises(ConfigError, match=r'the nursery runs async functions: .* runner="threads" if it blocks'):
            await rig.scheduler.start_soon(doubled, 1)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("tables", "problem"),
    [
        ({"plugins": {"task_runner": "one"}}, "plugins.task_runner: unknown key; did you mean 'task_runners'?"),
        ({"plugins": {"task_runners": "one"}}, "plugins.task_runners: must be a list"),
        ({"plugins": {"task_runners": ["one", "one"]}}, "plugins.task_runners: names 'one' twice"),
        ({"plugins": {"task_runners": ["on"]}}, "plugins.task_runners: no plugin 'on' is installed"),
        ({"scheduler": {"runners": {"local/x": "on"}}}, "scheduler.runners.\"local/x\": no runner 'on' is active"),
        ({"scheduler": {"runners": {"local/x": ""}}}, "scheduler.runners.\"local/x\": no runner '' is active"),
        ({"scheduler": {"runners": {"local/x": 1}}}, 'scheduler.runners."local/x": must be'),
        ({"scheduler": {"runners": "one"}}, "scheduler.runners: must be a table"),
    ],
)
async def test_what_the_configuration_says_of_runners_is_checked(tables: dict[str, Any], problem: str) -> None:
    with pytest.raises(ConfigError) as caught:
        async with penstock.open_scheduler(tables, plugins=[Plugin("one", Plain())]):
            pass
    assert problem in str(caught.value)


async def test_a_runner_cannot_be_called_as_the_cores_own(autojump_clock: MockClock) -> None:
    with pytest.raises(ConfigError, match="cannot be called 'nursery'"):
        async with penstock.open_scheduler(plugins=[Plugin("nursery", Plain())]):
            pass


async def test_a_group_that_is_misspelt_in_the_configuration_is_told_at_the_end(
    autojump_clock: MockClock, caplog: pytest.LogCaptureFixture
) -> None:
    config = {"scheduler": {"runners": {"local/prase": "one", "local/quite_another": "one"}}}
    async with penstock.open_scheduler(config, plugins=[Plugin("one", Plain())]) as scheduler:
        await scheduler.start_soon(doubled_later, 1, group="parse")
    assert scheduler.report is not None
    told = "scheduler.runners names 'local/prase', which no task had; did you mean 'local/parse'?"
    assert scheduler.report.diagnostics["runners"] == [told]
    assert [each.getMessage() for each in caplog.records] == [told]


# -- how runners stand


async def test_busy_workers_depth_and_starvation_stand_in_health_and_explain(autojump_clock: MockClock) -> None:
    async with penstock.open_scheduler(plugins=[Plugin("one", Plain(workers=1))]) as scheduler:
        first = scheduler.start_soon(doubled, 0, runner="one", task_id="t0")
        await trio.testing.wait_all_tasks_blocked()
        for number in (1, 2):
            scheduler.start_soon(doubled, number, runner="one", task_id=f"t{number}")
        await trio.sleep(0.5)
        assert not first.done
        standing = scheduler.health().runners["one"]
        assert (standing.workers, standing.busy, standing.waiting) == (1, 1, 2)
        assert (standing.longest_wait, standing.starved) == (0.5, 0.5)
        assert list(standing.running) == ["t0"]
        assert scheduler.explanation().runners["one"] == standing
        line = "runner one: 1 of 1 workers busy, 2 tasks wait, the first for 0.5 s; "
        assert line in scheduler.explain()
        await trio.sleep(2.25)
        standing = scheduler.health().runners["one"]
        assert (standing.busy, standing.waiting, standing.starved) == (1, 0, 2.0)
        assert scheduler.health().as_dict()["runners"]["one"]["busy"] == 1


async def test_who_waits_for_a_worker_may_be_cancelled(autojump_clock: MockClock) -> None:
    runner = Plain(workers=1)
    async with open_rig(runners={"one": runner}) as rig:
        handles = [rig.scheduler.start_soon(doubled, n, runner="one", cancellable=True) for n in range(3)]
        await trio.sleep(0.5)
        waiting = [handle for handle in handles if handle.task_id not in runner.ran]
        rig.scheduler.cancel_task(waiting[0].task_id)
        await waiting[0].wait()
        assert runner.standing(trio.current_time()).waiting == 1
        await waiting[1]
        assert [handle.status for handle in handles if handle is not waiting[0]] == ["completed", "completed"]
    assert waiting[0].status == "cancelled"
    assert len(runner.ran) == 2
    assert runner.standing(2.0).starved == 1.0


@pytest.mark.parametrize("workers", [0, -1, True, 1.5, float("nan"), "2"])
def test_the_number_of_workers_is_a_whole_one(workers: Any) -> None:
    with pytest.raises(ConfigError, match="workers"):
        WorkerPlaces(workers)


# -- what runners raise, and what they leave


async def test_a_task_whose_worker_was_lost_runs_again_only_where_it_may_run_twice(autojump_clock: MockClock) -> None:
    class Losing(Plain):
        async def run(self, task: SchedulableTask, lease: object) -> Any:
            self.ran.append(task.task_id)
            if self.ran.count(task.task_id) == 1:
                raise WorkerLost("the worker has gone")
            return task.payload()

    async with open_rig(runners={"one": Losing()}) as rig:
        twice = rig.scheduler.start_soon(doubled, 1, runner="one", retry_on=(WorkerLost,))
        once = rig.scheduler.start_soon(doubled, 1, runner="one")
        assert await twice == 2
        with pytest.raises(WorkerLost):
            await once
        assert (twice.attempts, once.attempts) == (2, 1)


class Leaving(Plain):
    """A runner whose tasks end by themselves only, unless it is to leave them."""

    def __init__(self) -> None:
        super().__init__()
        self.leaving = trio.Event()

    async def run(self, task: SchedulableTask, lease: object) -> Any:
        try:
            await trio.sleep_forever()
        except trio.Cancelled:
            with trio.CancelScope(shield=True):
                await self.leaving.wait()
                await trio.sleep(2)
            raise TaskAbandoned("it would not end") from None

    def leave(self) -> None:
        self.leaving.set()


@pytest.mark.parametrize("way", ["shutdown", "cancel", "outside", "an error"])
async def test_what_does_not_end_is_left_when_the_grace_is_over_and_is_reported(
    way: str, autojump_clock: MockClock
) -> None:
    witness = Witness()
    config = {"scheduler": {"shutdown_grace": 5}}
    with trio.CancelScope() as outside:
        try:
            async with penstock.open_scheduler(config, plugins=[Plugin("one", Leaving()), witness]) as scheduler:
                handle = scheduler.start_soon(doubled, 1, runner="one", task_id="stuck")
                await trio.sleep(1)
                if way == "outside":
                    outside.cancel()
                elif way == "an error":
                    raise ValueError("of the block")
                else:
                    getattr(scheduler, way)()
                await handle.wait()
                assert scheduler.health().abandoned == 1
        except ValueError:
            assert way == "an error"
    assert trio.current_time() == {"shutdown": 1 + 5 + 2}.get(way, 1 + 2)
    report = scheduler.report
    assert report is not None
    assert report.abandoned == {"stuck": "it would not end"}
    assert report.leases == (1, 1)
    assert "would not end" in report.not_done["stuck"]
    assert isinstance(handle.error, TaskCancelled)
    ends = [(e.event_kind, e.reason_or_outcome) for e in witness.events if e.reason_or_outcome == "abandoned"]
    assert ends == [("task_completed", "abandoned"), ("task_lease_released", "abandoned")]


class Faulty(Plain):
    def __init__(self, method: str, error: BaseException) -> None:
        super().__init__()
        self.method, self.error = method, error

    def go_wrong(self, method: str) -> None:
        if method == self.method:
            raise self.error

    def check(self, fn: object, args: object) -> None:
        self.go_wrong("check")

    def standing(self, now: float) -> RunnerStanding:
        self.go_wrong("standing")
        return super().standing(now)

    def leave(self) -> None:
        self.go_wrong("leave")

    async def __aenter__(self) -> None:
        self.go_wrong("__aenter__")

    async def __aexit__(self, *_: object) -> None:
        self.go_wrong("__aexit__")


ERRORS = [ValueError("secret"), SystemExit(3), GeneratorExit()]


@pytest.mark.parametrize("error", ERRORS, ids=repr)
async def test_a_check_that_raises_names_the_plugin_and_refuses_that_task_alone(
    error: BaseException, autojump_clock: MockClock
) -> None:
    async with penstock.open_scheduler(plugins=[Plugin("one", Faulty("check", error))]) as scheduler:
        with pytest.raises(PluginError, match=r"its runner: raised .* at test_runners.py:") as caught:
            scheduler.start_soon(doubled, 1, runner="one")
        assert await scheduler.start_soon(doubled_later, 1) == 2
    assert caught.value.plugin == "one"
    assert "secret" not in str(caught.value)
    assert scheduler.report is not None
    assert [each.hook for each in scheduler.report.plugin_failures] == ["penstock_task_runner.check"]


@pytest.mark.parametrize("error", ERRORS, ids=repr)
@pytest.mark.parametrize("method", ["standing", "leave"])
async def test_what_is_only_told_or_asked_hurts_nobody(
    method: str, error: BaseException, autojump_clock: MockClock
) -> None:
    async with penstock.open_scheduler(plugins=[Plugin("one", Faulty(method, error))]) as scheduler:
        assert await scheduler.start_soon(doubled, 1, runner="one") == 2
        assert "runner" in scheduler.explain() or method == "standing"
        scheduler.health()
        scheduler.start_soon(trio.sleep, 5)
        await trio.sleep(1)
        scheduler.cancel()
    assert scheduler.report is not None
    assert [each.hook for each in scheduler.report.plugin_failures] == [f"penstock_task_runner.{method}"]


@pytest.mark.parametrize("error", ERRORS, ids=repr)
@pytest.mark.parametrize("method", ["__aenter__", "__aexit__"])
async def test_a_runner_that_cannot_be_opened_or_closed_is_named(
    method: str, error: BaseException, autojump_clock: MockClock
) -> None:
    with pytest.raises(PluginError, match="its runner: raised") as caught:
        async with penstock.open_scheduler(plugins=[Plugin("one", Faulty(method, error))]) as scheduler:
            await scheduler.start_soon(doubled, 1, runner="one")
    assert caught.value.plugin == "one"


@pytest.mark.parametrize("method", ["__aenter__", "__aexit__"])
async def test_a_runner_that_raises_a_cancellation_that_is_over_is_named(
    method: str, cancellation_that_is_over: trio.Cancelled, autojump_clock: MockClock
) -> None:
    told: BaseException | None = None
    try:
        async with penstock.open_scheduler(
            plugins=[Plugin("one", Faulty(method, cancellation_that_is_over))]
        ) as scheduler:
            await scheduler.start_soon(doubled, 1, runner="one")
    except BaseException as error:  # a test that a cancellation ends does not fail
        told = error
    assert isinstance(told, PluginError)
    assert told.plugin == "one"


def test_what_is_no_runner_is_none() -> None:
    assert isinstance(Plain(), TaskRunner)
    assert not isinstance(object(), TaskRunner)
