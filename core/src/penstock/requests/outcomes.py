"""How a call ended, in the words that limiters understand, and the reading of `Retry-After` in all its forms.

A limiter may only learn from what the provider did. So what ended on our side (`local_cancelled`,
`local_timeout`) has kinds of its own, and `classify` never makes a provider's failure of a local refusal.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from math import isfinite
from typing import Final, Literal, get_args

import attrs

from penstock.requests.response import ResponseFacts, check_headers, check_moments
from penstock.words.checks import MOST_TOKENS, a_duration, an_instance, is_text, shown, true_or_false, whole_number
from penstock.words.errors import ConfigError

__all__ = ["OUTCOME_KINDS", "OutcomeKind", "RequestReleaseOutcome", "Usage", "classify", "retry_after_seconds"]

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
_NUMBER: Final = re.compile(r"[0-9]+(\.[0-9]*)?|\.[0-9]+", re.ASCII)


@attrs.frozen
class Usage:
    """What a call really used, in tokens (≥ 0). Raises `ConfigError` for anything else."""

    input_tokens: int = 0
    output_tokens: int = 0

    def __attrs_post_init__(self) -> None:
        whole_number(self.input_tokens, "usage.input_tokens", 0, MOST_TOKENS)
        whole_number(self.output_tokens, "usage.output_tokens", 0, MOST_TOKENS)


@attrs.frozen(kw_only=True)
class RequestReleaseOutcome:
    """The end of a call. `kind` is one of `OUTCOME_KINDS`; `retry_after_seconds` is what the provider asked
    for, if it did. `usage` is what the call really used, if the answer said; `went_out` is false for a call that
    was never sent, and so used nothing.

    `limited_by` is what a rate limit was about where that is known, `requests` or a kind of tokens: then it says
    nothing of how many calls may be in flight.

    `elapsed` and `first_token_at` are seconds since the call went out; `headers` have lower-case names.
    """

    kind: OutcomeKind = attrs.field()
    retry_after_seconds: float | None = None
    usage: Usage | None = None
    status: int | None = None
    detail: str = ""
    elapsed: float | None = None
    first_token_at: float | None = None
    headers: Mapping[str, str] | None = None
    went_out: bool = True
    limited_by: str | None = None

    @kind.validator
    def _known(self, _: attrs.Attribute[str], value: str) -> None:
        if not is_text(value) or value not in OUTCOME_KINDS:
            raise ConfigError(f"outcome kind {shown(value)} is none of {', '.join(OUTCOME_KINDS)}")

    def __attrs_post_init__(self) -> None:
        asked = self.retry_after_seconds
        if asked is not None and not isfinite(a_duration(asked, "retry_after_seconds")):
            raise ConfigError("retry_after_seconds must be finite; leave it out where nothing was asked for")
        check_moments(self.elapsed, self.first_token_at)
        if self.usage is not None:
            an_instance(self.usage, Usage, "usage")
        if self.status is not None:
            whole_number(self.status, "status", 0, 999)
        for what in ("detail", "limited_by"):
            if (word := getattr(self, what)) is not None and not is_text(word):
                raise ConfigError(f"{what} must be text, not {shown(word)}")
        if self.headers is not None:
            check_headers(self.headers)
        true_or_false(self.went_out, "went_out")

    @property
    def retryable(self) -> bool:
        """Whether the same call may succeed later: rate limits, provider failures (5xx) and timeouts."""
        return self.kind in ("rate_limited", "provider_timeout") or (
            self.kind == "provider_failure" and (self.status is None or self.status >= 500)
        )


SUCCESS: Final = RequestReleaseOutcome(kind="success")


def classify(
    facts: ResponseFacts | None, error: BaseException | None, *, wall_now: datetime | None = None
) -> RequestReleaseOutcome:
    """The outcome of a call when no plugin has an opinion.

    2xx and 3xx are successes; 429 is a rate limit, as is 529 and 503 with a Retry-After; 408 and 504 are
    timeouts; every other 4xx and 5xx is a provider failure. An error without a status, or after a good one (a
    body that broke off): `TimeoutError` is a provider timeout, `ConnectionError` and other `OSError` provider
    failures, anything else unexpected. A group of errors is what all its members are, or unexpected.
    `wall_now` is for a `Retry-After` date in an answer that does not say its own time.

    The exception's text stays out of the outcome: it may hold what must not reach a sink.
    """
    status = facts.status if facts is not None else None
    asked = retry_after_seconds(facts.headers, wall_now) if facts is not None else None
    kind = "success" if status is None else _kind_of_status(status, asked)
    detail = facts.error_type or "" if facts is not None else ""
    if kind == "success" and error is not None:
        kind, detail = _kind_of_error(error), type(error).__name__
    if facts is None:
        return SUCCESS if error is None else RequestReleaseOutcome(kind=kind, detail=detail)
    return RequestReleaseOutcome(
        kind=kind,
        retry_after_seconds=asked,
        status=status,
        detail=detail,
        elapsed=facts.elapsed,
        first_token_at=facts.first_token_at,
        headers=facts.headers,
    )


def _kind_of_status(status: int, asked: float | None) -> OutcomeKind:
    if 100 <= status < 400:
        return "success"
    if status in (429, 529) or (status == 503 and asked is not None):
        return "rate_limited"
    if status in (408, 504):
        return "provider_timeout"
    return "provider_failure"


def _kind_of_error(error: BaseException) -> OutcomeKind:
    if isinstance(error, BaseExceptionGroup):
        kinds = {_kind_of_error(member) for member in error.exceptions}
        return kinds.pop() if len(kinds) == 1 else "unexpected_exception"
    if isinstance(error, TimeoutError):
        return "provider_timeout"
    return "provider_failure" if isinstance(error, OSError) else "unexpected_exception"


def retry_after_seconds(headers: Mapping[str, str], wall_now: datetime | None = None) -> float | None:
    """How long the provider asks to wait, in seconds, from headers with lower-case names; `None` if it does
    not say.

    Reads `retry-after-ms` (milliseconds), then `retry-after` as seconds or as an HTTP date (RFC 9110, section
    10.2.3). A date is taken against the answer's own `date` header, so that the two clocks need not agree,
    else against `wall_now`. A date in the past means 0. Nonsense is no header.
    """
    milliseconds = _amount(headers.get("retry-after-ms"))
    if milliseconds is not None:
        return milliseconds / 1000
    text = headers.get("retry-after")
    seconds = _amount(text)
    if seconds is not None or text is None:
        return seconds
    then = _moment(text)
    now = _moment(headers.get("date")) or wall_now
    if then is None or now is None:
        return None
    if now.tzinfo is None:
        now = now.replace(tzinfo=UTC)
    return max(0.0, (then - now).total_seconds())


def _amount(text: str | None) -> float | None:
    """A decimal number without sign or exponent, which is all that the header may be; some send fractions."""
    text = None if text is None else text.strip()
    if text is None or not _NUMBER.fullmatch(text):
        return None
    amount = float(text)
    return amount if isfinite(amount) else None


def _moment(text: str | None) -> datetime | None:
    if text is None:
        return None
    try:
        moment = parsedate_to_datetime(text)
    except (ValueError, TypeError, IndexError, OverflowError):
        return None
    return moment if moment.tzinfo is not None else moment.replace(tzinfo=UTC)
