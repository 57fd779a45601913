"""Prices by model, from a mapping."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import attrs

from penstock import ConfigError, Prices

__all__ = ["prices_from_mapping"]


def prices_from_mapping(data: Mapping[str, Mapping[str, Any]]) -> dict[str, Prices]:
    """Prices by model, as from TOML: `{"acme/small": {"input": 0.15, "output": 0.6}}`. Raises `ConfigError`."""
    known = {field.name for field in attrs.fields(Prices)}
    found = {}
    for model, prices in data.items():
        wrong = sorted(set(prices) - known)
        if wrong:
            raise ConfigError(f"prices.{model}: {wrong[0]!r} is no price; there are {', '.join(sorted(known))}")
        found[model] = Prices(**prices)
    return found
