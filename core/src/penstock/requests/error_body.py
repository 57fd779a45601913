"""The words of an error in the body of an answer, wherever its provider put them."""

from __future__ import annotations

import json
from typing import Any, Final

import attrs

__all__ = ["NO_ERROR", "ErrorFields", "error_fields", "error_in"]

MOST_TEXT: Final = 2000
"""Characters of a message that are looked at."""


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
    return error_in(data) or _flat(data)


def error_in(data: object) -> ErrorFields | None:
    """The words under `error` in JSON data, or in a list of one such object; `None` where there is no `error`.

    >>> error_in({"error": {"code": 429, "type": "tokens", "message": "slow down"}})
    ErrorFields(code='', type='tokens', status=429)
    """
    if isinstance(data, list) and len(data) == 1:
        data = data[0]
    if not isinstance(data, dict):
        return None
    error = data.get("error")
    if isinstance(error, str) and error:
        return ErrorFields(_word(data.get("code")), _word(data.get("error_type")), error[:MOST_TEXT])
    return _flat(error) if isinstance(error, dict) and error else None


def _flat(error: object) -> ErrorFields:
    if not isinstance(error, dict):
        return NO_ERROR
    code, status = _own_code(error), _status(error)
    message = error.get("message")
    return ErrorFields(
        "" if status is not None and code == str(status) else code,
        next((word for place in (error, error.get("metadata")) if (word := _type(place))), ""),
        message[:MOST_TEXT] if isinstance(message, str) else "",
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
