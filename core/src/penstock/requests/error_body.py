"""The words of an error in the body of an answer, wherever its provider put them."""

from __future__ import annotations

import json
from typing import Any, Final

import attrs

__all__ = ["NO_ERROR", "ErrorFields", "error_fields", "error_in"]

MOST_TEXT: Final = 2000
"""Characters of a message that are looked at."""
DEEPEST: Final = 3
"""How many errors may lie in each other, as where a gateway passes one on."""


@attrs.frozen
class ErrorFields:
    """An error as its provider words it. `code` and `type` are in lower case, empty where there is none; `status` is
    the HTTP status that the body itself states; `message` is the user's data and stays out of events.
    """

    code: str = ""
    type: str = ""
    message: str = attrs.field(default="", repr=False)
    status: int | None = None

    @property
    def words(self) -> tuple[str, ...]:
        """Its code and its type, as far as there are any."""
        return tuple(word for word in (self.code, self.type) if word)


NO_ERROR: Final = ErrorFields()


def error_fields(body: bytes | str) -> ErrorFields:
    """The words in the body of a refusal; empty ones where it is not JSON, or none of the known shapes."""
    try:
        data = json.loads(body)
    except (ValueError, RecursionError):
        return NO_ERROR
    return error_in(data) or _flat(data, DEEPEST)


def error_in(data: object) -> ErrorFields | None:
    """The words under `error` (or `errors`, a list) in JSON data, or in a list of one such object; `None` where there
    is none. Of several the first counts; of one that holds another, as text or as an object, the inner one.

    >>> error_in({"error": {"code": 429, "type": "tokens", "message": "slow down"}})
    ErrorFields(code='', type='tokens', status=429)
    """
    if isinstance(data, list) and len(data) == 1:
        data = data[0]
    return _under(data, DEEPEST) if isinstance(data, dict) else None


def _under(data: dict[str, Any], depth: int) -> ErrorFields | None:
    error = data.get("error") or data.get("errors")
    if isinstance(error, list):
        error = error[0] if error else None
    if isinstance(error, dict):
        return _flat(error, depth - 1) if error else None
    if isinstance(error, str) and error:
        inner = _packed(error, depth)
        if inner is not None:
            return inner
        code = _word(data.get("code")) or (error.lower() if _is_word(error) else "")
        return ErrorFields(code, _word(data.get("error_type")), error[:MOST_TEXT])
    if error is True:
        return ErrorFields(message=_text(data.get("message")))
    return _flat({"code": error, "message": data.get("message")}, 0) if isinstance(error, int) and error else None


def _packed(text: str, depth: int) -> ErrorFields | None:
    """The error that was packed into the text of another."""
    if depth <= 0 or not text.lstrip().startswith(("{", "[")):
        return None
    try:
        data = json.loads(text)
    except (ValueError, RecursionError):
        return None
    if isinstance(data, list) and len(data) == 1:
        data = data[0]
    found = (_under(data, depth - 1) if isinstance(data, dict) else None) or _flat(data, depth - 1)
    return found if found.words or found.message or found.status else None


def _is_word(text: str) -> bool:
    return len(text) <= 100 and text.isascii() and text.replace("_", "").replace("-", "").isalnum()


def _text(value: object) -> str:
    return value[:MOST_TEXT] if isinstance(value, str) else ""


def _flat(error: object, depth: int) -> ErrorFields:
    if not isinstance(error, dict):
        return NO_ERROR
    message = error.get("message")
    inner = _under(error, depth) if depth > 0 else None
    if inner is None and isinstance(message, str):
        inner = _packed(message, depth)
    if inner is not None:
        outer = _flat({name: value for name, value in error.items() if name not in ("error", "errors", "message")}, 0)
        return ErrorFields(
            inner.code or outer.code,
            inner.type or outer.type,
            inner.message or _text(message),
            outer.status if inner.status is None else inner.status,
        )
    code, status = _own_code(error), _status(error)
    return ErrorFields(
        "" if status is not None and code == str(status) else code,
        next((word for place in (error, error.get("metadata")) if (word := _type(place))), ""),
        _text(message),
        status,
    )


def _own_code(error: dict[str, Any]) -> str:
    details = error.get("details")
    inner = _word(details.get("error_code")) if isinstance(details, dict) else ""
    return inner or _word(error.get("code"))


def _type(place: object) -> str:
    """The type of an error, which Google calls its status."""
    if not isinstance(place, dict):
        return ""
    words = (_word(place.get(name)) for name in ("type", "error_type", "status"))
    return next((word for word in words if word and not word.isdigit()), "")


def _status(error: dict[str, Any]) -> int | None:
    for name in ("code", "http_status", "status_code", "status"):
        number = error.get(name)
        if isinstance(number, str) and number.isascii() and number.isdigit() and len(number) == 3:
            number = int(number)
        if isinstance(number, int) and not isinstance(number, bool) and 400 <= number <= 599:
            return number
    return None


def _word(value: object) -> str:
    return value.lower()[:100] if isinstance(value, str) else ""
