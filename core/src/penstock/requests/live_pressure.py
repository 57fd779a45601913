"""The pressure snapshots, taken from the registry when somebody asks. Nothing is kept for them but a counter."""

from __future__ import annotations

from collections.abc import Mapping

from penstock.requests.limiter_guard import GuardedLimiter
from penstock.requests.limiter_snapshot import LimiterSnapshot
from penstock.requests.pressure import ModelRequestPressureSnapshot, RequestPressureSnapshot, RequestStanding
from penstock.requests.registry import ModelState, RequestRegistry, ResourceState
from penstock.requests.shadow_limiter import shadow_snapshots
from penstock.words.identity import ProviderModelKey, RequestResourceKey

__all__ = ["LiveRequestPressure", "smallest"]


def smallest(*figures: int | None) -> int | None:
    """The smallest of the figures that are known."""
    return min((figure for figure in figures if figure is not None), default=None)


class LiveRequestPressure:
    """`RequestPressureSnapshotProvider` and `RequestStandingProvider` over a registry. Asking leaves no trace."""

    def __init__(self, registry: RequestRegistry) -> None:
        self._registry = registry
        self._sequence = 0

    def snapshot(self, resource: RequestResourceKey, now: float) -> RequestPressureSnapshot | None:
        """One resource; `None` for one that is not known."""
        state = self._registry.resources.get(resource)
        return None if state is None else self._of_resource(state, now)

    def snapshots(self, now: float) -> Mapping[RequestResourceKey, RequestPressureSnapshot]:
        """Every resource that is known."""
        return {key: self._of_resource(state, now) for key, state in self._registry.resources.items()}

    def global_snapshot(self, provider_name: str, model_id: str, now: float) -> ModelRequestPressureSnapshot | None:
        """One provider + model; `None` for one that is not known."""
        model = self._registry.models.get(ProviderModelKey(provider_name, model_id))
        return None if model is None else self._of_model(model, now)

    def global_snapshots(self, now: float) -> Mapping[ProviderModelKey, ModelRequestPressureSnapshot]:
        """Every provider + model that is known."""
        return {key: self._of_model(model, now) for key, model in self._registry.models.items()}

    def standing(self, resource: RequestResourceKey, now: float) -> RequestStanding | None:
        """What a call would meet now; `None` for a resource whose model is not known."""
        state = self._registry.resources.get(resource)
        if state is not None:
            standing = RequestStanding(
                state.cap,
                state.cap - state.in_flight,
                state.waiting,
                state.acquired + state.waiting,
                None,
                state.refused_at is not None,
                state.last_outcome == "success",
            )
            _narrow(standing, state.own, state.in_flight, now)
            model = state.model
        else:
            known = self._registry.models.get(resource.provider_model)
            if known is None:
                return None
            # Its limiters are made with its first call: until they are there to be asked, one call is all that is sure.
            model, standing = known, RequestStanding(1, 1, 0, 0, None, False, False)
        _narrow_to(standing, model.cap, model.in_flight)
        _narrow(standing, model.limiters, model.in_flight, now)
        # What is in flight at the provider's other models is not counted anywhere: so much at least is.
        _narrow(standing, model.provider.limiters, model.in_flight, now)
        return standing

    def next_change(self, resource: RequestResourceKey, now: float) -> float | None:
        """The earliest moment that any limiter of the resource names."""
        state = self._registry.resources.get(resource)
        model = self._registry.models.get(resource.provider_model)
        limiters = state.limiters if state else (*model.provider.limiters, *model.limiters) if model else ()
        moments = (limiter.next_change(now) for limiter in limiters)
        return min((moment for moment in moments if moment is not None), default=None)

    def _of_resource(self, state: ResourceState, now: float) -> RequestPressureSnapshot:
        self._sequence += 1
        limiters = [limiter.snapshot(now) for limiter in state.limiters]
        blocked = [limiter.blocked_until for limiter in limiters if limiter.blocked_until is not None]
        ceilings = [limiter.rate_limit_ceiling for limiter in limiters if limiter.rate_limit_ceiling is not None]
        blocked_until = max(blocked, default=None)
        return RequestPressureSnapshot(
            captured_at=now,
            sequence=self._sequence,
            resource=state.key,
            effective_max=smallest(state.cap, *(limiter.effective_max for limiter in limiters)),
            current_limit=_current_limit(limiters),
            in_flight_count=state.in_flight,
            active_lease_count=len(state.leases),
            waiters=state.waiting,
            blocked_until=blocked_until,
            cooldown_remaining=0.0 if blocked_until is None or blocked_until <= now else blocked_until - now,
            rate_limit_ceiling=min(ceilings, default=None),
            consecutive_rate_limits=max((limiter.consecutive_rate_limits or 0 for limiter in limiters), default=0),
            last_outcome=state.last_outcome,
            leak_diagnostics=_leak_diagnostics(state, now),
            shadows=shadow_snapshots(state.limiters, now),
        )

    def _of_model(self, model: ModelState, now: float) -> ModelRequestPressureSnapshot:
        self._sequence += 1
        return ModelRequestPressureSnapshot(
            captured_at=now,
            sequence=self._sequence,
            key=model.key,
            cap=model.cap,
            aliases=model.static.aliases,
            aggregate_in_flight=model.in_flight,
            aggregate_leases=sum(len(state.leases) for state in model.resources.values()),
            domains={domain: self._of_resource(state, now) for domain, state in model.resources.items()},
        )


def _narrow(standing: RequestStanding, limiters: tuple[GuardedLimiter, ...], in_flight: int, now: float) -> None:
    """Let limiters of one scope have their say, with what is in flight in that scope."""
    for limiter in limiters:
        snapshot = limiter.snapshot(now)
        if snapshot.current_limit is not None:
            _narrow_to(standing, snapshot.current_limit, in_flight)
        blocked = snapshot.blocked_until
        if blocked is not None and (standing.blocked_until is None or standing.blocked_until < blocked):
            standing.blocked_until = blocked


def _narrow_to(standing: RequestStanding, limit: int, in_flight: int) -> None:
    if limit < standing.limit:
        standing.limit = limit
    if limit - in_flight < standing.free:
        standing.free = limit - in_flight


def _current_limit(limiters: list[LimiterSnapshot]) -> int | None:
    return smallest(*(limiter.current_limit for limiter in limiters))


def _leak_diagnostics(state: ResourceState, now: float) -> dict[str, object]:
    """How many leases were ever given out, and how long the oldest has been out: a lease that is never given
    back shows.
    """
    oldest = next(iter(state.leases), None)
    return {
        "acquired": state.acquired,
        "released": state.acquired - len(state.leases),
        "oldest_lease_seconds": None if oldest is None else now - oldest.acquired_at,
    }
