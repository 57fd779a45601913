"""What the request gate has seen at most, and the limits with which its resources began: for the capacity plan."""

from __future__ import annotations

from collections.abc import Mapping

import attrs

from penstock.requests.registry import LimitAtFirst, RequestRegistry, ResourceState
from penstock.words.identity import ProviderModelKey, RequestResourceKey

__all__ = ["RequestMaxima", "ResourceMaxima", "limit_at_first", "request_maxima"]


@attrs.frozen(kw_only=True)
class ResourceMaxima:
    """One resource: its cap, and the limit with which its limiters began (`None` where none of them sets any); the most
    calls that waited at once, the most requests in flight, and the highest limit under which a call went out (`None`
    where none did, or none of the limiters sets any)."""

    cap: int
    began: LimitAtFirst | None
    waiters: int
    in_flight: int
    highest_limit: int | None


@attrs.frozen(kw_only=True)
class RequestMaxima:
    """All that is known: resources, and provider + model to the most requests in flight over all its domains."""

    resources: Mapping[RequestResourceKey, ResourceMaxima]
    in_flight: Mapping[ProviderModelKey, int]


def limit_at_first(state: ResourceState, now: float) -> LimitAtFirst | None:
    """The smallest limit that a limiter of a resource sets it now, with the limiter's plugin."""
    limits = [(limiter.snapshot(now).current_limit, limiter.plugin) for limiter in state.limiters]
    known = [LimitAtFirst(limit, plugin) for limit, plugin in limits if limit is not None]
    return min(known, key=lambda each: each.limit, default=None)


def request_maxima(registry: RequestRegistry) -> RequestMaxima:
    """What was seen so far."""
    return RequestMaxima(
        resources={key: _of_resource(state) for key, state in registry.resources.items()},
        in_flight={key: model.most_in_flight for key, model in registry.models.items()},
    )


def _of_resource(state: ResourceState) -> ResourceMaxima:
    return ResourceMaxima(
        cap=min(state.cap, state.model.cap),
        began=state.began,
        waiters=state.most_waiting,
        in_flight=state.most_in_flight,
        highest_limit=state.highest_limit or None,
    )
