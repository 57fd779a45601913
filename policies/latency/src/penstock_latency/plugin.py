"""The plugin: one limit per value of the configured scope, fed by latency.

The algorithm is described in `gradient.py`, what it is fed with in `signals.py`.
"""

from __future__ import annotations

from penstock import RequestLimiter, Scope, hookimpl, scope_kind
from penstock_latency.config import LatencyConfig
from penstock_latency.limiter import LatencyLimiter

__all__ = ["LatencyPlugin"]


class LatencyPlugin:
    """Finds out how many calls a server works on at a time, when it queues the others instead of refusing them.

    Compares how long answers take with how long they take when nothing queues, and keeps a short queue. Measures the
    latter again from time to time with fewer calls out. Only successes teach it anything.
    """

    Config = LatencyConfig

    def __init__(self, config: LatencyConfig) -> None:
        self.config = config

    @hookimpl
    def penstock_request_limiter(self, scope: Scope, cap: int | None) -> RequestLimiter | None:
        """A limit for `scope` if that is the kind of scope that `Config.scope` names."""
        return LatencyLimiter(scope, cap, self.config) if scope_kind(scope) == self.config.scope else None
