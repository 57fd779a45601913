"""The headers by which a provider reports its limits, in the forms that providers really send.

`x-ratelimit-*` as OpenAI documents them (platform.openai.com/docs/guides/rate-limits: "limit" per minute,
"remaining" now, "reset" until the first state is reached again, as a duration like `6m0s` or `20ms`);
Retry-After in RFC 9110's two forms, with the fractions that some providers send, and as `retry-after-ms`.
"""

from __future__ import annotations

import math
from email.utils import formatdate

from penstock.testing.provider.limits import RetryAfterForm
from penstock.testing.provider.token_bucket import TokenBucket

__all__ = ["bucket_headers", "duration", "retry_after_headers"]


def duration(seconds: float) -> str:
    """A duration as OpenAI writes it, rounded up to a millisecond.

    >>> duration(0.02), duration(1), duration(59.5), duration(360), duration(3661.25)
    ('20ms', '1s', '59.5s', '6m0s', '1h1m1.25s')
    """
    milliseconds = _ceil(seconds * 1000)
    if milliseconds < 1000:
        return f"{milliseconds}ms"
    minutes, rest = divmod(milliseconds, 60_000)
    hours, minutes = divmod(minutes, 60)
    words = f"{rest / 1000:g}s"
    if minutes or hours:
        words = f"{minutes}m{words}"
    return f"{hours}h{words}" if hours else words


def bucket_headers(kind: str, per_minute: float, bucket: TokenBucket, now: float) -> dict[str, str]:
    """The three `x-ratelimit-*` headers for `kind` (`requests` or `tokens`)."""
    return {
        f"x-ratelimit-limit-{kind}": str(int(per_minute)),
        f"x-ratelimit-remaining-{kind}": str(max(0, math.floor(bucket.level(now) + 1e-6))),
        f"x-ratelimit-reset-{kind}": duration(bucket.until_full(now)),
    }


def retry_after_headers(seconds: float, form: RetryAfterForm, wall: float) -> dict[str, str]:
    """The headers that ask to retry after `seconds` from now, `wall` being now as Unix time.

    Whatever the form rounds, it rounds up: a client that obeys never comes too early.
    """
    if form == "milliseconds":
        return {"retry-after-ms": str(_ceil(seconds * 1000))}
    if form == "whole-seconds":
        return {"retry-after": str(_ceil(seconds))}
    if form == "http-date":
        # A date has no fractions. The answer's own date is cut off as every server does it, so the
        # difference of the two is never shorter than what was meant.
        return {
            "date": formatdate(math.floor(wall), usegmt=True),
            "retry-after": formatdate(_ceil(wall + seconds), usegmt=True),
        }
    return {"retry-after": f"{_ceil(seconds * 1e6) / 1e6:.6f}".rstrip("0").rstrip(".")}


def _ceil(amount: float) -> int:
    # 0.1 * 1000 may be 100.00000000000001: that is 100, not 101.
    return math.ceil(amount - 1e-6)
