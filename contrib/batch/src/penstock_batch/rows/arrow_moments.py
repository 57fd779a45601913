"""Moments, days, times and durations of Arrow as ISO 8601 texts, and back: exact to the nanosecond, of any year.

Python's own `datetime` knows microseconds and the years 1 to 9999; Arrow counts units since 1970 in 64 bits. So these
count too.
"""

from __future__ import annotations

import re
from typing import Final

__all__ = [
    "PER_SECOND",
    "day_of",
    "day_text",
    "duration_of",
    "duration_text",
    "moment_of",
    "moment_text",
    "time_of",
    "time_text",
]

PER_SECOND: Final = {"s": 1, "ms": 10**3, "us": 10**6, "ns": 10**9}
"""Units per second."""
_DAY: Final = 86_400
_DATE: Final = re.compile(r"([+-]?\d{4,})-(\d\d)-(\d\d)")
_TIME: Final = re.compile(r"(\d\d):(\d\d):(\d\d)(?:\.(\d+))?")
_DURATION: Final = re.compile(r"(-?)(\d+)(?:\.(\d+))?s")


def day_text(days: int) -> str:
    """The day so many days after 1970-01-01.

    >>> day_text(0), day_text(-719529), day_text(2932897)
    ('1970-01-01', '-0001-12-31', '+10000-01-01')
    """
    # Years that begin in March have their leap day at the end, and 400 of them are always 146,097 days.
    era, of_era = divmod(days + 719_468, 146_097)
    year_of_era = (of_era - of_era // 1460 + of_era // 36_524 - of_era // 146_096) // 365
    of_year = of_era - (365 * year_of_era + year_of_era // 4 - year_of_era // 100)
    month = (5 * of_year + 2) // 153
    day = of_year - (153 * month + 2) // 5 + 1
    year = year_of_era + era * 400 + (month >= 10)
    sign = "-" if year < 0 else "+" if year > 9999 else ""
    return f"{sign}{abs(year):04}-{month + 3 if month < 10 else month - 9:02}-{day:02}"


def day_of(text: str) -> int:
    """The days from 1970-01-01 to the day of `day_text`. Raises `ValueError`."""
    found = _DATE.fullmatch(text)
    if found is None:
        raise ValueError(f"{text!r} is no day")
    year, month, day = map(int, found.groups())
    year -= month <= 2
    era, year_of_era = divmod(year, 400)
    of_year = (153 * (month - 3 if month > 2 else month + 9) + 2) // 5 + day - 1
    days = era * 146_097 + year_of_era * 365 + year_of_era // 4 - year_of_era // 100 + of_year - 719_468
    if day_text(days) != text:
        raise ValueError(f"{text!r} is no day")
    return days


def time_text(count: int, unit: str) -> str:
    """The time of day so many units after midnight.

    >>> time_text(3_723_004, "ms"), time_text(0, "ns")
    ('01:02:03.004', '00:00:00')
    """
    seconds, part = divmod(count, PER_SECOND[unit])
    return f"{seconds // 3600:02}:{seconds // 60 % 60:02}:{seconds % 60:02}{_fraction(part, unit)}"


def time_of(text: str, unit: str) -> int:
    """The units from midnight to the time of `time_text`. Raises `ValueError`, also where the unit is too coarse."""
    found = _TIME.fullmatch(text)
    if found is None:
        raise ValueError(f"{text!r} is no time")
    hours, minutes, seconds = map(int, found.groups()[:3])
    count = (hours * 3600 + minutes * 60 + seconds) * PER_SECOND[unit] + _units(found[4], unit)
    if time_text(count, unit) != text or count >= _DAY * PER_SECOND[unit]:
        raise ValueError(f"{text!r} is no time")
    return count


def moment_text(count: int, unit: str, *, utc: bool) -> str:
    """The moment so many units after 1970; with `Z` at its end where it is in UTC.

    >>> moment_text(1, "ns", utc=True), moment_text(-1, "s", utc=False)
    ('1970-01-01T00:00:00.000000001Z', '1969-12-31T23:59:59')
    """
    days, rest = divmod(count, _DAY * PER_SECOND[unit])
    return f"{day_text(days)}T{time_text(rest, unit)}{'Z' if utc else ''}"


def moment_of(text: str, unit: str, *, utc: bool) -> int:
    """The units from 1970 to the moment of `moment_text`. Raises `ValueError`."""
    day, _, time = text.partition("T")
    if time.endswith("Z") is not utc:
        raise ValueError(f"{text!r} is {'no moment in UTC' if utc else 'a moment in UTC'}")
    return day_of(day) * _DAY * PER_SECOND[unit] + time_of(time.removesuffix("Z"), unit)


def duration_text(count: int, unit: str) -> str:
    """A duration in seconds.

    >>> duration_text(-1500, "ms"), duration_text(60, "s")
    ('-1.5s', '60s')
    """
    seconds, part = divmod(abs(count), PER_SECOND[unit])
    return f"{'-' if count < 0 else ''}{seconds}{_fraction(part, unit)}s"


def duration_of(text: str, unit: str) -> int:
    """The units of the duration of `duration_text`. Raises `ValueError`."""
    found = _DURATION.fullmatch(text)
    if found is None:
        raise ValueError(f"{text!r} is no duration")
    count = int(found[2]) * PER_SECOND[unit] + _units(found[3], unit)
    count = -count if found[1] else count
    if duration_text(count, unit) != text:
        raise ValueError(f"{text!r} is no duration as they are written here")
    return count


def _fraction(part: int, unit: str) -> str:
    digits = f"{part:0{len(str(PER_SECOND[unit])) - 1}}".rstrip("0") if part else ""
    return f".{digits}" if digits else ""


def _units(digits: str | None, unit: str) -> int:
    most = len(str(PER_SECOND[unit])) - 1
    significant = (digits or "").rstrip("0")
    if len(significant) > most:
        raise ValueError(f"a fraction of {len(significant)} digits is finer than {unit}")
    return int(significant.ljust(most, "0")) if significant else 0
