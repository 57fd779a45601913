"""A request limiter that finds out how many calls a provider takes at a time."""

from __future__ import annotations

from penstock_aimd.config import AimdConfig
from penstock_aimd.limiter import AimdLimiter
from penstock_aimd.plugin import AimdPlugin

__all__ = ["AimdConfig", "AimdLimiter", "AimdPlugin"]
