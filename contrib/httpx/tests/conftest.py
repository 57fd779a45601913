from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Any

import attrs
import httpx2
import pytest

import penstock
from penstock_httpx import AdmissionTransport, RequestDescription


@attrs.define
class Recorder:
    """A sink that keeps what it is told."""

    seen: list[penstock.RuntimeEvent] = attrs.field(factory=list)

    @penstock.hookimpl
    def penstock_request_event(self, event: penstock.RuntimeEvent) -> None:
        self.seen.append(event)


@attrs.define
class Gate:
    """A client whose requests are admitted, and what was told of them."""

    client: httpx2.AsyncClient
    scheduler: penstock.Scheduler
    events: Sequence[penstock.RuntimeEvent]

    def told(self, kind: str) -> Sequence[penstock.RuntimeEvent]:
        return [event for event in self.events if event.event_kind == kind]

    @property
    def outcomes(self) -> list[str | None]:
        return [event.reason_or_outcome for event in self.told("model_request_completed")]

    @property
    def in_flight(self) -> int:
        return len(self.told("request_lease_acquired")) - len(self.told("request_lease_released"))

    async def ask(self, **more: Any) -> httpx2.Response:
        return await self.client.post("/chat/completions", json={"model": "small"}, **more)

    @asynccontextmanager
    async def stream(self) -> AsyncIterator[httpx2.Response]:
        async with self.client.stream("POST", "/chat/completions", json={"model": "small"}) as response:
            yield response


CONFIG = {"providers": {"acme": {"models": {"small": {"max_parallel_requests": 1}}}}}


@pytest.fixture
def gate() -> Callable[..., AbstractAsyncContextManager[Gate]]:
    """Opens a gate with one place at `acme/small` before an inner transport; at its end every lease must be back."""

    @asynccontextmanager
    async def opened(
        inner: httpx2.AsyncBaseTransport,
        *plugins: object,
        describe: Callable[[httpx2.Request], RequestDescription] | None = None,
    ) -> AsyncIterator[Gate]:
        recorder = Recorder()
        async with penstock.open_scheduler(CONFIG, plugins=[recorder, *plugins]) as scheduler:
            transport = AdmissionTransport(inner, provider="acme", describe=describe)
            async with httpx2.AsyncClient(transport=transport, base_url="http://acme.test/v1") as client:
                yield Gate(client, scheduler, recorder.seen)
        assert scheduler.report is not None
        issued, returned = scheduler.report.request_leases
        assert issued == returned, "a lease is missing"

    return opened
