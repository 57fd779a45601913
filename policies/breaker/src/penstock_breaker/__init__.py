"""A request limiter for endpoints that fail: a failure-rate circuit breaker with half-open probes."""

from __future__ import annotations

from penstock_breaker.config import BreakerConfig
from penstock_breaker.limiter import BreakerLimiter
from penstock_breaker.plugin import BreakerPlugin

__all__ = ["BreakerConfig", "BreakerLimiter", "BreakerPlugin"]
