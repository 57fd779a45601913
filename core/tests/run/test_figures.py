"""The figures of a run: what is true at a moment, asked in the loop and in other threads."""

from __future__ import annotations

import threading
from datetime import datetime
from functools import partial

import attrs
import pytest
import trio

import penstock
from penstock import RunFigures, RunInfo, RuntimeEvent
from penstock.run import figures as figures_module

CONFIG = {
    "scheduler": {"resources": {"gpu": 1}},
    "plugins": {"ready_queue": "fair", "task_policies": [], "request_limiters": []},
    "providers": {
        "acme": {
            "domains": ["rerank"],
            "models": {"small": {"model": "small-2026", "max_parallel_requests": 2, "price": {"input": 1.0}}},
        }
    },
}


class Listener:
    """A plugin that keeps what it is told at the start."""

    run: RunInfo

    @penstock.hookimpl
    def penstock_run_started(self, run: RunInfo) -> None:
        self.run = run


@attrs.define(eq=False)
class Events(Listener):
    """A sink too."""

    events: list[RuntimeEvent] = attrs.field(factory=list)

    @penstock.hookimpl
    def penstock_scheduler_event(self, event: RuntimeEvent) -> None:
        self.events.append(event)


async def test_they_say_who_runs_who_waits_and_for_what(autojump_clock: trio.testing.MockClock) -> None:
    async with penstock.open_scheduler(CONFIG) as scheduler:

        async def call(tenant: str) -> None:
            async with penstock.request("acme/small", group=tenant):
                await trio.sleep(10)

        for tenant in ("a", "a", "b", "b", "b"):
            scheduler.start_soon(partial(call, tenant), group="column")
        for _ in range(3):
            scheduler.start_soon(trio.sleep, 5, group="images", needs={"gpu": 1})
        await trio.sleep(2)
        figures = scheduler.figures()
    assert figures.running_for == 2
    assert figures.unfinished == 8
    assert figures.resources == {"submission": (6, 1024), "gpu": (1, 1)}
    images, column = figures.tasks
    assert (column.group, column.kind, column.active, column.waiting, column.waits_for) == (
        "local/column",
        "local",
        5,
        0,
        (),
    )
    assert (images.active, images.waiting, images.longest_wait) == (1, 2, 2)
    assert sum(each.waiting for each in images.waits_for) == 2
    (calls,) = figures.calls
    assert (calls.provider, calls.model, calls.domain) == ("acme", "small-2026", "chat")
    assert (calls.limit, calls.cap, calls.active, calls.waiting, calls.gone_out) == (2, 2, 2, 3, 2)
    assert calls.longest_wait == 2
    assert [(each.reason, each.by, each.waiting) for each in calls.waits_for] == [("no_capacity", "core", 3)]
    tenants = {each.group: (each.active, each.waiting) for each in figures.tenants}
    assert {group: sum(counts) for group, counts in tenants.items()} == {"a": 2, "b": 3}
    assert sum(active for active, _ in tenants.values()) == 2
    assert figures.as_dict()["calls"][0]["waits_for"][0]["reason"] == "no_capacity"


async def test_a_call_for_nobody_is_no_tenant(autojump_clock: trio.testing.MockClock) -> None:
    async with penstock.open_scheduler(CONFIG) as scheduler, penstock.request("acme/small"):
        assert scheduler.figures().tenants == ()


async def test_plugins_are_told_what_the_configuration_names(autojump_clock: trio.testing.MockClock) -> None:
    listener = Listener()
    async with penstock.open_scheduler(CONFIG, plugins=[listener]):
        assert listener.run.models == {"acme/small": "small-2026"}
        assert listener.run.domains == {"acme": ("rerank",)}
        assert listener.run.prices == {"acme/small-2026": {"input": 1.0}}
        assert listener.run.figures is not None
        figures = listener.run.figures()
        assert figures is not None
        assert figures.resources["gpu"] == (0, 1)
    assert listener.run.figures() is None


async def test_another_thread_is_answered_by_the_loop() -> None:
    listener = Listener()
    async with penstock.open_scheduler(CONFIG, plugins=[listener]) as scheduler:
        assert listener.run.figures is not None
        scheduler.start_soon(trio.sleep_forever)
        figures: RunFigures | None = await trio.to_thread.run_sync(listener.run.figures)
        scheduler.cancel()
    assert figures is not None
    assert figures.run_id == listener.run.run_id
    assert await trio.to_thread.run_sync(listener.run.figures) is None


async def test_a_loop_that_does_not_answer_is_not_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    """The loop waits for the thread, and the thread for the loop: one of them gives up."""
    monkeypatch.setattr(figures_module, "ANSWER_TIMEOUT", 0.01)
    listener = Listener()
    async with penstock.open_scheduler(CONFIG, plugins=[listener]):
        answers: list[RunFigures | None] = []
        assert listener.run.figures is not None
        ask = listener.run.figures
        thread = threading.Thread(target=lambda: answers.append(ask()))
        thread.start()
        thread.join()
    assert answers == [None]


async def test_the_first_event_says_what_time_of_day_it_is(autojump_clock: trio.testing.MockClock) -> None:
    sink = Events()
    clock = penstock.WallClock(datetime.fromisoformat("2026-11-29T12:00:00+01:00"), trio.current_time())
    await trio.sleep(60)
    async with penstock.open_scheduler(plugins=[sink], wall_clock=clock):
        pass
    first = sink.events[0]
    assert first.event_kind == "scheduler_job_started"
    assert first.diagnostics == {"wall_clock": "2026-11-29T12:01:00+01:00"}
    assert [each for each in sink.events[1:] if "wall_clock" in (each.diagnostics or {})] == []
