"""How busy the request gate is: immutable snapshots, and the protocols by which others read them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Protocol, runtime_checkable

import attrs

from penstock.requests.limiter_snapshot import LimiterSnapshot
from penstock.words.identity import ProviderModelKey, RequestResourceKey

__all__ = [
    "ModelRequestPressureSnapshot",
    "RequestPressureSnapshot",
    "RequestPressureSnapshotProvider",
    "RequestStanding",
    "RequestStandingProvider",
]


@attrs.frozen(kw_only=True)
class RequestPressureSnapshot:
    """One resource at one moment. Times are moments of the run's clock, `cooldown_remaining` is seconds.

    `shadows` has the state of each limiter that is only in shadow, as `plugin of scope`; no other figure knows of them.
    """

    captured_at: float
    sequence: int
    resource: RequestResourceKey
    effective_max: int | None
    current_limit: int | None
    in_flight_count: int
    active_lease_count: int
    waiters: int
    blocked_until: float | None = None
    cooldown_remaining: float = 0.0
    rate_limit_ceiling: float | None = None
    consecutive_rate_limits: int = 0
    last_outcome: str | None = None
    leak_diagnostics: Mapping[str, Any] = attrs.field(factory=dict)
    shadows: Mapping[str, LimiterSnapshot] = attrs.field(factory=dict)


@attrs.frozen(kw_only=True)
class ModelRequestPressureSnapshot:
    """One provider + model at one moment: the cap that all its domains share, and what each domain takes of it."""

    captured_at: float
    sequence: int
    key: ProviderModelKey
    cap: int | None
    aliases: tuple[str, ...]
    aggregate_in_flight: int
    aggregate_leases: int
    domains: Mapping[str, RequestPressureSnapshot] = attrs.field(factory=dict)


@runtime_checkable
class RequestPressureSnapshotProvider(Protocol):
    """The snapshots of every resource and model. Read-only: asking registers and changes nothing."""

    def snapshot(self, resource: RequestResourceKey, now: float) -> RequestPressureSnapshot | None:
        """The state of one resource; `None` for one that is not known."""
        ...

    def snapshots(self, now: float) -> Mapping[RequestResourceKey, RequestPressureSnapshot]: ...

    def global_snapshot(self, provider_name: str, model_id: str, now: float) -> ModelRequestPressureSnapshot | None: ...

    def global_snapshots(self, now: float) -> Mapping[ProviderModelKey, ModelRequestPressureSnapshot]: ...


@attrs.define(slots=True)
class RequestStanding:
    """What a call that came now would meet at one resource: the few figures that decide it, without a snapshot."""

    limit: int
    """The smallest of all caps and current limits, in calls in flight."""
    free: int
    """How many more calls these let out now; below 0 where a limit was lowered."""
    waiters: int
    arrived: int
    """How many calls have come so far: those that went out, and those that wait. Only its growth means something."""
    blocked_until: float | None
    on_trial: bool
    """Whether no call has gone well yet that went out after the last rate limit."""
    went_well: bool
    """Whether the last call that came back was a success."""


class RequestStandingProvider(Protocol):
    """What the task gate reads per decision. Read-only, as `RequestPressureSnapshotProvider`."""

    def standing(self, resource: RequestResourceKey, now: float) -> RequestStanding | None:
        """The standing of one resource; `None` if its model is not known. One never called has one free place."""
        ...

    def next_change(self, resource: RequestResourceKey, now: float) -> float | None:
        """The next moment at which time alone changes what a limiter of the resource says, as far as one knows."""
        ...
