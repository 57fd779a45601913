"""What a limiter shows of itself."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import attrs

__all__ = ["LimiterSnapshot"]


@attrs.frozen(kw_only=True)
class LimiterSnapshot:
    """A limiter's state in the terms of the pressure snapshot; a limiter leaves out what it does not know.

    `current_limit` and `effective_max` are calls in flight; `blocked_until` is a moment of the run's clock.
    """

    current_limit: int | None = None
    effective_max: int | None = None
    blocked_until: float | None = None
    rate_limit_ceiling: float | None = None
    consecutive_rate_limits: int | None = None
    details: Mapping[str, Any] = attrs.field(factory=dict)
