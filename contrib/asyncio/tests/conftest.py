"""Gates whose events the tests wait for; at the end of each gate every lease is back."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator, Callable, Coroutine, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager, contextmanager
from typing import Any

import attrs
import pytest
import uvloop

import penstock
import penstock_asyncio
from penstock_asyncio.testing import VirtualClock, virtual_time

Run = Callable[[Coroutine[Any, Any, None]], None]


@attrs.define
class Recorder:
    """A sink that keeps the request events, for whichever thread waits for one."""

    seen: list[penstock.RuntimeEvent] = attrs.field(factory=list)
    _changed: threading.Condition = attrs.field(factory=threading.Condition)

    @penstock.hookimpl
    def penstock_request_event(self, event: penstock.RuntimeEvent) -> None:
        with self._changed:
            self.seen.append(event)
            self._changed.notify_all()

    def events(self, kind: str) -> Sequence[penstock.RuntimeEvent]:
        return [event for event in tuple(self.seen) if event.event_kind == kind]

    def wait_for(self, kind: str, times: int = 1) -> None:
        """Blocks until the n-th event of a kind."""
        with self._changed:
            assert self._changed.wait_for(lambda: len(self.events(kind)) >= times, timeout=60)

    async def until(self, kind: str, times: int = 1) -> None:
        """Waits for the n-th event of a kind."""
        await asyncio.to_thread(self.wait_for, kind, times)

    @property
    def outcomes(self) -> list[str | None]:
        return [event.reason_or_outcome for event in self.events("model_request_completed")]

    @property
    def most_in_flight(self) -> int:
        """How many leases were out at once."""
        change = {"request_lease_acquired": 1, "request_lease_released": -1}
        out = most = 0
        for event in self.seen:
            out += change.get(event.event_kind, 0)
            most = max(most, out)
        return most


def config_of(cap: int, more: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "plugins": {"request_limiters": ["cooldown"]},
        "providers": {"acme": {"models": {"fast": {"max_parallel_requests": cap}}}},
        **more,
    }


def all_back(report: penstock.RunReport | None) -> None:
    assert report is not None
    issued, returned = report.request_leases
    assert issued == returned, "a lease is missing"


@attrs.frozen
class Opened:
    """An open gate with its block, the events of its calls, and its clock."""

    block: penstock_asyncio.GateBlock
    gate: penstock_asyncio.Gate
    recorder: Recorder
    clock: VirtualClock

    async def taken(self) -> penstock_asyncio.RequestBlock:
        """The block that holds a place; who wants another one waits if the cap is 1."""
        block = self.gate.request("acme/fast")
        await block.__aenter__()
        return block

    async def waiting(self, **options: Any) -> asyncio.Task[None]:
        """A task that waits for a place behind those that are taken, and makes a call."""
        before = len(self.recorder.events("request_wait_started"))

        async def call() -> None:
            async with self.gate.request("acme/fast", **options):
                pass

        task = asyncio.create_task(call())
        await self.recorder.until("request_wait_started", before + 1)
        return task

    @staticmethod
    async def leave(block: penstock_asyncio.RequestBlock) -> None:
        await block.__aexit__(None, None, None)


@asynccontextmanager
async def opened(cap: int = 1, plugins: Sequence[object] = (), **more: Any) -> AsyncIterator[Opened]:
    recorder = Recorder()
    with virtual_time() as clock:
        block = penstock_asyncio.open_gate(config_of(cap, more), plugins=[recorder, *plugins])
        async with block as gate:
            yield Opened(block, gate, recorder, clock)
    all_back(block.report)


@attrs.frozen
class OpenedSync:
    """The same for plain threads."""

    gate: penstock_asyncio.SyncGate
    recorder: Recorder
    clock: VirtualClock


@contextmanager
def opened_sync(cap: int = 1, plugins: Sequence[object] = (), **more: Any) -> Iterator[OpenedSync]:
    recorder = Recorder()
    with virtual_time() as clock:
        block = penstock_asyncio.open_gate_sync(config_of(cap, more), plugins=[recorder, *plugins])
        with block as gate:
            yield OpenedSync(gate, recorder, clock)
    all_back(block.report)


@pytest.fixture
def open_gate() -> Any:
    """Opens a gate in virtual time with `cap` places at `acme/fast`, and sees that all leases are back at its end."""
    return opened


@pytest.fixture
def open_gate_sync() -> Any:
    """The same for plain threads."""
    return opened_sync


@pytest.fixture(params=["asyncio", "uvloop"])
def run(request: pytest.FixtureRequest) -> Run:
    """Runs a coroutine to its end under either event loop."""
    if request.param == "uvloop":
        return uvloop.run
    return asyncio.run
