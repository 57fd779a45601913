"""How long to wait, where a provider says so only in the text or the details of an error."""

from __future__ import annotations

import re
from collections.abc import Iterable
from datetime import datetime
from typing import Any, Final

from penstock import duration_of, number_of, seconds_until
from penstock_dialects.answer import object_of, text_of

__all__ = ["wait_in_details", "wait_in_text"]

_IN_TEXT: Final = re.compile(
    r"\b(?:(?:try again|retry)\s+(?:in|after)|please wait(?:\s+for)?)\s+(?P<amount>[0-9][0-9.hmsd]{0,30})"
    r"(?P<unit>\s*(?:seconds?|secs?|minutes?|mins?|hours?|days?))?\b",
    re.ASCII | re.IGNORECASE,
)
_UNTIL_DAY: Final = re.compile(
    r"\bregain access on (?P<day>[0-9]{4}-[0-9]{2}-[0-9]{2}) at (?P<time>[0-9]{2}:[0-9]{2}) UTC", re.ASCII
)
_UNITS: Final = {"": 1.0, "sec": 1.0, "min": 60.0, "hou": 3600.0, "day": 86400.0}
"""The first three letters of a unit."""


def wait_in_text(message: str, now: datetime | None) -> float | None:
    """The seconds that a message asks to wait; `now` is the time of day at the provider, if it is known.

    >>> wait_in_text("Please try again in 1h53m56.832s. Need more tokens?", None)
    6836.832
    >>> wait_in_text("Please retry after 37 seconds.", None)
    37.0
    """
    found = _IN_TEXT.search(message)
    if found is not None:
        amount = found["amount"].rstrip(".")
        number = number_of(amount)
        if number is not None:
            return number * _UNITS[(found["unit"] or "").strip().lower()[:3]]
        return duration_of(amount)
    day = _UNTIL_DAY.search(message)
    if day is None:
        return None
    seconds = seconds_until(f"{day['day']}T{day['time']}:00Z", now)
    return None if seconds is None else max(0.0, seconds)


def wait_in_details(details: Iterable[Any]) -> float | None:
    """The `retryDelay` of Google's `RetryInfo` among the details of an error."""
    for detail in details:
        if text_of(object_of(detail).get("@type")).endswith("google.rpc.RetryInfo"):
            delay = detail.get("retryDelay")
            if isinstance(delay, dict):  # as the message itself, and not as JSON writes it
                return number_of(str(delay.get("seconds", "")))
            return duration_of(text_of(delay))
    return None
