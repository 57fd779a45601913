"""The core's own reading of an answer: hints and verdict from its status, its headers, and the code in its body.

It is what a bare `penstock.execute` has. `penstock-dialects` reads whole bodies and streams, in every dialect, and
hands both records over in `ResponseFacts`; then nothing is read here.

A code counts more than the status: `insufficient_quota` comes as 429, and never passes.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from datetime import datetime
from typing import Final

from msgspec.structs import replace

from penstock.requests.error_body import NO_ERROR, ErrorFields, error_fields, error_in
from penstock.requests.hint_reading import read_hints
from penstock.requests.hints import Hints
from penstock.requests.verdict import Verdict

__all__ = ["asks_for_too_much", "hints_of", "verdict_of_answer", "verdict_of_refusal", "verdict_of_status"]

_OF_ACCOUNT: Final = Verdict(kind="provider_failure", of="account")
_ACCOUNT_IN_WORDS: Final = replace(_OF_ACCOUNT, may_pass=False)
_OF_CALL: Final = Verdict(kind="provider_failure", of="call")
_OVERLOAD: Final = Verdict(kind="rate_limited", limited_by="overload")
_SUCCESS: Final = Verdict(kind="success")
_FAILURE: Final = Verdict(kind="provider_failure")
_TIMEOUT: Final = Verdict(kind="provider_timeout")


def _limited(by: str) -> Verdict:
    return Verdict(kind="rate_limited", limited_by=by)  # type: ignore[arg-type]


_WORDS: Final[dict[str, Verdict]] = {
    **dict.fromkeys(
        (
            *("insufficient_quota", "credit_balance_exhausted", "billing_hard_limit_reached", "billing_not_active"),
            *("account_deactivated", "organization_spend_limit_exceeded", "project_spend_limit_exceeded"),
            *("organization_usage_limit_exceeded", "billing_error", "invalid_api_key", "authentication_error"),
            *("permission_error", "model_not_found", "budget_exceeded"),
        ),
        _ACCOUNT_IN_WORDS,
    ),
    **dict.fromkeys(
        ("context_length_exceeded", "request_too_large", "exceed_context_size_error", "content_filter"), _OF_CALL
    ),
    **dict.fromkeys(
        ("overloaded_error", "server_is_overloaded", "slow_down", "queue_exceeded", "capacity_exceeded"), _OVERLOAD
    ),
    "rate_limit_exceeded": _limited("unknown"),
    "rate_limit_error": _limited("unknown"),
    "requests": _limited("requests"),
    "tokens": _limited("tokens"),
}
"""What the code or the type of an error means, whatever the status."""

_TOO_MUCH: Final = re.compile(
    r"\blimit:?\s+(?P<limit>[0-9][0-9,]{0,15}).{0,80}?\brequested:?\s+(?P<asked>[0-9][0-9,]{0,15})",
    re.ASCII | re.IGNORECASE | re.DOTALL,
)


def asks_for_too_much(message: str) -> bool:
    """Whether a refusal says that the call asks for more than the whole limit, so that it can never pass.

    >>> asks_for_too_much("on tokens per min (TPM): Limit 8000, Requested 11881, please reduce your message size")
    True
    >>> asks_for_too_much("on tokens per min (TPM): Limit 30000, Used 29500, Requested 1200")
    False
    """
    found = _TOO_MUCH.search(message)
    return found is not None and _whole(found["asked"]) > _whole(found["limit"])


def _whole(text: str) -> int:
    return int(text.replace(",", ""))


def hints_of(status: int | None, headers: Mapping[str, str], wall_now: datetime | None) -> Hints:
    """The hints of an answer with these headers."""
    return read_hints(headers, refused=status is None or status >= 400, wall_now=wall_now)


def verdict_of_status(status: int, *, asked: bool = False) -> Verdict:
    """The verdict where nothing but the status is known; `asked`: the provider asked to wait.

    2xx and 3xx are successes; 429 is a rate limit, as is 529 and 503 with a `Retry-After`; 408, 504 and 524 are
    timeouts; 401, 402 and 403 refuse the account, every other 4xx the call, but for those that speak of the moment;
    everything else is a provider failure.
    """
    if 100 <= status < 400:
        return _SUCCESS
    if status == 429:
        return _limited("unknown")
    if status == 529 or (status == 503 and asked):
        return _OVERLOAD
    if status in (408, 504, 524):
        return _TIMEOUT
    if status in (401, 402, 403):
        return _OF_ACCOUNT
    return _OF_CALL if 400 <= status < 500 and status not in (409, 423, 424, 425, 499) else _FAILURE


def verdict_of_refusal(status: int, error: ErrorFields, *, asked: bool = False) -> Verdict:
    """The verdict on an error with this status and these words."""
    if status == 413 or (status == 429 and asks_for_too_much(error.message)):
        return replace(_OF_CALL, code=next(iter(error.words), ""))
    by_status = verdict_of_status(status, asked=asked)
    for word in error.words:
        found = _WORDS.get(word)
        if found is None or (found.limited_by == "unknown" and by_status.kind == "rate_limited"):
            continue
        # The type alone (`tokens`) says what a rate limit was about; it makes none of another status
        if word in ("requests", "tokens") and by_status.kind != "rate_limited":
            continue
        return replace(found, code=error.words[0])
    return replace(by_status, code=next(iter(error.words), ""))


def verdict_of_answer(status: int | None, body: bytes | str | None, word: str, *, asked: bool) -> Verdict:
    """The verdict on an answer of which the core has the status, perhaps the body, or the word of its error."""
    if status is None:
        return _SUCCESS
    if status < 400:
        error = _error_in_success(body)
        if error is None:
            return _SUCCESS
        return replace(verdict_of_refusal(error.status or 500, error, asked=asked), ended="error")
    error = ErrorFields(code=word.lower()) if word else NO_ERROR if body is None else error_fields(body)
    return verdict_of_refusal(status, error, asked=asked)


def _error_in_success(body: bytes | str | None) -> ErrorFields | None:
    """The error that an answer with a good status holds all the same."""
    if body is None or (b'"error' if isinstance(body, bytes) else '"error') not in body:  # type: ignore[operator]
        return None
    try:
        return error_in(json.loads(body))
    except (ValueError, RecursionError):
        return None
