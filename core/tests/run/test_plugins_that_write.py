"""Plugins that write what they were given: each is blamed for it alone, and everybody else goes on."""

from __future__ import annotations

from typing import Any

import pytest
import trio
from trio.testing import MockClock

import penstock
from penstock import (
    FifoTaskQueue,
    PluginError,
    QueueView,
    ReadyQueue,
    RunReport,
    RuntimeEvent,
    SchedulableTask,
    TaskAdmissionLease,
    TaskAdmissionPolicy,
    TaskAdmissionPolicyDecision,
    TaskAdmissionView,
    TaskGroupSpec,
    hookimpl,
)

CONFIG = {"scheduler": {"stall_timeout": 2.0, "submission_capacity": 1}}
OTHER = TaskGroupSpec.named("other", 9.0)


class WritingRule:
    """Would give its own group's tasks to another group."""

    @hookimpl
    def penstock_task_eligible(self, task: SchedulableTask) -> None:
        if str(task.group.key) == "local/mine":
            task.group = OTHER  # type: ignore[misc]


class WritingPolicy:
    """The same, and takes what it has read of the ledger for its own."""

    stateless = False

    def __init__(self, at: str) -> None:
        self.at = at

    @hookimpl
    def penstock_task_policy(self) -> TaskAdmissionPolicy:
        return self

    def evaluate(
        self, task: SchedulableTask, queue: QueueView, admission: TaskAdmissionView, now: float
    ) -> TaskAdmissionPolicyDecision:
        if self.at == "evaluate" and str(task.group.key) == "local/mine":
            admission.resources_available = {}  # type: ignore[misc]
        return TaskAdmissionPolicyDecision()

    def on_acquire(self, lease: TaskAdmissionLease, decision: Any, now: float) -> None:
        if self.at == "on_acquire":
            lease.item = None  # type: ignore[assignment]

    def on_release(self, lease: TaskAdmissionLease, now: float) -> None:
        if self.at == "on_release":
            lease.number = 0


async def _ended_groups(plugin: object) -> tuple[list[str], RunReport]:
    ended: list[str] = []

    async def task(name: str) -> None:
        await trio.sleep(1.0)
        ended.append(name)

    async with penstock.open_scheduler(CONFIG, plugins=[plugin]) as scheduler:
        mine = [scheduler.start_soon(task, "mine", group="mine") for _ in range(2)]
        others = [scheduler.start_soon(task, name, group=name) for name in ("a", "b", "a")]
        for handle in others:
            await handle
        for handle in mine:
            await handle.wait()
            if isinstance(handle.error, PluginError):
                assert "ReadOnlyError" in str(handle.error)
                ended.append("refused")
    assert scheduler.report is not None
    return sorted(ended), scheduler.report


@pytest.mark.parametrize("plugin", [WritingRule(), WritingPolicy("evaluate")])
async def test_who_writes_while_it_is_asked_keeps_only_its_own_tasks_back(
    plugin: object, autojump_clock: MockClock
) -> None:
    ended, report = await _ended_groups(plugin)
    assert ended == ["a", "a", "b", "refused", "refused"]
    assert {each.plugin for each in report.plugin_failures} == {type(plugin).__name__}


@pytest.mark.parametrize("at", ["on_acquire", "on_release"])
async def test_who_writes_a_lease_is_blamed_and_the_lease_comes_back(at: str, autojump_clock: MockClock) -> None:
    ended, report = await _ended_groups(WritingPolicy(at))
    assert ended == ["a", "a", "b", "mine", "mine"]
    (failure,) = report.plugin_failures
    assert (failure.plugin, failure.hook, failure.count) == ("WritingPolicy", f"penstock_task_policy.{at}", 5)
    assert report.leases == (5, 5)


class WritingQueue(FifoTaskQueue):
    """A ready queue that would give tasks another group when they come."""

    def enqueue(self, tasks: Any, now: float) -> tuple[str, ...]:
        for task in tasks:
            task.group = OTHER
        return super().enqueue(tasks, now)


class QueuePlugin:
    @hookimpl
    def penstock_ready_queue(self) -> ReadyQueue:
        return WritingQueue()


async def test_a_queue_that_writes_is_named(autojump_clock: MockClock) -> None:
    with pytest.raises(PluginError, match=r"QueuePlugin.*ReadOnlyError at test_plugins_that_write\.py"):
        async with penstock.open_scheduler(
            {**CONFIG, "plugins": {"ready_queue": "QueuePlugin"}}, plugins=[QueuePlugin()]
        ) as scheduler:
            await scheduler.start_soon(trio.sleep, 0)


class WritingSink:
    @hookimpl
    def penstock_scheduler_event(self, event: RuntimeEvent) -> None:
        event.sequence = 0  # type: ignore[misc]


class ReadingSink:
    def __init__(self) -> None:
        self.sequences: list[int] = []

    @hookimpl
    def penstock_scheduler_event(self, event: RuntimeEvent) -> None:
        self.sequences.append(event.sequence)


async def test_a_sink_that_writes_an_event_is_set_aside_and_the_next_reads_it_as_it_was(
    autojump_clock: MockClock,
) -> None:
    reads = ReadingSink()
    async with penstock.open_scheduler(CONFIG, plugins=[WritingSink(), reads]) as scheduler:
        for _ in range(5):
            await scheduler.start_soon(trio.sleep, 1)
    assert reads.sequences == sorted(set(reads.sequences))
    assert reads.sequences[0] == 1
    assert scheduler.report is not None
    assert "WritingSink" in scheduler.report.diagnostics["sinks_disabled"]
