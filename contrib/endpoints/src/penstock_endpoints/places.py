"""The endpoints of a run's models: for each call the places at which it may be made, the best first."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import trio

from penstock import (
    ConfigError,
    ModelRequestExecutor,
    RequestDomain,
    RequestResourceKey,
    did_you_mean,
)
from penstock_endpoints.order import EndpointStanding, by_calls_ahead

__all__ = ["Endpoints"]


class Endpoints:
    """The endpoints of each model, `places` as of `expand`, in the run whose calls `requests` admits.

    `penstock.execute(call, endpoints.of("acme/large"))`: each attempt is made where its turn comes first, so one that
    was refused at one endpoint need not wait for it while another is free.
    """

    def __init__(self, places: Mapping[str, Sequence[str]], requests: ModelRequestExecutor) -> None:
        self._places = places
        self._requests = requests
        self._turns = 0

    def of(self, model: str, domain: str = RequestDomain.CHAT) -> Callable[[], Sequence[RequestResourceKey]]:
        """The resource to give to `penstock.execute` for calls to `model` (`provider/model`). Raises `ConfigError` for
        one without endpoints.
        """
        names = self._places.get(model)
        if not names:
            raise ConfigError(f"{model!r} has no endpoints; {did_you_mean(model, self._places, otherwise='there are')}")
        keys = [self._requests.resolver.key_of(name, domain) for name in names]
        return lambda: self.in_order(keys)

    def in_order(self, keys: Sequence[RequestResourceKey]) -> Sequence[RequestResourceKey]:
        """The same resources, that with the fewest calls ahead first."""
        now = trio.current_time()
        self._turns += 1
        order = by_calls_ahead([self._standing(key, now) for key in keys], now, self._turns - 1)
        return [keys[place] for place in order]

    def _standing(self, key: RequestResourceKey, now: float) -> EndpointStanding:
        snapshot = self._requests.pressure.snapshot(key, now)
        if snapshot is None:  # nobody has called it yet
            model = self._requests.pressure.global_snapshot(key.provider_name, key.model_id, now)
            return EndpointStanding(1 if model is None or model.cap is None else model.cap, 0)
        limits = [limit for limit in (snapshot.effective_max, snapshot.current_limit) if limit is not None]
        ahead = snapshot.in_flight_count + snapshot.waiters
        return EndpointStanding(max(1, min(limits, default=1)), ahead, snapshot.blocked_until)
