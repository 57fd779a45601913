"""A controller of the request gate with scripted limiters, and a record of what it tells."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import attrs
import pytest

from penstock.events import EventStream, RuntimeEvent
from penstock.identity import RequestResourceKey, Scope
from penstock.requests.admission import RequestAdmissionController
from penstock.requests.items import RequestAdmissionItem, RequestAdmissionLease, RequestCost, RequestGroupSpec
from penstock.requests.limiters import RequestLimiter
from penstock.requests.outcomes import SUCCESS
from penstock.requests.waiters import RequestWaiter
from penstock.testing.scripted_limiter import ScriptedLimiter

CHAT = RequestResourceKey("p", "m", "chat")
EMBEDDING = RequestResourceKey("p", "m", "embedding")
OTHER = RequestResourceKey("p", "other", "chat")


@attrs.define(slots=False)
class Bench:
    """A controller, the limiters that were made for it by scope, and the events that it told."""

    events: EventStream
    told: list[RuntimeEvent]
    limiters: dict[Scope, ScriptedLimiter]
    problems: list[tuple[str, str]]
    controller: RequestAdmissionController

    def make_limiters(self, scope: Scope, cap: int | None) -> Sequence[tuple[str, RequestLimiter]]:
        """One scripted limiter for every scope."""
        limiter = self.limiters[scope] = ScriptedLimiter(scope)
        return [("scripted", limiter)]

    def item(
        self,
        resource: RequestResourceKey = CHAT,
        *,
        group: str | None = None,
        requests: int = 1,
        timeout: float | None = None,
        deadline: float | None = None,
    ) -> RequestAdmissionItem:
        spec = RequestGroupSpec(resource if group is None else group)
        return RequestAdmissionItem(resource, spec, RequestCost(requests), timeout, deadline)

    def lease(self, resource: RequestResourceKey = CHAT, now: float = 0.0, **options: Any) -> RequestAdmissionLease:
        """A lease that is there at once."""
        answer = self.controller.try_acquire(self.item(resource, **options), now)
        assert isinstance(answer, RequestAdmissionLease), answer
        return answer

    def wait(self, resource: RequestResourceKey = CHAT, now: float = 0.0, **options: Any) -> RequestWaiter:
        """A waiter that has to wait."""
        waiter = self.controller.enqueue(self.item(resource, **options), now)
        assert waiter.lease is None
        assert waiter.refused is None, waiter.refused
        return waiter

    def release(self, lease: RequestAdmissionLease, now: float = 0.0) -> list[RequestWaiter]:
        """Give a lease back; who got one by it."""
        effects = self.controller.release(lease, SUCCESS, now)
        assert effects.release is not None
        assert effects.release.released
        self.controller.check_invariants()
        return effects.granted

    def kinds(self) -> list[str]:
        """The kinds of the events since the last time, in order."""
        self.events.deliver()
        kinds = [event.event_kind for event in self.told]
        self.told.clear()
        return kinds

    def in_flight(self, resource: RequestResourceKey = CHAT) -> tuple[int, int]:
        """In flight at the resource, and over its model."""
        snapshot = self.controller.pressure.snapshot(resource, 0.0)
        model = self.controller.pressure.global_snapshot(resource.provider_name, resource.model_id, 0.0)
        assert model is not None
        return (0 if snapshot is None else snapshot.in_flight_count), model.aggregate_in_flight


MakeBench = Callable[..., Bench]


@pytest.fixture
def make_bench() -> MakeBench:
    """A bench, with `caps` (resource to cap of its model) registered and everything else as given to the controller."""

    def make(caps: Mapping[RequestResourceKey, int] | None = None, *, listen: bool = True, **options: Any) -> Bench:
        events = EventStream("request")
        told: list[RuntimeEvent] = []
        if listen:
            events.subscribe(told.append)
        problems: list[tuple[str, str]] = []
        bench = Bench(events, told, {}, problems, RequestAdmissionController(events))
        bench.controller = RequestAdmissionController(
            events,
            make_limiters=bench.make_limiters,
            told=lambda plugin, message: problems.append((plugin, message)),
            **options,
        )
        for resource, cap in ({CHAT: 2} if caps is None else caps).items():
            bench.controller.register(resource.provider_name, resource.model_id, cap, 0.0, domains=[resource.domain])
        bench.kinds()
        return bench

    return make


@pytest.fixture
def bench(make_bench: MakeBench) -> Bench:
    """Provider `p`, model `m` with a cap of 2, in the domain `chat`."""
    return make_bench()
