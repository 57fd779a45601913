"""What a limiter shows of itself."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import attrs

from penstock.words.checks import a_figure, a_mapping, a_moment

__all__ = ["LimiterSnapshot"]


@attrs.frozen(kw_only=True)
class LimiterSnapshot:
    """A limiter's state in the terms of the pressure snapshot; a limiter leaves out what it does not know.

    `current_limit` and `effective_max` are calls in flight; `blocked_until` is a moment of the run's clock.
    Raises `ConfigError` for anything else.
    """

    current_limit: int | None = None
    effective_max: int | None = None
    blocked_until: float | None = None
    rate_limit_ceiling: float | None = None
    consecutive_rate_limits: int | None = None
    details: Mapping[str, Any] = attrs.field(factory=dict)

    def __attrs_post_init__(self) -> None:
        for what in ("current_limit", "effective_max", "rate_limit_ceiling", "consecutive_rate_limits"):
            figure = getattr(self, what)
            if figure is not None and (type(figure) is not int or figure < 0):
                a_figure(figure, what)
        if self.blocked_until is not None:
            a_moment(self.blocked_until, "blocked_until")
        if type(self.details) is not dict:
            a_mapping(self.details, "details", "{'limit': 8}")
