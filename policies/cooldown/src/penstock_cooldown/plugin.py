"""The plugin: one cooldown per value of the configured scope.

What a cooldown does, and where that comes from (Retry-After of RFC 9110, section 10.2.3; the half-open state of
Nygard's circuit breaker, Release It!, 2007; slow start of RFC 5681, section 3.1), is described in `limiter.py`.
"""

from __future__ import annotations

from penstock import RequestLimiter, Scope, Settings, hookimpl, scope_kind
from penstock_cooldown.config import CooldownConfig
from penstock_cooldown.limiter import CooldownLimiter

__all__ = ["CooldownPlugin"]


class CooldownPlugin:
    """After a 429 nobody calls until the provider may be asked again; then one call asks first.

    Obeys Retry-After (the longest one wins), waits `default_seconds` without it, sends exactly one probe when the
    time is over, and lets the others follow in a jittered ramp once the provider has taken the probe on. Reads no
    clock and holds no timer: what time brings is named in each refusal.
    """

    Config = CooldownConfig

    def __init__(self, config: CooldownConfig) -> None:
        self.config = config

    @hookimpl
    def penstock_request_limiter(self, scope: Scope, settings: Settings) -> RequestLimiter | None:
        """A cooldown for `scope` if that is the kind of scope that `Config.scope` names."""
        if scope_kind(scope) != self.config.scope:
            return None
        return CooldownLimiter(scope, self.config, settings.rng(str(scope)))
