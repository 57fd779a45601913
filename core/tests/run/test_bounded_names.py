"""Names that come once and never again leave nothing behind: groups, models, labels, resources, signals."""

from __future__ import annotations

import gc
import os
import sys
from collections.abc import Awaitable, Callable
from contextlib import suppress
from pathlib import Path

import pytest
import trio
from trio.testing import MockClock

import penstock
from penstock import (
    AdmissionError,
    ConfigError,
    RequestGroupSpec,
    RequestResourceKey,
    RuntimeEvent,
    SchedulingMetadata,
    SinkSpec,
    TaskGroupSpec,
    hookimpl,
)

BEFORE = 2000
"""Names that come before it is counted: what keeps a bounded number of them is full then."""
MOST = 0.8
"""Blocks of memory that each name may leave, however many come (`--names`, by default 4,000): less than one. A block
has at most 512 bytes. Counting them costs nothing; tracing each allocation takes five times as long."""

CONFIG = {
    "providers": {"acme": {"models": {"small": {"max_parallel_requests": 4}}}},
    "requests": {"retry_budget": 0.1},
    "plugins": {"sinks": []},
}

Use = Callable[[penstock.Scheduler, str], Awaitable[penstock.TaskHandle[None] | None]]


class Listener:
    """Without somebody who listens no event is built."""

    sink = SinkSpec(mode="inline")

    @hookimpl
    def penstock_scheduler_event(self, event: RuntimeEvent) -> None:
        pass

    @hookimpl
    def penstock_request_event(self, event: RuntimeEvent) -> None:
        pass


async def nothing() -> None:
    pass


async def call(resource: RequestResourceKey | str = "acme/small", **options: object) -> None:
    with suppress(AdmissionError, ConfigError):
        async with penstock.request(resource, **options):  # type: ignore[arg-type]
            await trio.lowlevel.checkpoint()  # so that of many at a time most have to wait


async def group_by_name(scheduler: penstock.Scheduler, name: str) -> penstock.TaskHandle[None]:
    return scheduler.start_soon(nothing, group=name)


async def group_as_spec(scheduler: penstock.Scheduler, name: str) -> penstock.TaskHandle[None]:
    return scheduler.start_soon(nothing, group=TaskGroupSpec.named(name, 0.001, admitted_limit=1))


async def step(scheduler: penstock.Scheduler, name: str) -> penstock.TaskHandle[None]:
    return scheduler.start_soon(nothing, group=SchedulingMetadata.model("acme", name))


async def provider_of_a_step(scheduler: penstock.Scheduler, name: str) -> penstock.TaskHandle[None]:
    return scheduler.start_soon(nothing, group=SchedulingMetadata.model(name, "small"))


async def group_of_a_call_in_a_task(scheduler: penstock.Scheduler, name: str) -> penstock.TaskHandle[None]:
    return scheduler.start_soon(call, group=name)


async def label(scheduler: penstock.Scheduler, name: str) -> penstock.TaskHandle[None]:
    return scheduler.start_soon(call, labels={name: name})


async def unknown_resource(scheduler: penstock.Scheduler, name: str) -> None:
    with suppress(AdmissionError):
        scheduler.start_soon(nothing, needs={name: 1})


async def signal_and_seal(scheduler: penstock.Scheduler, name: str) -> None:
    scheduler.signal(name)
    scheduler.seal(name)
    scheduler.explain(name)


async def event_of_the_callers_own(scheduler: penstock.Scheduler, name: str) -> None:
    scheduler.emit("row_group_admitted", group=name, labels={"row_group": name})


async def unknown_model(scheduler: penstock.Scheduler, name: str) -> None:
    await call(f"acme/{name}")
    with suppress(AdmissionError):
        await penstock.execute(attempt_nothing, f"{name}/small")


async def attempt_nothing(attempt: penstock.Attempt) -> None:
    pass


async def unknown_domain(scheduler: penstock.Scheduler, name: str) -> None:
    await call(RequestResourceKey("acme", "small", name))
    await call(domain=name)


async def group_of_calls(scheduler: penstock.Scheduler, name: str) -> None:
    await call(group=RequestGroupSpec(name, 0.001))


async def looking_at_a_model(scheduler: penstock.Scheduler, name: str) -> None:
    now = trio.current_time()
    assert scheduler.requests.pressure.snapshot(RequestResourceKey("acme", name, "chat"), now) is None


KINDS: list[Use] = [
    group_by_name, group_as_spec, step, provider_of_a_step, group_of_a_call_in_a_task, label, unknown_resource,
    signal_and_seal, event_of_the_callers_own, unknown_model, unknown_domain, group_of_calls, looking_at_a_model,
]  # fmt: skip


async def use_all(scheduler: penstock.Scheduler, use: Use, prefix: str, count: int) -> None:
    for first in range(0, count, 200):
        handles = [await use(scheduler, f"{prefix}-{number}") for number in range(first, first + 200)]
        for handle in handles:
            if handle is not None:
                await handle


@pytest.mark.no_cover
@pytest.mark.parametrize("use", KINDS, ids=lambda use: use.__name__)
async def test_names_that_were_used_once_leave_nothing(
    autojump_clock: MockClock, use: Use, pytestconfig: pytest.Config
) -> None:
    names: int = pytestconfig.getoption("names")
    async with penstock.open_scheduler(CONFIG, plugins=[Listener()]) as scheduler:
        await use_all(scheduler, use, "before", BEFORE)
        gc.collect()
        before = sys.getallocatedblocks(), resident()
        await use_all(scheduler, use, "name", names)
        gc.collect()
        blocks, pages = sys.getallocatedblocks() - before[0], resident() - before[1]
    print(f"{names} names: {blocks} blocks of memory are left, and {pages / 1e6:.1f} MB of pages")
    assert blocks < MOST * names


def resident() -> int:
    """How many bytes of the process are in memory; 0 where that cannot be read."""
    try:
        return int(Path("/proc/self/statm").read_text(encoding="ascii").split()[1]) * os.sysconf("SC_PAGE_SIZE")
    except OSError:
        return 0
