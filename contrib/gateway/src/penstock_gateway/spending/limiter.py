"""The limiter of one key: its quotas, over the book that all keys share. Pure.

    acquire    charges the estimate, in the day and the month of that moment
    release    settles it by the usage. Without one, a call that never went out, and one that was refused, count for
               nothing; every other counts for its estimate, since it may have been paid for

The book outlives the limiter: another configuration makes other limiters over the same book.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from math import ceil

import attrs
from msgspec.structs import replace

from penstock import (
    Denied,
    LimiterChange,
    LimiterSnapshot,
    LimiterTicket,
    ProviderModelKey,
    RequestAdmissionItem,
    RequestAdmissionLease,
    RequestCost,
    RequestGroupKey,
    RequestReleaseOutcome,
    RequestResourceKey,
    Scope,
    Usage,
)
from penstock_dialects import Prices
from penstock_gateway.spending.book import BILLION, NOTHING, Amounts, Book, Charge
from penstock_gateway.spending.periods import PERIOD_AT
from penstock_gateway.spending.quotas import Quota, end_of, refusal_by, standing_of

__all__ = ["PricesOf", "QuotaLimiter", "amounts_of"]

PricesOf = Mapping[ProviderModelKey, Prices]


def amounts_of(cost: RequestCost, usage: Usage | None, prices: Prices | None) -> Amounts:
    """What a call counts for, by its usage; by its estimate where that is not told, and where it is not there yet.

    >>> amounts_of(RequestCost(input_tokens=1000), Usage(output_tokens=10), Prices(input=3.0, output=15.0))
    Amounts(requests=1, tokens=1010, cost=3150000)
    """
    inp, out = cost.input_tokens, cost.output_tokens
    if usage is not None:
        inp = inp if usage.input_tokens is None else usage.input_tokens
        out = out if usage.output_tokens is None else usage.output_tokens
    if prices is None:
        return Amounts.of_call(inp + out, 0)
    if usage is None:
        money = prices.estimate(inp, out)
    else:
        whole = usage.input_tokens is not None and usage.output_tokens is not None
        told = usage if whole else replace(usage, input_tokens=inp, output_tokens=out)
        money = prices.cost(told) or 0.0
    return Amounts.of_call(inp + out, max(0, ceil(money * BILLION - 1e-3)))


@attrs.define(slots=True, eq=False)
class _Ticket(LimiterTicket):
    held = "a charge on the quotas"
    charge: Charge


class QuotaLimiter:
    """The quotas of one key. `wall` is the time of day, in seconds of Unix time, at a moment of the run's clock; it may
    jump, and each answer is right by what it shows then.
    """

    def __init__(
        self,
        key: str,
        quotas: Sequence[Quota],
        book: Book,
        prices: PricesOf,
        wall: Callable[[float], float],
    ) -> None:
        self.scope: Scope = RequestGroupKey(key)
        self._key = key
        self._quotas = tuple(quotas)
        self._book = book
        self._prices = prices
        self._wall = wall

    def check(self, item: RequestAdmissionItem, now: float) -> Denied | None:
        """Refused as `quotas.py` says."""
        if not self._quotas:
            return None
        return refusal_by(self._quotas, self._book, self._key, self._estimate(item), self._wall(now), now)

    def acquire(self, lease: RequestAdmissionLease, now: float) -> object:
        """Charge the estimate."""
        return _Ticket(self._book.charge(self._key, self._estimate(lease.item), self._wall(now)))

    def release(
        self, lease: RequestAdmissionLease, token: object, outcome: RequestReleaseOutcome, now: float
    ) -> Sequence[LimiterChange]:
        """Settle the charge. Raises `ValueError` for a call that is not out."""
        ticket = _Ticket.redeem(token, lease, self)
        self._book.settle(ticket.charge, self._used(lease.item, outcome))
        return ()

    def set_cap(self, cap: int | None, now: float) -> Sequence[LimiterChange]:
        """A quota has no use for the cap."""
        return ()

    def next_change(self, now: float) -> float | None:
        """The end of the first period of which something is used."""
        wall = self._wall(now)
        periods = {PERIOD_AT[quota.per](wall) for quota in self._quotas}
        ends = [end_of(period, wall, now) for period in periods if self._book.account(self._key, period) is not None]
        return min(ends, default=None)

    def snapshot(self, now: float) -> LimiterSnapshot:
        """`details` has each quota with what is used of it, and what of that is still out."""
        standing = standing_of(self._quotas, self._book, self._key, self._wall(now))
        return LimiterSnapshot(details={"quotas": [attrs.asdict(each) for each in standing]})

    def check_invariants(self) -> None:
        """Raises `AssertionError` if the book contradicts itself."""
        self._book.check_invariants()

    def _estimate(self, item: RequestAdmissionItem) -> Amounts:
        return amounts_of(item.cost, None, self._prices_at(item.resource))

    def _used(self, item: RequestAdmissionItem, outcome: RequestReleaseOutcome) -> Amounts:
        if not outcome.went_out:
            return NOTHING
        usage = outcome.usage
        if usage is None or (usage.input_tokens is None and usage.output_tokens is None):
            refused = outcome.kind == "rate_limited" or (outcome.status is not None and outcome.status >= 400)
            return NOTHING if refused else self._estimate(item)
        return amounts_of(item.cost, usage, self._prices_at(item.resource))

    def _prices_at(self, resource: RequestResourceKey) -> Prices | None:
        return self._prices.get(resource.provider_model)
