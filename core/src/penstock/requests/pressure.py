"""How busy the request gate is: immutable snapshots, and the one read-only door through which others may look."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Protocol, runtime_checkable

import attrs

from penstock.identity import ProviderModelKey, RequestResourceKey

__all__ = ["GlobalRequestPressureSnapshot", "RequestPressureSnapshot", "RequestPressureSnapshotProvider"]


@attrs.frozen(kw_only=True)
class RequestPressureSnapshot:
    """One resource at one moment. Times are moments of the run's clock, `cooldown_remaining` is seconds."""

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


@attrs.frozen(kw_only=True)
class GlobalRequestPressureSnapshot:
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
    """Read-only: asking never registers anything and never changes anything."""

    def snapshot(self, resource: RequestResourceKey, now: float) -> RequestPressureSnapshot | None:
        """The state of one resource; `None` for one that is not known."""
        ...

    def snapshots(self, now: float) -> Mapping[RequestResourceKey, RequestPressureSnapshot]: ...

    def global_snapshot(
        self, provider_name: str, model_id: str, now: float
    ) -> GlobalRequestPressureSnapshot | None: ...

    def global_snapshots(self, now: float) -> Mapping[ProviderModelKey, GlobalRequestPressureSnapshot]: ...
