"""The days and months of UTC in which it is counted what a key uses. Pure: moments are seconds of Unix time."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import UTC, date, datetime, timedelta
from functools import lru_cache
from types import MappingProxyType
from typing import Final, Literal

import attrs

__all__ = ["DAY_SECONDS", "PERIOD_AT", "Per", "Period", "day_at", "month_at", "period_named"]

Per = Literal["day", "month"]

DAY_SECONDS: Final = 86_400.0
_UNIX_EPOCH: Final = date(1970, 1, 1).toordinal()
_LAST_DAY: Final = date(9998, 12, 31).toordinal() - _UNIX_EPOCH


@attrs.frozen
class Period:
    """A day or a month: `name` as in `2026-11-29` or `2026-11`; it begins at `start`, and `end` is after it."""

    name: str
    start: float
    end: float

    @property
    def until(self) -> str:
        """Its end in words: the hour where it is a day's, the day where it is a month's."""
        return "00:00 UTC" if len(self.name) > len("2026-11") else f"{datetime.fromtimestamp(self.end, UTC):%Y-%m-%d}"


def day_at(wall: float) -> Period:
    """The day of a moment.

    >>> day_at(86_400.0).name, day_at(86_399.9).name
    ('1970-01-02', '1970-01-01')
    """
    return _day(int(wall // DAY_SECONDS))


def month_at(wall: float) -> Period:
    """The month of a moment.

    >>> month_at(0.0)
    Period(name='1970-01', start=0.0, end=2678400.0)
    """
    return _month(int(wall // DAY_SECONDS))


PERIOD_AT: Final[Mapping[Per, Callable[[float], Period]]] = MappingProxyType({"day": day_at, "month": month_at})


def period_named(name: str) -> Period:
    """The period of that name. Raises `ValueError`.

    >>> period_named("1970-01") == month_at(0.0)
    True
    """
    begun = date.fromisoformat(name if len(name) == len("2026-11-29") else f"{name}-01")
    found = (_day if len(name) == len("2026-11-29") else _month)(begun.toordinal() - _UNIX_EPOCH)
    if found.name != name:
        raise ValueError(f"{name!r:.40} is no day and no month")
    return found


@lru_cache(maxsize=64)
def _day(number: int) -> Period:
    today = _date(number)
    return Period(today.isoformat(), _moment(today), _moment(today + timedelta(days=1)))


@lru_cache(maxsize=64)
def _month(number: int) -> Period:
    first = _date(number).replace(day=1)
    return Period(f"{first:%Y-%m}", _moment(first), _moment((first + timedelta(days=32)).replace(day=1)))


def _date(number: int) -> date:
    """A clock may show nonsense; the calendar has an end."""
    return date.fromordinal(_UNIX_EPOCH + min(max(number, 0), _LAST_DAY))


def _moment(day: date) -> float:
    return (day.toordinal() - _UNIX_EPOCH) * DAY_SECONDS
