"""What a key may use in a day or a month, and how a call that asks for more is refused. Pure.

    the rest is held by calls that are out     the key's calls wait until one of them ends, in their order
    it is used, or too little is left of it    this call is refused until the period is over: nothing comes back
    the call is larger than the whole          it never fits

What counts nothing in a unit is not bounded in it: a model that is free can be called when all money is spent.
"""

from __future__ import annotations

from collections.abc import Iterable
from math import floor
from typing import Final, Literal

import attrs

from penstock import NEVER, At, Condition, Denied, Released, RequestGroupKey
from penstock_gateway.spending.book import BILLION, Account, Amounts, Book
from penstock_gateway.spending.periods import PERIOD_AT, Per, Period

__all__ = ["Quota", "QuotaStanding", "Unit", "end_of", "refusal_by", "standing_of"]

Unit = Literal["requests", "tokens", "cost"]
_SHORTEST: Final = 0.001
"""Seconds: what is refused until a moment is refused until a later one."""


def end_of(period: Period, wall: float, now: float) -> float:
    """The end of a period as a moment of the run's clock, to the millisecond: two clocks are never quite of one mind.

    >>> end_of(PERIOD_AT["day"](0.0), 86_399.0, 7.0)
    8.0
    """
    return max(floor((now + (period.end - wall)) * 1000) / 1000, now + _SHORTEST)


@attrs.frozen
class Quota:
    """So much of one unit in each day, or month. `limit` is a number of calls or tokens, or money in billionths."""

    unit: Unit
    per: Per
    limit: int

    @property
    def name(self) -> str:
        """As it is called in the configuration."""
        return f"{'spend' if self.unit == 'cost' else self.unit}_per_{self.per}"

    def shown(self, amount: int) -> str:
        """An amount of it for people.

        >>> Quota("cost", "day", 5 * BILLION).shown(1_234_567_890)
        '1.234568'
        """
        return f"{amount / BILLION:.7g}" if self.unit == "cost" else f"{amount}"


def refusal_by(
    quotas: Iterable[Quota], book: Book, key: str, estimate: Amounts, wall: float, now: float
) -> Denied | None:
    """The refusal of a call by the quota that lasts longest, if any refuses it."""
    found: tuple[tuple[bool, float], Denied] | None = None
    for quota in quotas:
        asked: int = getattr(estimate, quota.unit)
        period = PERIOD_AT[quota.per](wall)
        account = book.account(key, period) or Account(key, period)
        used: int = getattr(account.used, quota.unit)
        if not asked or used + asked <= quota.limit:
            continue
        if asked > quota.limit:
            what = f"the call is estimated at {quota.shown(asked)}, and {quota.name} of key {key} is"
            return Denied("never_fits", {NEVER}, detail=f"{what} {quota.shown(quota.limit)}")
        settled: int = used - getattr(account.out, quota.unit)
        final = settled + asked > quota.limit
        if found is None or (final, period.end) > found[0]:
            over = At(end_of(period, wall, now))
            found = (final, period.end), _denied(quota, key, period, settled, asked, over, final)
    return None if found is None else found[1]


def _denied(quota: Quota, key: str, period: Period, settled: int, asked: int, over: Condition, final: bool) -> Denied:
    known = {"quota": quota.name, "period": period.name}
    figures = f"{quota.shown(settled)} of {quota.shown(quota.limit)} by {quota.name}"
    if not final:
        detail = f"the rest of the {quota.per} of key {key} is held by its calls that are out ({figures} are used)"
        released = Released(RequestGroupKey(key))
        return Denied("no_capacity", {over, released}, scope="group", detail=detail, diagnostics=known)
    if settled >= quota.limit:
        detail = f"key {key} has used its {quota.per} ({figures}): until {period.until}"
    else:
        detail = (
            f"key {key} has too little left of its {quota.per} ({figures}) "
            f"for a call that is estimated at {quota.shown(asked)}: until {period.until}"
        )
    return Denied("no_capacity", {over}, detail=detail, diagnostics=known)


@attrs.frozen
class QuotaStanding:
    """A quota at one moment, for people: money in its unit. Of `used` so much is still `out`, as estimates."""

    quota: str
    limit: float
    used: float
    out: float
    period: str

    @property
    def share(self) -> float:
        """What part of it is used."""
        return self.used / self.limit


def standing_of(quotas: Iterable[Quota], book: Book, key: str, wall: float) -> list[QuotaStanding]:
    """The quotas of a key with what is used of them."""
    found = []
    for quota in quotas:
        period = PERIOD_AT[quota.per](wall)
        account = book.account(key, period) or Account(key, period)
        scale = BILLION if quota.unit == "cost" else 1
        used, out = getattr(account.used, quota.unit) / scale, getattr(account.out, quota.unit) / scale
        found.append(QuotaStanding(quota.name, quota.limit / scale, used, out, period.name))
    return found
