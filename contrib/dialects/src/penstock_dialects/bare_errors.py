"""Errors inside a 200 that say less than a status would: flat ones, of no shape, and those that state no status."""

from __future__ import annotations

import re
from typing import Any, Final

from penstock import ErrorFields, error_in
from penstock_dialects.answer import text_of

__all__ = ["error_of_no_shape", "status_of_words"]

_FAILED: Final = ("error", "exception", "exceeded")
"""How a code or a type ends that is an error's."""
_NAMES: Final = ("Error", "Errors", "ERROR", "fault", "Fault")
"""What some gateways write in the place of `error`."""
_BAD: Final = frozenset({"invalid_request_error", "validation_error", "invalid_argument"})
_TOO_MANY: Final = re.compile(r"too many requests|rate limit(?:ed)?\b|throttl", re.IGNORECASE | re.ASCII)


def error_of_no_shape(value: dict[str, Any]) -> ErrorFields | None:
    """The error that a value is by itself which no shape knows, in the ways of gateways and of those who write no
    `error` around it.

    >>> error_of_no_shape({"message": "x", "type": "too_many_requests_error"})
    ErrorFields(code='', type='too_many_requests_error', status=None)
    >>> error_of_no_shape({"message": "hello", "type": "greeting"})
    """
    status = next((value[name] for name in ("status", "statusCode", "status_code", "code") if name in value), None)
    bad = isinstance(status, int) and not isinstance(status, bool) and 400 <= status <= 599
    for name in _NAMES:
        if error := value.get(name):
            return error_in({"error": error}) or ErrorFields()
    if bad or value.get("success") is False or status == "error" or value.get("error") == {} or _is_flat(value):
        return error_in({"error": {**value, "status": status if bad else None, "error": None, "code": status}})
    return None


def _is_flat(value: dict[str, Any]) -> bool:
    words = (text_of(value.get(name)).lower() for name in ("code", "type", "error_type", "__type"))
    return bool(text_of(value.get("message"))) and any(word.endswith(_FAILED) for word in words)


def status_of_words(error: ErrorFields) -> int:
    """The status that an error inside a 200 would have had, where it does not say."""
    words = (*error.words, error.message)
    if any(word.startswith(("rate_limit", "too_many_requests")) or _TOO_MANY.search(word) for word in words):
        return 429
    return 400 if (error.type or error.code) in _BAD else 500
