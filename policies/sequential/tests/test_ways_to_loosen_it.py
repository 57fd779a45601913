"""Ways to have two tasks on the gpu at a time, or in another order: each is refused, or changes nothing."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Mapping, Sequence
from copy import deepcopy
from pathlib import Path
from typing import Any

import pytest
import trio
from trio.testing import MockClock

import penstock
from penstock import (
    ConfigError,
    Denied,
    FifoTaskQueue,
    NurseryTaskRunner,
    PluginManager,
    QueueSelection,
    QueueView,
    ReadyQueue,
    SchedulableTask,
    Scheduler,
    SinkSpec,
    StallError,
    TaskAdmissionConfig,
    TaskAdmissionController,
    TaskAdmissionPolicy,
    TaskAdmissionPolicyDecision,
    TaskHandle,
    TaskRefused,
    hookimpl,
)
from penstock.testing import TaskBench, make_task
from penstock_sequential import SequentialConfig, SequentialPlugin, SequentialPolicy

CONFIG: dict[str, Any] = {
    "scheduler": {"resources": {"gpu": 1, "disk": 4}},
    "plugins": {"task_policies": ["strict-fair", "sequential"], "sequential": {"resources": ["gpu"]}},
}
PROMISE = "at most one task at a time holds 'gpu', in the order of arrival"
GPU = {"gpu": 1}


def changed(*path_and_value: Any) -> dict[str, Any]:
    """The configuration with another value at a path; `...` takes the key out."""
    *path, key, value = path_and_value
    config = deepcopy(CONFIG)
    table = config
    for part in path:
        table = table.setdefault(part, {})
    if value is ...:
        del table[key]
    else:
        table[key] = value
    return config


REQUIRED_ONLY = changed(
    "plugins", {"task_policies": [], "required": ["sequential"], "sequential": {"resources": ["gpu"]}}
)


def told(config: Mapping[str, Any], *plugins: object) -> list[str]:
    """What is wrong with a configuration."""
    with pytest.raises(ConfigError) as caught:
        PluginManager.from_config(penstock.load_config(config).config, extra=plugins)
    return [line.removeprefix("<mapping>: ") for line in caught.value.problems]


class Gpu:
    """What there is one of: it counts who is on it, and notes in which order they came."""

    def __init__(self) -> None:
        self.on_it = self.most = 0
        self.order: list[str] = []

    async def use(self, name: str, seconds: float = 1.0) -> str:
        self.on_it += 1
        self.most = max(self.most, self.on_it)
        self.order.append(name)
        try:
            await trio.sleep(seconds)
        finally:
            self.on_it -= 1
        return name


NAMES = ["a1", "b1", "a2", "c1", "b2", "a3"]


async def in_order(scheduler: Scheduler, gpu: Gpu) -> None:
    """Six tasks of three groups are on the gpu one by one, as they came."""
    before = len(gpu.order)
    handles = [scheduler.start_soon(gpu.use, name, group=name[0], needs=GPU) for name in NAMES]
    for handle in handles:
        await handle
    assert [name for name in gpu.order[before:] if name in NAMES] == NAMES
    assert gpu.most == 1


async def goes_in_order(config: Mapping[str, Any], *plugins: object) -> None:
    async with penstock.open_scheduler(config, plugins=plugins) as scheduler:
        await in_order(scheduler, Gpu())


# -- what is refused at the start


@pytest.mark.parametrize("limit", [2, 8])
def test_a_limit_above_1(limit: int) -> None:
    (line,) = told(changed("scheduler", "resources", "gpu", limit))
    assert line == f"scheduler.resources.gpu: must be 1, not {limit} ('sequential' promises: {PROMISE})"


def test_no_limit_at_all() -> None:
    (line,) = told(changed("scheduler", "resources", "gpu", ...))
    assert line == f"scheduler.resources.gpu: is missing; write 1 ('sequential' promises: {PROMISE})"


def test_another_file_over_it() -> None:
    """As somebody merges them: the later one wins, key by key."""
    local = {"scheduler": {"resources": {"gpu": 2}}}
    merged = {**CONFIG, "scheduler": {**CONFIG["scheduler"], **local["scheduler"]}}
    assert "scheduler.resources.gpu: must be 1, not 2" in told(merged)[0]


def test_shadow() -> None:
    (line,) = told(changed("plugins", "sequential", "shadow", True))
    assert (
        line == "plugins.sequential.shadow: this plugin cannot be in shadow, since it makes promises; take the key out"
    )


def test_a_list_of_policies_without_it() -> None:
    (line,) = told(changed("plugins", "task_policies", ["strict-fair"]))
    assert line.startswith("plugins.sequential: this plugin is in no list, so nobody asks it;")


def test_a_list_without_it_where_it_is_required() -> None:
    (line,) = told(REQUIRED_ONLY)
    assert line.startswith("plugins.task_policies: must name 'sequential': where it is only required")


def test_a_resource_that_is_misspelt() -> None:
    (line,) = told(changed("plugins", "sequential", "resources", ["gpus"]))
    assert line.startswith("scheduler.resources.gpus: is missing; write 1")


def test_a_file_that_takes_its_table_out() -> None:
    (line,) = told(changed("plugins", "sequential", ...))
    assert line.startswith("plugins.sequential.resources: is missing")


@pytest.mark.parametrize("resources", [[], ["gpu", "gpu"], [""], ["submission"]])
def test_resources_that_are_none(resources: list[str]) -> None:
    assert told(changed("plugins", "sequential", "resources", resources))[0].startswith("plugins.sequential.resources:")


class Twice(NurseryTaskRunner):
    """Starts each task twice, and takes the first answer, as one hedges against a slow machine."""

    plugin_name = "twice"

    async def run(self, task: SchedulableTask, lease: penstock.TaskAdmissionLease) -> Any:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(super().run, task, lease)
            return await super().run(task, lease)

    @hookimpl
    def penstock_task_runner(self) -> penstock.TaskRunner:
        return self


def test_a_runner_that_may_start_a_task_twice() -> None:
    (line,) = told(CONFIG, Twice())
    assert "'twice' is not known to start each task once" in line
    assert 'runners = [..., "twice"] under [plugins.sequential]' in line
    assert told(changed("plugins", "sequential", "runners", ["once"]), Twice()) == [line]
    allowed = penstock.load_config(changed("plugins", "sequential", "runners", ["twice"])).config
    assert PluginManager.from_config(allowed, extra=[Twice()]).promises


class Imposter:
    """A plugin of the same name that lets everything go."""

    plugin_name = "sequential"

    @hookimpl
    def penstock_task_eligible(self, task: SchedulableTask) -> None: ...


def test_another_plugin_under_its_name() -> None:
    assert any("two plugins are called 'sequential'" in line for line in told(CONFIG, Imposter()))


class Rival:
    """A policy that says it alone decides in which order tasks go."""

    plugin_name = "rival"
    exclusive = "task fairness"

    @hookimpl
    def penstock_task_policy(self) -> None: ...


def test_a_plugin_that_excludes_others_excludes_no_promise(autojump_clock: MockClock) -> None:
    (line,) = told(CONFIG, Rival())
    assert line.startswith("plugins: 'strict-fair' and 'rival' exclude each other")


class Wrapper:
    """A hook that would answer in the place of all others."""

    @hookimpl(wrapper=True)
    def penstock_task_policy(self) -> Iterator[None]:  # type: ignore[penstock]
        yield
        return None


def test_a_hook_wrapper() -> None:
    with pytest.raises(penstock.PluginError, match="there is nothing to wrap"):
        PluginManager.from_config(penstock.load_config(CONFIG).config, extra=[Wrapper()])


# -- what is refused while the run goes on


@pytest.mark.parametrize(
    ("config", "where"),
    [
        (changed("scheduler", "resources", "gpu", 4), "scheduler.resources.gpu"),
        (changed("scheduler", "resources", "gpu", ...), "scheduler.resources.gpu"),
        (changed("plugins", "sequential", "shadow", True), "plugins.sequential.shadow"),
        (changed("plugins", {}), "plugins"),
        (REQUIRED_ONLY, "plugins.task_policies"),
        (changed("plugins", "sequential", "resources", ["disk"]), "plugins.sequential"),
    ],
    ids=["a limit of 4", "no limit", "shadow", "no plugin", "nobody asks it", "another resource"],
)  # fmt: skip
async def test_another_configuration_while_the_run_goes_on(
    config: dict[str, Any], where: str, autojump_clock: MockClock
) -> None:
    gpu = Gpu()
    async with penstock.open_scheduler(CONFIG) as scheduler:
        waiting = [scheduler.start_soon(gpu.use, name, needs=GPU) for name in NAMES]
        await trio.sleep(0.5)
        with pytest.raises(ConfigError) as caught:
            scheduler.reconfigure(config)
        assert where in [".".join(map(str, problem.path)) for problem in caught.value.records]
        for handle in waiting:
            await handle
        await in_order(scheduler, gpu)


async def test_plugins_given_anew_without_it(autojump_clock: MockClock) -> None:
    class Given(SequentialPlugin):
        def __init__(self) -> None:
            super().__init__(SequentialConfig(resources=["gpu"]))

        Config = None  # type: ignore[assignment]

    async with penstock.open_scheduler({"scheduler": CONFIG["scheduler"]}, plugins=[Given()]) as scheduler:
        with pytest.raises(ConfigError, match="'Given' cannot be taken out while the run goes on"):
            scheduler.reconfigure(plugins=[])
        await in_order(scheduler, Gpu())


async def test_it_cannot_come_while_two_tasks_hold_the_resource(autojump_clock: MockClock) -> None:
    without = {"scheduler": {"resources": {"gpu": 2, "disk": 4}}}
    gpu = Gpu()
    async with penstock.open_scheduler(without) as scheduler:
        handles = [
            scheduler.start_soon(gpu.use, name, seconds, needs=GPU) for name, seconds in (("a", 1.0), ("b", 2.0))
        ]
        await trio.sleep(0.5)
        with pytest.raises(ConfigError, match="is held 2 times now; wait until at most one task holds it"):
            scheduler.reconfigure(CONFIG)
        await handles[0]
        assert scheduler.reconfigure(CONFIG).added == ("sequential",)
        assert scheduler.health().promises == {"sequential": (PROMISE,)}
        gpu.most = 1
        await in_order(scheduler, gpu)


# -- what changes nothing


class Reversed(FifoTaskQueue):
    """A queue that offers the youngest first."""

    def __init__(self) -> None:
        super().__init__()
        self._tasks: list[SchedulableTask] = []

    def enqueue(self, tasks: Sequence[SchedulableTask], now: float) -> tuple[str, ...]:
        accepted = super().enqueue(tasks, now)
        self._tasks = [*reversed([task for task in tasks if task.task_id in accepted]), *self._tasks]
        return accepted

    def select_next(
        self, is_eligible: Callable[[SchedulableTask, QueueView], Denied | None], now: float
    ) -> QueueSelection | None:
        for task in self._tasks:
            if is_eligible(task, _Lying()) is None:
                return QueueSelection(task, self.view(), 0)
        return None

    def commit(self, selection: QueueSelection, now: float) -> SchedulableTask | None:
        self._tasks.remove(selection.item)
        return super().discard(selection.item.task_id, now)

    def discard(self, task_id: str, now: float) -> SchedulableTask | None:
        self._tasks = [task for task in self._tasks if task.task_id != task_id]
        return super().discard(task_id, now)


class _Lying:
    """A view in which nobody is the oldest."""

    def oldest(self, resource: str) -> None:
        return None

    def __getattr__(self, name: str) -> Any:
        raise AssertionError("it is not asked")


class Unasked(FifoTaskQueue):
    """A queue that asks nobody whether a task may go."""

    def __init__(self) -> None:
        super().__init__()
        self._tasks: dict[str, SchedulableTask] = {}
        self._parked: set[str] = set()

    def enqueue(self, tasks: Sequence[SchedulableTask], now: float) -> tuple[str, ...]:
        accepted = super().enqueue(tasks, now)
        self._tasks |= {task.task_id: task for task in tasks if task.task_id in accepted}
        return accepted

    def select_next(self, is_eligible: object, now: float) -> QueueSelection | None:
        for task in reversed(self._tasks.values()):
            if task.task_id not in self._parked:
                return QueueSelection(task, self.view(), 0)
        return None

    def park(self, task: SchedulableTask, denied: Denied, now: float) -> None:
        self._parked.add(task.task_id)

    def wake(self, condition: object, amount: int, now: float) -> None:
        self._parked.clear()

    def commit(self, selection: QueueSelection, now: float) -> SchedulableTask | None:
        self._parked.clear()
        return self.discard(selection.item.task_id, now)

    def discard(self, task_id: str, now: float) -> SchedulableTask | None:
        self._tasks.pop(task_id)
        return super().discard(task_id, now)


@pytest.mark.parametrize("make", [Reversed, Unasked])
async def test_a_queue_with_an_order_of_its_own(make: type[FifoTaskQueue], autojump_clock: MockClock) -> None:
    class Queue:
        @hookimpl
        def penstock_ready_queue(self) -> ReadyQueue:
            return make()

    await goes_in_order(CONFIG, Queue())


@pytest.mark.parametrize("queue", ["fifo", "fair"])
@pytest.mark.parametrize("policies", [["sequential"], ["bounded-borrow", "sequential"], ["sequential", "strict-fair"]])
async def test_other_queues_and_policies(queue: str, policies: list[str], autojump_clock: MockClock) -> None:
    config = changed("plugins", "task_policies", policies)
    config["plugins"]["ready_queue"] = queue
    await goes_in_order(config)


class Says:
    """A policy and a rule that say yes to everything, before it is asked and after."""

    @hookimpl
    def penstock_task_eligible(self, task: SchedulableTask) -> None:
        return None

    @hookimpl
    def penstock_task_policy(self) -> TaskAdmissionPolicy:
        return self

    stateless = True

    def evaluate(self, *_: object) -> TaskAdmissionPolicyDecision:
        return TaskAdmissionPolicyDecision(None)

    def on_acquire(self, *_: object) -> None: ...

    def on_release(self, *_: object) -> None: ...


async def test_a_plugin_that_agrees_to_everything(autojump_clock: MockClock) -> None:
    await goes_in_order(CONFIG, Says())


async def test_environment_variables(autojump_clock: MockClock, monkeypatch: pytest.MonkeyPatch) -> None:
    names = "RESOURCES_GPU SCHEDULER_RESOURCES PLUGINS TASK_POLICIES SHADOW WORKERS DISABLE CONFIG"
    for name in names.split():
        monkeypatch.setenv(f"PENSTOCK_{name}", "8")
    monkeypatch.setenv("RUNQY_PYTHON_WORKERS", "8")
    await goes_in_order(CONFIG)


async def test_a_task_that_needs_two_of_it(autojump_clock: MockClock) -> None:
    async with penstock.open_scheduler(CONFIG) as scheduler:
        with pytest.raises(TaskRefused, match="it needs 2 of 'gpu', and the limit is 1"):
            scheduler.start_soon(Gpu().use, "greedy", needs={"gpu": 2})


async def test_a_task_that_starts_others_inside(autojump_clock: MockClock) -> None:
    gpu = Gpu()
    inner: list[TaskHandle[str]] = []

    async def outer() -> None:
        inner.extend(scheduler.start_soon(gpu.use, name, needs=GPU) for name in ("in1", "in2"))
        await gpu.use("out", 5.0)

    async with penstock.open_scheduler(CONFIG) as scheduler:
        await scheduler.start_soon(outer, needs=GPU)
        for handle in inner:
            await handle
    assert gpu.order == ["out", "in1", "in2"]
    assert gpu.most == 1


async def test_a_task_that_awaits_one_inside_is_told_that_it_waits_for_itself(autojump_clock: MockClock) -> None:
    gpu = Gpu()

    async def outer() -> str:
        return await scheduler.start_soon(gpu.use, "inner", needs=GPU)

    async with penstock.open_scheduler(CONFIG) as scheduler:
        handle = scheduler.start_soon(outer, needs=GPU)
        await handle.wait()
        assert isinstance(handle.error, StallError)
        assert "gpu is held by itself" in handle.error.chain[0]
        assert trio.current_time() == 0.0, "it is told at once"
    assert gpu.most <= 1


async def test_tasks_that_are_tried_again(autojump_clock: MockClock) -> None:
    gpu, tries = Gpu(), 0

    async def fails_twice() -> None:
        nonlocal tries
        tries += 1
        await gpu.use(f"try {tries}")
        if tries < 3:
            raise OSError

    async with penstock.open_scheduler(changed("scheduler", "retry_backoff", 0.1)) as scheduler:
        failing = scheduler.start_soon(fails_twice, needs=GPU, retry_on=(OSError,))
        await in_order(scheduler, gpu)
        await failing
    assert tries == 3
    assert gpu.most == 1


async def test_tasks_that_are_cancelled_while_they_hold_it(autojump_clock: MockClock) -> None:
    gpu = Gpu()

    async def slow_to_go() -> None:
        try:
            await gpu.use("cancelled", 10.0)
        finally:
            gpu.on_it += 1
            with trio.CancelScope(shield=True):
                await trio.sleep(5.0)
            gpu.on_it -= 1

    async with penstock.open_scheduler(CONFIG) as scheduler:
        scheduler.start_soon(slow_to_go, needs=GPU, cancellable=True, task_id="slow")
        waiting = scheduler.start_soon(gpu.use, "next", needs=GPU)
        await trio.sleep(1.0)
        scheduler.cancel_task("slow")
        await waiting
    assert gpu.order == ["cancelled", "next"]
    assert gpu.most == 1


async def test_limits_that_are_changed_behind_the_configuration(autojump_clock: MockClock) -> None:
    async with penstock.open_scheduler(CONFIG) as scheduler:
        scheduler.admission.set_limits({"submission": 1024, "gpu": 8, "disk": 4})
        await in_order(scheduler, Gpu())


def test_a_gate_without_a_configuration() -> None:
    controller = TaskAdmissionController(
        TaskAdmissionConfig(8, {"gpu": 8}), [("sequential", SequentialPolicy(["gpu"])), ("says", Says())]
    )
    bench = TaskBench(FifoTaskQueue(), controller)
    bench.enqueue(make_task(name, name[0], GPU) for name in NAMES)
    for name in NAMES:
        assert bench.start_all() == [name]
        bench.release(bench.out[0])


# -- what may change


async def test_what_leaves_it_as_it_is_may_change_while_the_run_goes_on(autojump_clock: MockClock) -> None:
    gpu = Gpu()
    async with penstock.open_scheduler(CONFIG) as scheduler:
        waiting = [scheduler.start_soon(gpu.use, name, needs=GPU) for name in NAMES]
        await trio.sleep(0.5)
        more = changed("scheduler", "resources", {"gpu": 1, "disk": 9, "tape": 1})
        more["plugins"]["sequential"]["resources"] = ["gpu", "tape"]
        assert scheduler.reconfigure(more).changed == ("sequential",)
        for handle in waiting:
            await handle
        await in_order(scheduler, gpu)
        with pytest.raises(ConfigError, match=r"would take back a promise while the run goes on: .*'tape'"):
            scheduler.reconfigure(CONFIG)


# -- what it says at the start


async def test_the_run_says_what_it_promises(autojump_clock: MockClock, caplog: pytest.LogCaptureFixture) -> None:
    events: list[penstock.RuntimeEvent] = []

    class Sink:
        sink = SinkSpec(mode="inline")

        @hookimpl
        def penstock_scheduler_event(self, event: penstock.RuntimeEvent) -> None:
            events.append(event)

    with caplog.at_level(logging.INFO, logger="penstock.run"):
        async with penstock.open_scheduler(CONFIG, plugins=[Sink()], run_id="r1") as scheduler:
            assert f"  sequential promises: {PROMISE}" in scheduler.explain().splitlines()
            assert scheduler.explanation().promises == {"sequential": (PROMISE,)}
            assert scheduler.health().promises == {"sequential": (PROMISE,)}
    assert f"run r1: plugin 'sequential' promises: {PROMISE}" in caplog.messages
    (started,) = [event for event in events if event.event_kind == "scheduler_job_started"]
    assert started.diagnostics is not None
    assert started.diagnostics["promises"] == {"sequential": [PROMISE]}


def test_files_as_the_readme_has_them(tmp_path: Path) -> None:
    text = (Path(__file__).parents[1] / "README.md").read_text(encoding="utf-8")
    file = tmp_path / "penstock.toml"
    file.write_text(text.partition("```toml\n")[2].partition("```")[0], encoding="utf-8")
    manager = PluginManager.from_config(penstock.load_config(file).config)
    assert manager.promises == {"sequential": (PROMISE,)}
