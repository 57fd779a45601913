"""Who a call is for: the group of its task, and the labels that its task and its caller gave it."""

from __future__ import annotations

from typing import Any

import pytest
import trio
from trio.testing import MockClock

import penstock
from penstock import (
    ConfigError,
    Denied,
    RequestAdmissionItem,
    RequestGroupSpec,
    RequestResourceKey,
    RuntimeEvent,
    SchedulableTask,
    SinkSpec,
    TaskGroupSpec,
    TaskSpec,
    event_from_dict,
    event_to_dict,
    event_to_json,
    hookimpl,
)

CONFIG = {
    "providers": {"acme": {"models": {"small": {"max_parallel_requests": 4}}}},
    "plugins": {"sinks": []},
}


class Witness:
    """Keeps what rules see of tasks and calls, and every event."""

    sink = SinkSpec(mode="inline")

    def __init__(self) -> None:
        self.tasks: list[SchedulableTask] = []
        self.calls: list[RequestAdmissionItem] = []
        self.events: list[RuntimeEvent] = []

    @hookimpl
    def penstock_task_eligible(self, task: SchedulableTask) -> Denied | None:
        self.tasks.append(task)
        return None

    @hookimpl
    def penstock_request_eligible(self, item: RequestAdmissionItem) -> Denied | None:
        self.calls.append(item)
        return None

    @hookimpl
    def penstock_scheduler_event(self, event: RuntimeEvent) -> None:
        self.events.append(event)

    penstock_request_event = penstock_scheduler_event


async def call(**options: Any) -> None:
    async with penstock.request("acme/small", **options):
        pass


async def call_with(labels: dict[str, str]) -> None:
    await call(labels=labels)


async def test_inside_a_task_a_call_is_for_the_tasks_group_with_weight_one(autojump_clock: MockClock) -> None:
    witness = Witness()
    group = TaskGroupSpec.named("tenant", weight=9)
    async with penstock.open_scheduler(CONFIG, plugins=[witness]) as scheduler:
        await scheduler.start_soon(call, group=group)
    assert [item.group for item in witness.calls] == [RequestGroupSpec(group.key, 1.0)]


async def test_a_call_that_names_its_group_is_for_that_one(autojump_clock: MockClock) -> None:
    async def name_it() -> None:
        await call(group="other")

    witness = Witness()
    async with penstock.open_scheduler(CONFIG, plugins=[witness]) as scheduler:
        await scheduler.start_soon(name_it, group="tenant")
    assert [item.group.key for item in witness.calls] == ["other"]


async def test_a_call_of_what_a_task_has_left_behind_is_for_the_task_that_has_ended(
    autojump_clock: MockClock,
) -> None:
    async def call_after(ended: trio.Event) -> None:
        await ended.wait()
        await call()

    async def leave_behind(ended: trio.Event) -> None:
        nursery.start_soon(call_after, ended)

    witness = Witness()
    async with penstock.open_scheduler(CONFIG, plugins=[witness]) as scheduler, trio.open_nursery() as nursery:
        ended = trio.Event()
        await scheduler.start_soon(leave_behind, ended, group="mine", labels={"row": "7"})
        ended.set()
    (item,) = witness.calls
    assert (str(item.group.key), item.labels) == ("local/mine", {"row": "7"})


async def test_outside_of_tasks_a_call_is_for_its_resource(autojump_clock: MockClock) -> None:
    witness = Witness()
    async with penstock.open_scheduler(CONFIG, plugins=[witness]):
        await call()
    assert [item.group.key for item in witness.calls] == [RequestResourceKey("acme", "small", "chat")]
    assert witness.calls[0].labels is None


