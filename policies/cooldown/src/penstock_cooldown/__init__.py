"""A request limiter that waits when the provider says 429: Retry-After, a half-open probe, and a jittered ramp."""

from __future__ import annotations

from penstock_cooldown.config import CooldownConfig
from penstock_cooldown.limiter import CooldownLimiter
from penstock_cooldown.plugin import CooldownPlugin

__all__ = ["CooldownConfig", "CooldownLimiter", "CooldownPlugin"]
