"""A test bench of the request gate: a controller with scripted limiters, and the events that it delivered."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from penstock.events.records import EventStream, RuntimeEvent
from penstock.requests.admission import RequestAdmissionController
from penstock.requests.items import (
    RequestAdmissionDenied,
    RequestAdmissionItem,
    RequestAdmissionLease,
    RequestCost,
    RequestGroupSpec,
)
from penstock.requests.limiters import RequestLimiter
from penstock.requests.outcomes import SUCCESS
from penstock.requests.waiters import RequestWaiter
from penstock.testing.scripted_limiter import ScriptedLimiter
from penstock.words.identity import RequestResourceKey, Scope
from penstock.words.plugin_failures import what_it_raised

__all__ = ["CHAT", "RequestBench"]

CHAT = RequestResourceKey("p", "m", "chat")


class RequestBench:
    """A controller of the request gate, the scripted limiters that were made for it, and the events that it delivered.

    `caps`: resource to the cap of its model, registered at the start. `options` are the controller's.
    """

    def __init__(
        self, caps: Mapping[RequestResourceKey, int] | None = None, *, listen: bool = True, **options: Any
    ) -> None:
        self.events = EventStream("request")
        self.delivered: list[RuntimeEvent] = []
        """The events that were delivered since `kinds` was last asked; none if not `listen`."""
        self.limiters: dict[Scope, ScriptedLimiter] = {}
        """By scope; as they were made last."""
        self.failures: list[tuple[str, str, str]] = []
        """Plugin, hook and what it raised, in words, each time that one broke the contract."""
        if listen:
            self.events.subscribe(self.delivered.append)
        self.controller = RequestAdmissionController(
            self.events, make_limiters=self.make_limiters, on_failure=self._failed, **options
        )
        for resource, cap in (caps or {}).items():
            self.controller.register(resource.provider_name, resource.model_id, cap, 0.0, domains=[resource.domain])
        self.kinds()

    def _failed(self, plugin: str, hook: str, error: BaseException, asked: object = None, /) -> None:
        self.failures.append((plugin, hook, what_it_raised(error, asked)))

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

    @staticmethod
    def refused(answer: object) -> RequestAdmissionDenied:
        """The refusal that `answer` is."""
        assert isinstance(answer, RequestAdmissionDenied), answer
        return answer

    def wait(self, resource: RequestResourceKey = CHAT, now: float = 0.0, **options: Any) -> RequestWaiter:
        """A waiter that has to wait."""
        waiter = self.controller.enqueue(self.item(resource, **options), now)
        assert waiter.lease is None
        assert waiter.refused is None, waiter.refused
        return waiter

    def release(self, lease: RequestAdmissionLease, now: float = 0.0) -> list[RequestWaiter]:
        """The waiters that got a lease by giving this one back."""
        effects = self.controller.release(lease, SUCCESS, now)
        assert effects.release is not None
        assert effects.release.released
        self.controller.check_invariants()
        return effects.granted

    def kinds(self) -> list[str]:
        """The kinds of the events since the last time, in order."""
        self.events.deliver()
        kinds = [event.event_kind for event in self.delivered]
        self.delivered.clear()
        return kinds

    def in_flight(self, resource: RequestResourceKey = CHAT) -> tuple[int, int]:
        """The calls in flight at the resource, and over its model."""
        snapshot = self.controller.pressure.snapshot(resource, 0.0)
        model = self.controller.pressure.global_snapshot(resource.provider_name, resource.model_id, 0.0)
        assert model is not None
        return (0 if snapshot is None else snapshot.in_flight_count), model.aggregate_in_flight
