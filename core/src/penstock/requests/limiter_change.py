"""What a limiter says of its own changes, for the event stream."""

from __future__ import annotations

from typing import Literal

import attrs

__all__ = ["LimiterChange", "LimiterChangeKind"]

LimiterChangeKind = Literal[
    "request_rate_limited",
    "request_limit_decreased",
    "request_limit_increased",
    "request_soft_ceiling_recovered",
    "request_fully_recovered",
    "request_effective_cap_changed",
    "request_release_diagnostic",
]
"""What of a limiter can change: the limit events of the request stream."""


@attrs.frozen
class LimiterChange:
    """Something about a limiter changed. `kind` is one of `LimiterChangeKind`. `before` and `after` are the limits,
    where there are such. `blocked_until` is the moment up to which no calls go out because of it: what joins
    events to a cooldown.
    """

    kind: LimiterChangeKind
    before: float | None = None
    after: float | None = None
    detail: str = ""
    blocked_until: float | None = None
