"""A request limiter for servers that saturate without refusing: it learns from how long their answers take."""

from __future__ import annotations

from penstock_latency.config import LatencyConfig
from penstock_latency.limiter import LatencyLimiter
from penstock_latency.plugin import LatencyPlugin

__all__ = ["LatencyConfig", "LatencyLimiter", "LatencyPlugin"]
