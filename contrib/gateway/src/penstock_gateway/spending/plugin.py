"""The plugin that bounds what keys use over days and months: a limiter for the group of each key."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import ClassVar, Final

from penstock import RequestGroupKey, RequestLimiter, Scope, hookimpl
from penstock_gateway.spending.book import Book
from penstock_gateway.spending.limiter import PricesOf, QuotaLimiter
from penstock_gateway.spending.quotas import Quota

__all__ = ["KEY_QUOTAS", "KeyQuotas"]

KEY_QUOTAS: Final = "key-quotas"


class KeyQuotas:
    """Calls, tokens and money per day and month of UTC, by key. Whoever has no quota is counted all the same.

    `quotas` has each key that is served. It belongs to the gate, and there is one for all who ask it. Where the
    configuration changes, another one takes its place, over the same `book`.
    """

    plugin_name: ClassVar[str] = KEY_QUOTAS

    def __init__(
        self, book: Book, quotas: Mapping[str, Sequence[Quota]], prices: PricesOf, wall: Callable[[float], float]
    ) -> None:
        self.book = book
        self.quotas = quotas
        self._prices = prices
        self._wall = wall

    @hookimpl
    def penstock_request_limiter(self, scope: Scope) -> RequestLimiter | None:
        """The quotas of a key; `None` for any other scope."""
        if not isinstance(scope, RequestGroupKey) or scope.group not in self.quotas:
            return None
        key = str(scope.group)
        return QuotaLimiter(key, self.quotas[key], self.book, self._prices, self._wall)
