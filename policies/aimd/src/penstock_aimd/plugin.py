"""The plugin: one adaptive limit per value of the configured scope.

The algorithm and its sources (Chiu and Jain 1989; `AIMDLimit` of Netflix concurrency-limits; CUBIC, RFC 9438, for the
plateau and the convex side) are described in `limiter.py`, the soft ceiling in `ceiling.py`, the first climb in
`ramp.py`.
"""

from __future__ import annotations

from penstock import RequestLimiter, Scope, hookimpl, scope_kind
from penstock_aimd.config import AimdConfig
from penstock_aimd.limiter import AimdLimiter

__all__ = ["AimdPlugin"]


class AimdPlugin:
    """Finds out how many calls a provider takes at a time: additive increase, multiplicative decrease.

    Begins with one call and climbs to the cap within seconds, until the first rate limit; cuts by a quarter once per
    burst of refusals; goes back to the last limit that was proven; and tries one call more only after a while that is
    in proportion to what a refusal costs. Timeouts, 5xx and cancellations change no limit.
    """

    Config = AimdConfig

    def __init__(self, config: AimdConfig) -> None:
        self.config = config

    @hookimpl
    def penstock_request_limiter(self, scope: Scope, cap: int | None) -> RequestLimiter | None:
        """A limit for `scope` if that is the kind of scope that `Config.scope` names."""
        return AimdLimiter(scope, cap, self.config) if scope_kind(scope) == self.config.scope else None
