"""What an answer tells of its provider's limits: how long not to call, how much there is, and how much is left.

Readers make it, once per answer; limiters get it in `observe` and with the release, and read no header themselves.
"""

from __future__ import annotations

from math import isfinite

import attrs

from penstock.words.checks import a_duration, an_instance, shown
from penstock.words.errors import ConfigError

__all__ = ["NO_HINTS", "Hints", "LimitHint"]


@attrs.frozen
class LimitHint:
    """One limit that an answer reports. Amounts are calls or tokens, `reset` and `window` seconds; `None`: not said.

    `dimension`  `requests`, `tokens` (both kinds together), `input_tokens` or `output_tokens`
    `remaining`  what is left, this call taken off
    `reset`      the time until all of it is there again, which is not the time until the next call may go out
    `window`     the time for which the limit is meant
    `said_by`    the header that names the limit, or the field of the body; the same from answer to answer
    """

    dimension: str
    limit: float | None = None
    remaining: float | None = None
    reset: float | None = None
    window: float | None = None
    said_by: str = ""

    def __attrs_post_init__(self) -> None:
        for name in ("limit", "remaining", "reset", "window"):
            amount = getattr(self, name)
            if amount is not None and not isfinite(a_duration(amount, name)):
                raise ConfigError(f"{name} must be finite; leave it out where it is not known")


@attrs.frozen(kw_only=True)
class Hints:
    """All that one answer tells of limits.

    `not_before_seconds`  how long no call should go out, counted from the arrival of the answer; `None`: not reported
    `said_by`             who said so: a header (`retry-after`), or a field of the body
    `limits`              the limits that are reported
    `ignored`             the headers that make no sense
    """

    not_before_seconds: float | None = None
    said_by: str = ""
    limits: tuple[LimitHint, ...] = ()
    ignored: tuple[str, ...] = ()

    def __attrs_post_init__(self) -> None:
        asked = self.not_before_seconds
        if asked is not None and not isfinite(a_duration(asked, "not_before_seconds")):
            raise ConfigError("not_before_seconds must be finite; leave it out where nothing was asked for")
        if not isinstance(self.limits, tuple):
            raise ConfigError(f"limits must be a tuple of LimitHint, not {shown(self.limits)}")
        for limit in self.limits:
            an_instance(limit, LimitHint, "each of limits")


NO_HINTS = Hints()
"""What an answer that tells nothing tells."""
