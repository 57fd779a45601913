"""What docs/reference/events.md says of each kind of event is so in runs, and the page is made of it."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from types import ModuleType
from typing import Any, Final, get_args

import msgspec
import trio
import trio.testing

import penstock
from penstock import RequestEventKind, RuntimeEvent, SchedulerEventKind
from penstock.events.kinds import EVENT_FACTS, EventFacts
from penstock.testing import ProviderLimits, SimulatedCalls

DOCS = Path(__file__).parents[1] / "docs"
ALWAYS: Final = {"stream", "event_kind", "captured_at_monotonic", "sequence", "correlation"}
SEEN_ELSEWHERE: Final = {
    *("row_group_admission_blocked", "row_group_admission_target_changed"),  # said by nobody here
    *("worker_spawn_failed", "stale_selection", "release_diagnostic", "request_release_diagnostic"),  # our own mistakes
    *("group_capped", "request_limit_increased", "request_soft_ceiling_recovered", "request_fully_recovered"),
    "events_dropped",
}
"""Kinds that the runs of this test do not come to."""


class Everything:
    """A sink that keeps both streams."""

    sink = penstock.SinkSpec(mode="inline")

    def __init__(self) -> None:
        self.events: list[RuntimeEvent] = []

    @penstock.hookimpl
    def penstock_scheduler_event(self, event: RuntimeEvent) -> None:
        self.events.append(event)

    @penstock.hookimpl
    def penstock_request_event(self, event: RuntimeEvent) -> None:
        self.events.append(event)


class Rules:
    """Rules of which one refuses a while, and one is broken."""

    @penstock.hookimpl
    def penstock_task_eligible(self, task: penstock.SchedulableTask, now: float) -> penstock.Denied | None:
        if str(task.group.key) == "local/late" and now < 20.0:
            return penstock.Denied("policy_denial", {penstock.At(20.0)}, "group")
        if str(task.group.key) == "local/broken":
            raise KeyError("broken")
        return None


async def fails() -> None:
    raise ValueError("no")


async def fails_for_now() -> None:
    error = ValueError("not yet")
    penstock.mark_failure(error, penstock.FailureMark("provider_failure", retryable=True))
    raise error


async def waits(timeout: float) -> None:
    async with penstock.request("q/one", timeout=timeout):
        await trio.sleep(5.0)


async def a_rich_run(everything: Everything) -> None:
    calls = SimulatedCalls({"p/m": ProviderLimits(slots=2, retry_after=1.0)})
    plugins = {"request_limiters": ["cooldown", "aimd"], "aimd": {"shadow": False}}
    config = calls.config(caps={"p/m": 8, "q/one": 1}, places=12, plugins=plugins, stall_timeout=5.0, max_attempts=2)
    async with penstock.open_scheduler(config, plugins=[everything, Rules()]) as scheduler:
        scheduler.emit("row_group_admitted", labels={"part": "1"})
        scheduler.emit("row_group_checkpointed")
        handles: list[penstock.TaskHandle[Any]] = [
            *calls.start(scheduler, "p/m", 12),
            *(scheduler.start_soon(waits, 3.0, group="calls", labels={"who": "them"}) for _ in range(3)),
            scheduler.start_soon(trio.sleep, 1.0, group="late"),
            scheduler.start_soon(trio.sleep, 1.0, group="broken"),
            scheduler.start_soon(fails),
            scheduler.start_soon(fails_for_now),
        ]
        gone = scheduler.start_soon(trio.sleep, 1.0, group="late")
        await trio.sleep(1.0)
        scheduler.cancel_task(gone.task_id)
        scheduler.reconfigure({**config, "providers": {**config["providers"], "q": _of_one(2)}})
        with trio.move_on_after(1.0):
            async with trio.open_nursery() as nursery:
                for _ in range(4):
                    nursery.start_soon(waits, 30.0)
        for handle in handles:
            with suppress(Exception):
                await handle
        await trio.sleep(20.0)


def _of_one(cap: int) -> dict[str, Any]:
    return {"models": {"one": {"max_parallel_requests": cap}}}


def wrong(event: RuntimeEvent, facts: EventFacts) -> Iterator[str]:
    """What of an event its facts do not say."""
    said = {name for name, value in msgspec.structs.asdict(event).items() if value is not None} - ALWAYS
    if event.reason_or_outcome is not None and not facts.reason:
        yield f"reason_or_outcome {event.reason_or_outcome}"
    yield from sorted(said - {*facts.fields, "reason_or_outcome", "diagnostics"})
    yield from (f"diagnostics.{key}" for key in event.diagnostics or () if key not in facts.diagnostics)


async def test_an_event_holds_what_the_page_says_of_it(autojump_clock: trio.testing.MockClock) -> None:
    everything = Everything()
    await a_rich_run(everything)

    found: dict[str, set[str]] = defaultdict(set)
    for event in everything.events:
        found[event.event_kind].update(wrong(event, EVENT_FACTS[event.stream][event.event_kind]))
    assert {kind: words for kind, words in found.items() if words} == {}
    assert {kind for kinds in EVENT_FACTS.values() for kind in kinds} - set(found) == SEEN_ELSEWHERE


def test_every_kind_of_each_stream_has_its_facts_and_no_other_has() -> None:
    assert set(EVENT_FACTS["scheduler"]) == set(get_args(SchedulerEventKind))
    assert set(EVENT_FACTS["request"]) == set(get_args(RequestEventKind))


def test_what_the_facts_name_is_a_field_of_an_event() -> None:
    fields = {*RuntimeEvent.__struct_fields__} - ALWAYS

    assert {name for kinds in EVENT_FACTS.values() for facts in kinds.values() for name in facts.fields} <= fields


def test_the_page_says_what_the_facts_say(module_at: Callable[[Path], ModuleType]) -> None:
    generator = module_at(DOCS / "make_events_reference.py")
    written = (DOCS / "reference/events.md").read_text(encoding="utf-8")

    assert written == generator.reference(), "run: python docs/make_events_reference.py"
