"""The book of what keys have used, by day and by month. Pure.

A call is charged its estimate when it goes out, in the day and the month of that moment, and settled there when it has
ended, whenever that is. What is charged and not settled yet is `out`: it counts as used, and may come back.

Each period has an account of its own, so a wall clock that is set back goes on with what was used of that day, and one
that is set forward begins another day; neither gives a day twice. Amounts are whole numbers, money too (billionths of
its unit), so that sums are exact and what comes back is what went out.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import Final

import attrs

from penstock_gateway.spending.periods import DAY_SECONDS, Period, day_at, month_at, period_named

__all__ = ["BILLION", "KEPT_SECONDS", "NOTHING", "Account", "Amounts", "Book", "Charge"]

BILLION: Final = 1_000_000_000
"""The parts of a unit of money in which it is counted."""
MOST: Final = 10**15
"""What a single call may count for: more is nonsense, and a year of nonsense must fit into SQLite's integers."""
KEPT_SECONDS: Final = 40 * DAY_SECONDS
"""How long an account is known after its period; a clock that is set back further begins those periods anew."""


@attrs.define
class Amounts:
    """What a call counts for, or many: calls, tokens (input and output), and money in billionths.

    A value, and never changed. It is not frozen, since a dozen are made for each call, and to make a frozen one takes
    three times as long.
    """

    requests: int = 0
    tokens: int = 0
    cost: int = 0

    def __add__(self, other: Amounts) -> Amounts:
        return Amounts(self.requests + other.requests, self.tokens + other.tokens, self.cost + other.cost)

    def __sub__(self, other: Amounts) -> Amounts:
        return Amounts(self.requests - other.requests, self.tokens - other.tokens, self.cost - other.cost)

    @classmethod
    def of_call(cls, tokens: int, cost: int) -> Amounts:
        """What one call counts for."""
        return cls(1, min(tokens, MOST), min(cost, MOST))


NOTHING: Final = Amounts()


@attrs.define(slots=True, eq=False)
class Account:
    """What one key has used in one period. Of `used` so much is `out`: estimates of calls that have not ended."""

    key: str
    period: Period
    used: Amounts = NOTHING
    out: Amounts = NOTHING


@attrs.define(slots=True, eq=False)
class Charge:
    """A call that is out: its estimate, and the accounts that it was charged to."""

    estimate: Amounts
    accounts: tuple[Account, ...]
    settled: bool = False


class Book:
    """The accounts of all keys. `on_change` is called with each account that has changed."""

    def __init__(self, on_change: Callable[[Account], None] = lambda _: None) -> None:
        self._on_change = on_change
        self._accounts: dict[str, dict[str, Account]] = {}
        """Key to the name of a period to the account."""

    def open_with(self, known: Iterable[tuple[str, str, Amounts]], wall: float) -> None:
        """Begin with what was used: key, name of the period, and how much. Of what has long ended nothing is kept.

        Raises `ValueError` for a name that is no period's, and for an amount below 0.
        """
        for key, name, used in known:
            period = period_named(name)
            if min(attrs.astuple(used)) < 0:
                raise ValueError(f"{key} has used less than nothing in {name}")
            if period.end > wall - KEPT_SECONDS:
                self._accounts.setdefault(key, {})[name] = Account(key, period, used)

    def account(self, key: str, period: Period) -> Account | None:
        """The account of a key; `None` if it has used nothing."""
        return self._accounts.get(key, {}).get(period.name)

    def accounts(self) -> Iterator[Account]:
        """All that are known."""
        for of_key in self._accounts.values():
            yield from of_key.values()

    def charge(self, key: str, estimate: Amounts, wall: float) -> Charge:
        """Count a call that goes out."""
        accounts = self._of(key, day_at(wall), wall), self._of(key, month_at(wall), wall)
        for account in accounts:
            account.used += estimate
            account.out += estimate
            self._on_change(account)
        return Charge(estimate, accounts)

    def settle(self, charge: Charge, used: Amounts) -> None:
        """Count what a call has really used, in the place of its estimate. Raises `ValueError` for the second time."""
        if charge.settled:
            raise ValueError("this call has been settled before")
        charge.settled = True
        for account in charge.accounts:
            account.used += used - charge.estimate
            account.out -= charge.estimate
            self._on_change(account)

    def check_invariants(self) -> None:
        """Raises `AssertionError` if an account has less than nothing, or more out than it has used."""
        for account in self.accounts():
            assert min(attrs.astuple(account.out)) >= 0, f"{account} has less than nothing out"
            assert min(attrs.astuple(account.used - account.out)) >= 0, f"{account} has more out than it has used"

    def _of(self, key: str, period: Period, wall: float) -> Account:
        of_key = self._accounts.setdefault(key, {})
        account = of_key.get(period.name)
        if account is None:
            for name, old in [*of_key.items()]:
                if old.out == NOTHING and old.period.end <= wall - KEPT_SECONDS:
                    del of_key[name]
            account = of_key[period.name] = Account(key, period)
        return account
