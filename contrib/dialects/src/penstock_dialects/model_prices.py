"""The `price` that a configuration file gives a model: read, and checked at its key."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

import attrs

from penstock import ConfigError, ModelConfig, Prices, Problem, ProviderConfig, Usage, did_you_mean

__all__ = ["PRICE_EXAMPLE", "cost_of", "price_problems", "prices_of"]

_KINDS: Final = tuple(field.name for field in attrs.fields(Prices))
PRICE_EXAMPLE: Final = "price = { input = 2.5, output = 10.0 }, for a million tokens"
"""For messages: what a price looks like."""


def prices_of(model: ModelConfig) -> Prices | None:
    """The prices of a model; `None` where it has none, or where `price_problems` has something to say of them."""
    if not model.price or any(True for _ in _wrong(model.price)):
        return None
    return Prices(**model.price)


def price_problems(provider: ProviderConfig) -> list[Problem]:
    """The problems with the prices of a provider's models."""
    return [
        problem.below("models", alias, "price")
        for alias, model in provider.models.items()
        if model.price is not None
        for problem in _wrong(model.price)
    ]


def _wrong(price: dict[str, float]) -> Iterator[Problem]:
    if not price:
        yield Problem((), f"says nothing; write {PRICE_EXAMPLE}")
        return
    if "input" not in price:
        yield Problem((), f"does not say what input costs; write {PRICE_EXAMPLE}")
    unknown = [kind for kind in price if kind not in _KINDS]
    for kind in unknown:
        yield Problem((kind,), f"is no price; {did_you_mean(kind, _KINDS, otherwise='there are')}")
    for kind in price.keys() - unknown:
        try:
            Prices(**{kind: price[kind]})
        except ConfigError:
            yield Problem((kind,), f"must be a price for a million tokens, from 0 on, not {price[kind]!r}")


def cost_of(prices: Prices | None, usage: Usage, kind: str) -> float | None:
    """The cost of an answer in the money of the prices; `None` without prices, or where too little was reported."""
    return None if prices is None else prices.cost(usage, kind)
