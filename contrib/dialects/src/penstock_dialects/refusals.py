"""What a refusal means, by the words of all providers in tables: their codes first, then what their texts say.

Codes are unambiguous across providers but for the few that a dialect judges itself (`dialects.py`). Texts are looked at
where the code says nothing, or says the same of what passes and what never does.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from types import MappingProxyType
from typing import Any, Final

import attrs
from msgspec.structs import replace

from penstock import ErrorFields, Hints, LimitedBy, Verdict, verdict_of_refusal

__all__ = ["ACCOUNT", "CALL", "LONG", "OVERLOAD", "QUOTA", "Refusal", "judge", "limited"]

ACCOUNT: Final = Verdict(kind="provider_failure", of="account", may_pass=False)
CALL: Final = Verdict(kind="provider_failure", of="call")
OVERLOAD: Final = Verdict(kind="rate_limited", limited_by="overload")
QUOTA: Final = Verdict(kind="rate_limited", limited_by="day", of="account", may_pass=False)
FILTERED: Final = replace(CALL, ended="content_filter")
MAY_PASS: Final = Verdict(kind="provider_failure", may_pass=True)

LONG: Final = 3600.0
"""Who asks a rate-limited call to wait longer than this, in seconds, speaks of a day's quota."""


def limited(by: LimitedBy) -> Verdict:
    """A rate limit about this."""
    return Verdict(kind="rate_limited", limited_by=by)


@attrs.frozen
class Refusal:
    """What there is to be judged by. `status` is that of the answer, or the one that its error states inside a 200."""

    status: int
    headers: Mapping[str, str]
    error: ErrorFields
    hints: Hints
    raw: Mapping[str, Any] = MappingProxyType({})
    """The error as it stands in the body."""


def _words(verdict: Verdict, words: str) -> dict[str, Verdict]:
    return dict.fromkeys(words.split(), verdict)


WORDS: Final[Mapping[str, Verdict]] = MappingProxyType(
    {
        **_words(
            ACCOUNT,
            "payment_required accessdeniedexception expiredtokenexception unrecognizedclientexception"
            " unauthorizedexception invalid_authentication deploymentnotfound permission_denied unauthenticated"
            " billing_not_active api_key_invalid not_found_error resourcenotfoundexception",
        ),
        **_words(
            QUOTA,
            "enforced_spend_limit_reached quota_exceeded servicequotaexceededexception token_limit_exceeded"
            " organization_spend_limit_exceeded project_spend_limit_exceeded organization_usage_limit_exceeded",
        ),
        **_words(
            CALL,
            "exceed_context_size_error too_many_tokens too_many_prompt_tokens validation validationexception"
            " string_above_max_length badrequesterror",
        ),
        **_words(FILTERED, "content_filter content_policy_violation responsibleaipolicyviolation"),
        **_words(
            OVERLOAD,
            "service_overloaded server_overloaded overloaded unavailable unavailable_error serviceunavailableerror"
            " serviceunavailableexception service_unavailable_error service_unavailable modelnotreadyexception"
            " provider_overloaded service_tier_capacity_exceeded 3505 resource_unavailable engine_overloaded",
        ),
        **_words(limited("requests"), "request_quota_exceeded request_rate_limit_exceeded"),
        **_words(limited("tokens"), "token_quota_exceeded"),
        **_words(
            Verdict(kind="provider_timeout"), "timeout_error deadline_exceeded modeltimeoutexception gateway_timeout"
        ),
        **_words(replace(MAY_PASS, ended="error"), "tool_use_failed"),
        **_words(MAY_PASS, "generation incomplete_generation modelerrorexception"),
    }
)
"""A code or type in lower case, to what it means; beside those that the core knows."""

_TEXTS: Final[tuple[tuple[re.Pattern[str], Verdict], ...]] = tuple(
    (re.compile(pattern, re.IGNORECASE | re.ASCII | re.DOTALL), verdict)
    for pattern, verdict in (
        (
            r"maximum context length|prompt is too long|prompt too long|exceeds the maximum number of tokens"
            r"|too many tokens: size limit|exceeds the available context|input tokens exceeded|max_new_tokens. must be",
            CALL,
        ),
        (
            r"credit balance is too low|no credits remaining|insufficient (?:account )?balance"
            r"|used all available credits|maximum billing reached|can only afford|account is suspended"
            r"|free tier is not available|incorrect api key|invalid api key"
            r"|invalid subscription key|api key not valid|invalid x-api-key",
            ACCOUNT,
        ),
        (r"api usage limits|monthly spending limit", QUOTA),
        (
            r"overloaded|server busy|queue is full|high (?:traffic|demand)|capacity exceeded|rate-limited upstream"
            r"|loading model|at capacity|maximum pending requests",
            OVERLOAD,
        ),
    )
)
"""What a text means, whatever the status; the first that is found counts."""

_OF_A_DAY: Final = re.compile(r"per[ -](?:day|month)|/ (?:day|month)|\bdaily\b|\bmonthly\b|\b[rt]pd\b", re.I | re.ASCII)
_OF_TOKENS: Final = re.compile(
    r"token rate limit|tokens? per|too many tokens|\([iot]*tpm\)|input_token", re.I | re.ASCII
)
_OF_REQUESTS: Final = re.compile(
    r"requests? per|requests? rate limit|api calls|call rate limit|\(rpm\)|models-per-(?:min|day)", re.I | re.ASCII
)


def judge(refusal: Refusal, words: Mapping[str, Verdict] = MappingProxyType({})) -> Verdict:
    """The verdict on a refusal. `words` are those of a dialect, which count before all others."""
    error, status = refusal.error, refusal.status
    by_core = verdict_of_refusal(status, error, asked=refusal.hints.not_before_seconds is not None)
    code = next(iter(error.words), "")
    if by_core.of == "call" and status in (413, 429):
        return by_core  # more than a whole limit: no code tells that, and some call it a rate limit
    for table in (words, WORDS):
        for word in error.words:
            if word in table:
                return _paced(replace(table[word], code=code), refusal)
    for pattern, verdict in _TEXTS:
        if pattern.search(error.message):
            return replace(verdict, code=code)
    if status == 404:
        by_core = replace(ACCOUNT, may_pass=None, code=code)  # of an address that models are called at: there is none
    elif refusal.headers.get("x-should-retry") == "true" and by_core.kind == "provider_failure" and not by_core.of:
        by_core = replace(by_core, may_pass=True)
    return _paced(by_core, refusal)


def _paced(verdict: Verdict, refusal: Refusal) -> Verdict:
    """A rate limit with what it was about, and what is in truth the quota of a day or a month."""
    if verdict.kind != "rate_limited" or verdict.of is not None or verdict.limited_by == "overload":
        return verdict
    message, asked = refusal.error.message, refusal.hints.not_before_seconds
    if (asked or 0.0) >= LONG or (asked is None and _OF_A_DAY.search(message)):
        return replace(QUOTA, code=verdict.code)
    if verdict.limited_by not in (None, "unknown"):
        return verdict
    about = _about(message) or _spent(refusal.hints)
    return verdict if about is None else replace(verdict, limited_by=about)


def _about(message: str) -> LimitedBy | None:
    if _OF_TOKENS.search(message):
        return "tokens"
    return "requests" if _OF_REQUESTS.search(message) else None


def _spent(hints: Hints) -> LimitedBy | None:
    """What the headers say has been used up, if that is one thing."""
    spent: set[LimitedBy] = {
        "requests" if limit.dimension == "requests" else "tokens" for limit in hints.limits if limit.remaining == 0
    }
    return spent.pop() if len(spent) == 1 else None
