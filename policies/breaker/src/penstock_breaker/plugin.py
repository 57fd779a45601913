"""The plugin: one breaker per value of the configured scope. What a breaker does is described in `limiter.py`."""

from __future__ import annotations

from penstock import RequestLimiter, Scope, Settings, hookimpl, scope_kind
from penstock_breaker.config import BreakerConfig
from penstock_breaker.limiter import BreakerLimiter

__all__ = ["BreakerPlugin"]


class BreakerPlugin:
    """When too many calls of an endpoint fail nobody calls it for a while; then one call asks first.

    Counts 5xx, broken connections and timeouts of the last `window_seconds`. Rate limits count only with
    `count_rate_limits`, and what ended on our side never does. Calls wait while it is open, or are refused at once
    with `fail_fast`. Reads no clock and holds no timer: what time brings is named in each refusal.
    """

    Config = BreakerConfig

    def __init__(self, config: BreakerConfig) -> None:
        self.config = config

    @hookimpl
    def penstock_request_limiter(self, scope: Scope, settings: Settings) -> RequestLimiter | None:
        """A breaker for `scope` if that is the kind of scope that `Config.scope` names."""
        if scope_kind(scope) != self.config.scope:
            return None
        return BreakerLimiter(scope, self.config, settings.rng(str(scope)))
