"""The words of which a verdict is made."""

from __future__ import annotations

from typing import Final, Literal, get_args

__all__ = ["ENDINGS", "LIMITED_BY", "OF", "OUTCOME_KINDS", "Ended", "LimitedBy", "Of", "OutcomeKind"]

OutcomeKind = Literal[
    "success",
    "rate_limited",
    "provider_failure",
    "provider_timeout",
    "local_cancelled",
    "local_timeout",
    "unexpected_exception",
]
"""How a call can end."""
OUTCOME_KINDS: Final[tuple[OutcomeKind, ...]] = get_args(OutcomeKind)

LimitedBy = Literal["requests", "tokens", "places", "day", "overload", "unknown"]
"""What a rate limit was about: calls or tokens per time, calls in flight, the quota of a day or a month, the provider's
own shortage; or nobody said."""
LIMITED_BY: Final[tuple[LimitedBy, ...]] = get_args(LimitedBy)

Of = Literal["call", "account"]
"""Whom a refusal for good concerns: this one call, or every call with this key at this model."""
OF: Final[tuple[Of, ...]] = get_args(Of)

Ended = Literal["stop", "length", "tool_calls", "paused", "empty", "content_filter", "refusal", "cut", "error"]
"""How an answer ended. `empty`: tokens were paid, and there is no text; `cut`: the body broke off."""
ENDINGS: Final[tuple[Ended, ...]] = get_args(Ended)
