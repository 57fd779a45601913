"""The forms in which providers write amounts, durations and moments, as numbers. Pure: text in, number or `None` out.

    17, 1.5                     a number, of whatever the header counts
    12ms, 1.5s, 6m0s, 1h2m3s    a duration as Go writes it (OpenAI, Groq)
    1795867230, 1795867230000   a Unix time in seconds, or in milliseconds (OpenRouter)
    2026-08-19T14:34:12Z        a moment as in RFC 3339 (Anthropic)
    Sat, 28 Nov 2026 12:01:30 GMT    a date as in RFC 9110, section 5.6.7

A moment is taken against the answer's own `date`, so that the two clocks need not agree.
"""

from __future__ import annotations

import re
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Final

__all__ = ["LONGEST", "MOST", "duration_of", "http_date", "number_of", "seconds_until"]

MOST: Final = 10.0**15
"""No limit and nothing that remains is larger than this."""

LONGEST: Final = 32 * 86400.0
"""No window is longer than this, in seconds."""

EPOCH_SECONDS: Final = 1e9
"""A bare number above this is no duration but a Unix time; from a thousand times this on, in milliseconds."""

_NUMBER: Final = re.compile(r"[0-9]{1,18}(\.[0-9]{0,20})?|\.[0-9]{1,20}", re.ASCII)
_DURATION: Final = re.compile(
    r"(?:(?P<d>[0-9]{1,9})d)?(?:(?P<h>[0-9]{1,9})h)?(?:(?P<m>[0-9]{1,9})m(?!s))?"
    r"(?:(?P<s>[0-9]{1,9}(?:\.[0-9]{1,12})?)s)?(?:(?P<ms>[0-9]{1,12}(?:\.[0-9]{1,12})?)ms)?",
    re.ASCII,
)
_UNITS: Final = {"d": 86400.0, "h": 3600.0, "m": 60.0, "s": 1.0, "ms": 0.001}


def number_of(text: str) -> float | None:
    """A decimal number without sign or exponent."""
    text = text.strip()
    return float(text) if _NUMBER.fullmatch(text) else None


def duration_of(text: str) -> float | None:
    """The seconds of a duration with units."""
    text = text.strip()
    found = _DURATION.fullmatch(text)
    if found is None or not text:
        return None
    return sum(float(amount) * _UNITS[unit] for unit, amount in found.groupdict().items() if amount)


def http_date(text: str | None) -> datetime | None:
    """The moment that a `date` header names; one without a zone is meant in UTC."""
    if text is None:
        return None
    try:
        moment = parsedate_to_datetime(text)
    except (ValueError, TypeError, IndexError, OverflowError):
        return None
    return _with_zone(moment)


def seconds_until(text: str, now: datetime | None) -> float | None:
    """The seconds from `now` to what is written, in any form; below 0 if that is over. `None`: nothing that is known.

    A moment is `None` too where nobody knows what time it is.
    """
    text = text.strip()
    number = number_of(text)
    if number is not None and number <= EPOCH_SECONDS:
        return number
    if number is None and (duration := duration_of(text)) is not None:
        return duration
    if now is None:
        return None
    now = _with_zone(now)
    if number is not None:
        return number / (1000 if number >= 1000 * EPOCH_SECONDS else 1) - now.timestamp()
    moment = _rfc3339(text) or http_date(text)
    return None if moment is None else (moment - now).total_seconds()


def _with_zone(moment: datetime) -> datetime:
    return moment if moment.tzinfo is not None else moment.replace(tzinfo=UTC)


def _rfc3339(text: str) -> datetime | None:
    """An RFC 3339 moment. One without an offset could be anything."""
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        return None
    return moment if moment.tzinfo is not None else None
