"""What a configuration says of spending: the quotas of each key, the prices of each model, and where the ledger is."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Final

import attrs

from penstock import PenstockConfig, Problem, ProviderModelKey
from penstock_dialects import PRICE_EXAMPLE, Prices, price_problems, prices_of
from penstock_gateway.config import GatewayConfig, KeyConfig
from penstock_gateway.spending.book import BILLION
from penstock_gateway.spending.quotas import Quota

__all__ = ["LEDGER", "Spending", "quotas_of", "spending_of"]

LEDGER: Final = "ledger.sqlite"
"""How the file is called that nobody has named."""


@attrs.frozen
class Spending:
    """`ledger` is the file in which it is counted what keys use; `None`: no key has a quota, and nobody asked for it.

    `quotas` has every key that is served; `prices` the models that have one, by how the gate knows them.
    """

    ledger: Path | None
    quotas: Mapping[str, tuple[Quota, ...]]
    prices: Mapping[ProviderModelKey, Prices]


def quotas_of(key: KeyConfig) -> tuple[Quota, ...]:
    """What a key may use over days and months."""
    found = []
    if key.requests_per_day is not None:
        found.append(Quota("requests", "day", key.requests_per_day))
    if key.tokens_per_day is not None:
        found.append(Quota("tokens", "day", key.tokens_per_day))
    if key.spend_per_day is not None:
        found.append(Quota("cost", "day", round(key.spend_per_day * BILLION)))
    if key.spend_per_month is not None:
        found.append(Quota("cost", "month", round(key.spend_per_month * BILLION)))
    return tuple(found)


def spending_of(
    gateway: GatewayConfig,
    keys: Mapping[str, KeyConfig],
    config: PenstockConfig,
    reached: Mapping[str, Iterable[str]],
    folder: Path,
) -> tuple[Spending, list[Problem]]:
    """What is said of spending, and what is wrong with it. `reached` has the places (`provider/model`) at which each
    key's calls may be made; `folder` is that of the configuration file.
    """
    prices, problems = _prices(config)
    quotas = {name: quotas_of(key) for name, key in keys.items()}
    for name, those in quotas.items():
        spends = next((quota.name for quota in those if quota.unit == "cost"), None)
        if spends is None:
            continue
        for place in sorted(set(reached[name])):
            provider, _, alias = place.partition("/")
            if config.providers[provider].models[alias].price is None:
                what = f"is missing, and key {name} has {spends}, which counts what each call costs"
                problems.append(Problem((*_where(provider), "models", alias, "price"), f"{what}; {_WRITE}"))
    wanted = gateway.ledger is not None or any(quotas.values())
    beside = folder if gateway.keys_file is None else (folder / gateway.keys_file).parent
    path = beside / LEDGER if gateway.ledger is None else folder / gateway.ledger
    return Spending(path if wanted else None, quotas, prices), list(dict.fromkeys(problems))


_WRITE: Final = f"write {PRICE_EXAMPLE}"


def _prices(config: PenstockConfig) -> tuple[dict[ProviderModelKey, Prices], list[Problem]]:
    """The prices by model: what aliases of one model cost is the same, since the gate knows one model."""
    found: dict[ProviderModelKey, Prices] = {}
    problems: list[Problem] = []
    for name, provider in config.providers.items():
        problems += [problem.below(*_where(name)) for problem in price_problems(provider)]
        for alias, model in provider.models.items():
            prices = prices_of(model)
            key = ProviderModelKey(name, model.model or alias)
            if prices is not None and found.setdefault(key, prices) != prices:
                what = f"is another than that of a further name for {key.model_id!r}; give both the same"
                problems.append(Problem((*_where(name), "models", alias, "price"), what))
    return found, problems


def _where(provider: str) -> tuple[str, str]:
    """Where a provider stands in the file; an endpoint has its prices from the provider that it is of."""
    return "providers", provider.partition("@")[0]
