"""What a limiter says of its own changes, for the event stream."""

from __future__ import annotations

from typing import Final, Literal, get_args

import attrs

from penstock.words.checks import a_figure, a_moment, a_text, is_text, shown
from penstock.words.errors import ConfigError

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


_KINDS: Final = get_args(LimiterChangeKind)


@attrs.frozen
class LimiterChange:
    """A change of a limiter. `kind` is one of `LimiterChangeKind`. `before` and `after` are the limits,
    where there are such. `blocked_until` is the moment up to which no calls go out because of it: what joins
    events to a cooldown. Raises `ConfigError` for anything else.
    """

    kind: LimiterChangeKind
    before: float | None = None
    after: float | None = None
    detail: str = ""
    blocked_until: float | None = None

    def __attrs_post_init__(self) -> None:
        kind: object = self.kind
        if not is_text(kind) or kind not in _KINDS:
            raise ConfigError(f"kind must be one of {', '.join(_KINDS)}, not {shown(self.kind)}")
        for what in ("before", "after"):
            if (figure := getattr(self, what)) is not None:
                a_figure(figure, what)
        a_text(self.detail, "detail")
        if self.blocked_until is not None:
            a_moment(self.blocked_until, "blocked_until")
