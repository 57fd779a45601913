"""The spending of a gateway that runs: its ledger, and the plugin that keeps the quotas, as its configuration has them.

It belongs to the process that has the gate: whoever else serves asks that one.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Hashable, Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING

import attrs
import trio

from penstock import (
    NEVER,
    At,
    Condition,
    ConfigError,
    Denied,
    Problem,
    RequestCost,
    RequestResourceKey,
)
from penstock_gateway.spending.configured import Spending
from penstock_gateway.spending.limiter import amounts_of
from penstock_gateway.spending.plugin import KeyQuotas
from penstock_gateway.spending.quotas import QuotaStanding, refusal_by, standing_of

if TYPE_CHECKING:
    from penstock_gateway.spending.ledger import Ledger

__all__ = ["SpendingAtWork", "Wall", "open_spending", "time_of_day"]

Wall = Callable[[float], float]
"""Seconds of Unix time at a moment of the run's clock."""


def time_of_day(_: float) -> float:
    """Seconds of Unix time, as the machine shows it now: a run's clock knows nothing of a clock that is put right."""
    return time.time()


class SpendingAtWork:
    """What keys use, counted while a gateway runs; without a `ledger` nothing is."""

    def __init__(self, spending: Spending, ledger: Ledger | None, wall: Wall) -> None:
        self.ledger = ledger
        self.wall = wall
        self._spending = spending

    def use(self, spending: Spending) -> None:
        """Tell what keys have used by these quotas from now on."""
        self._spending = spending

    def plugins(self, spending: Spending) -> list[object]:
        """The plugins that keep what a configuration says. Raises `ConfigError` where that needs another ledger."""
        if spending.ledger != (None if self.ledger is None else self.ledger.path):
            what = "is not the file that is in use" if self.ledger is not None else "is needed now, and was not before"
            raise ConfigError(Problem(("gateway", "ledger"), f"{what} ({spending.ledger}): start the gateway anew"))
        if self.ledger is None:
            return []
        return [KeyQuotas(self.ledger.book, spending.quotas, spending.prices, self.wall)]

    def refusal(
        self,
        places: Sequence[RequestResourceKey],
        key: Hashable,
        cost: RequestCost,
        gives_up_at: float,
        now: float,
    ) -> Denied | None:
        """The refusal of a call that its key has no quota left for, wherever it is made, until it is given up."""
        if self.ledger is None or not (quotas := self._spending.quotas.get(str(key))):
            return None
        found = None
        for place in places:
            estimate = amounts_of(cost, None, self._spending.prices.get(place.provider_model))
            denied = refusal_by(quotas, self.ledger.book, str(key), estimate, self.wall(now), now)
            if denied is None or not all(_comes_too_late(condition, gives_up_at) for condition in denied.until):
                return None
            found = found or denied
        return (
            None
            if found is None
            else attrs.evolve(found, diagnostics={**found.diagnostics, "limit_of": f"group {key}"})
        )

    def standing(self, now: float) -> dict[str, list[QuotaStanding]]:
        """What each key that has quotas has used of them."""
        if self.ledger is None:
            return {}
        book, wall = self.ledger.book, self.wall(now)
        quotas = self._spending.quotas.items()
        return {key: standing_of(those, book, key, wall) for key, those in quotas if those}


def _comes_too_late(condition: Condition, gives_up_at: float) -> bool:
    return condition is NEVER or (isinstance(condition, At) and condition.moment > gives_up_at)


@contextmanager
def open_spending(spending: Spending, wall: Wall) -> Iterator[SpendingAtWork]:
    """The spending while the block runs. Raises `ConfigError` where there is to be a ledger, and it cannot be used."""
    if spending.ledger is None:
        yield SpendingAtWork(spending, None, wall)
        return
    from penstock_gateway.spending.ledger import open_ledger  # and with it SQLite, where there is a ledger

    with open_ledger(spending.ledger, time.monotonic, wall(trio.current_time())) as ledger:
        yield SpendingAtWork(spending, ledger, wall)
