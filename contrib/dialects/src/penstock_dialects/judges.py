"""What no table of codes can tell: the refusals of those who say it in details, or in headers."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import attrs
from msgspec.structs import replace

from penstock import ErrorFields, Verdict
from penstock_dialects.answer import list_of, object_of, text_of
from penstock_dialects.refusals import ACCOUNT, CALL, OVERLOAD, QUOTA, Refusal, limited

__all__ = ["bedrock_error", "judge_any", "judge_gemini", "judge_openrouter", "of_a_day"]


def judge_gemini(refusal: Refusal) -> Verdict | None:
    """Google's: a quota names itself (`..PerDay..` is gone until midnight, whatever `RetryInfo` says); a 429
    without any is capacity that all share; a bad key is a 400 with a reason.
    """
    details = [object_of(detail) for detail in list_of(refusal.raw.get("details"))]
    if any(detail.get("reason") == "API_KEY_INVALID" for detail in details):
        return replace(ACCOUNT, code="api_key_invalid")
    word = text_of(refusal.raw.get("status"))
    if word == "FAILED_PRECONDITION":
        return replace(ACCOUNT, code=word.lower())
    if word != "RESOURCE_EXHAUSTED":
        return None
    quotas = _quotas(details)
    if not quotas:
        return replace(OVERLOAD, code=word.lower())
    if of_a_day(details):
        return replace(QUOTA, code=word.lower())
    tokens = any("Token" in quota for quota in quotas)
    return replace(limited("tokens" if tokens else "requests"), code=word.lower())


def _quotas(details: Iterable[Any]) -> list[str]:
    """The names of the quotas that the details of an error say were exceeded."""
    violations = (each for detail in details for each in list_of(object_of(detail).get("violations")))
    return [text_of(object_of(violation).get("quotaId")) for violation in violations]


def of_a_day(details: Iterable[Any]) -> bool:
    """Whether the details of one of Google's errors say that the quota of a day is used up."""
    return any("PerDay" in quota for quota in _quotas(details))


def judge_openrouter(refusal: Refusal) -> Verdict | None:
    """OpenRouter's: a 403 is a guardrail or moderation, and not the key; a 429 that names a provider is that one's."""
    metadata = object_of(refusal.raw.get("metadata"))
    if refusal.status == 429 and metadata.get("provider_name"):
        return replace(OVERLOAD, code=next(iter(refusal.error.words), ""))
    if refusal.status == 403:
        return replace(CALL, ended="content_filter")
    return None


def judge_any(refusal: Refusal) -> Verdict | None:
    """Whatever is unmistakable without knowing who speaks."""
    found = judge_gemini(refusal)
    if found is None and object_of(refusal.raw.get("metadata")):
        found = judge_openrouter(refusal)
    return found


def bedrock_error(headers: Mapping[str, str], error: ErrorFields) -> ErrorFields:
    """Amazon's: the class of the error stands in a header, before a colon; inside a stream it is the code."""
    name = headers.get("x-amzn-errortype", "").partition(":")[0].strip().lower()
    name = error.code if error.code.endswith("exception") else name
    if not name:
        return error
    fields: dict[str, Any] = {"code": name}
    if name == "throttlingexception":  # of requests, or of tokens, a minute or a day: only the text tells
        text = error.message.lower()
        fields["type"] = "requests" if "too many requests" in text else "tokens" if "too many tokens" in text else ""
    return attrs.evolve(error, **fields)