async def test_labels_go_from_the_task_to_its_calls_and_what_the_call_says_comes_over_them(
    autojump_clock: MockClock,
) -> None:
    witness = Witness()
    async with penstock.open_scheduler(CONFIG, plugins=[witness]) as scheduler:
        labels = {"tenant": "acme", "priority": "low"}
        await scheduler.start_soon(call_with, {"priority": "high", "step": "2"}, labels=labels)
        labels["tenant"] = "changed later"
    (task,), (item,) = witness.tasks, witness.calls
    assert task.labels == {"tenant": "acme", "priority": "low"}
    assert item.labels == {"tenant": "acme", "priority": "high", "step": "2"}


async def test_tasks_of_graphs_and_maps_have_labels_too(autojump_clock: MockClock) -> None:
    async def of_an_item(_: int) -> None:
        await call()

    witness = Witness()
    async with penstock.open_scheduler(CONFIG, plugins=[witness]) as scheduler:
        scheduler.add([TaskSpec(task_id="a", fn=call, labels={"from": "graph"})])
        async with scheduler.map(of_an_item, [1], labels={"from": "map"}) as results:
            async for _ in results:
                pass
    assert sorted(str((item.labels or {})["from"]) for item in witness.calls) == ["graph", "map"]


async def test_both_streams_tell_of_labels_and_without_there_is_no_such_field(autojump_clock: MockClock) -> None:
    witness = Witness()
    async with penstock.open_scheduler(CONFIG, plugins=[witness]) as scheduler:
        await scheduler.start_soon(call, labels={"tenant": "ä"})
        labelled = witness.events[:]
        await scheduler.start_soon(call)
    of_it = [event for event in labelled if event.labels is not None]
    assert {event.event_kind for event in of_it} >= {
        "ready_enqueued", "worker_spawned", "task_completed", "task_lease_released",
        "request_wait_started", "request_lease_acquired", "model_request_completed", "request_lease_released",
    }  # fmt: skip
    for event in of_it:
        assert event.labels == {"tenant": "ä"}
        assert '"labels":{"tenant":"\\u00e4"}' in event_to_json(event)
        assert event_from_dict(event_to_dict(event)) == event
    for event in witness.events[len(labelled) :]:
        assert "labels" not in event_to_dict(event)
        assert "labels" not in event_to_json(event)


@pytest.mark.parametrize(
    "labels",
    [{"a": "x" * 65}, {"ä" * 33: "b"}, {"": "b"}, {str(n): "b" for n in range(9)}, {"a": 3}, {"a": "\ud800"}],
)
async def test_labels_are_few_and_short(autojump_clock: MockClock, labels: Any) -> None:
    async with penstock.open_scheduler(CONFIG) as scheduler:
        with pytest.raises(ConfigError, match=r"^labels must "):
            scheduler.start_soon(call, labels=labels)
        with pytest.raises(ConfigError, match=r"^labels must "):
            penstock.request("acme/small", labels=labels)
        await scheduler.start_soon(call, labels={"a" * 64: "ä" * 32, **{str(n): "" for n in range(7)}})


async def test_a_call_cannot_have_more_labels_than_eight_with_those_of_its_task(autojump_clock: MockClock) -> None:
    async with penstock.open_scheduler(CONFIG) as scheduler:
        handle = scheduler.start_soon(call_with, {"one": "more"}, labels={str(n): "" for n in range(8)})
        with pytest.raises(ConfigError, match="at most 8, with those of the task, not 9"):
            await handle


async def test_explain_tells_the_labels_of_what_has_waited_longest(autojump_clock: MockClock) -> None:
    async with penstock.open_scheduler({**CONFIG, "scheduler": {"submission_capacity": 1}}) as scheduler:
        scheduler.start_soon(trio.sleep, 10)
        for tenant in ("gold", "silver"):
            scheduler.start_soon(trio.sleep, 1, group="late", labels={"tenant": tenant})
        await trio.sleep(1)
        assert "longest wait 1.0 s, the oldest with tenant=gold" in scheduler.explain()
        assert [group["labels"] for group in scheduler.explanation().as_dict()["groups"]] == [{"tenant": "gold"}]
