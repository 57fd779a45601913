"""What a mock provider serves: its models with their true limits, the keys that it accepts, and a seed."""

from __future__ import annotations

import difflib
from collections.abc import Mapping
from typing import Any

from attrs import Factory, field, frozen

from penstock import ConfigError
from penstock.testing import ProviderLimits, limits_from_mapping

__all__ = ["MAX_DIMENSIONS", "MockProviderConfig", "config_from_mapping"]

MAX_DIMENSIONS = 4096
_KNOWN = ("models", "keys", "seed", "dimensions")


def _default_models() -> dict[str, ProviderLimits]:
    return {"mock-chat": ProviderLimits(), "mock-embedding": ProviderLimits()}


@frozen(kw_only=True)
class MockProviderConfig:
    """Raises `ConfigError` naming every wrong field.

    - `models`: name to true limits. Every model answers both chat and embedding calls, under one set of
      limits.
    - `keys`: the keys that are accepted as `Authorization: Bearer …`; empty: any, and none.
    - `seed`: latencies, errors and hangs; each model has its own stream, so that adding one disturbs no
      other.
    - `dimensions`: the length of a vector if the call does not say (1 to 4096).
    """

    models: Mapping[str, ProviderLimits] = field(default=Factory(_default_models))
    keys: tuple[str, ...] = ()
    seed: int = 0
    dimensions: int = 64

    def __attrs_post_init__(self) -> None:
        problems = []
        if not self.models:
            problems.append("models: must name at least one model")
        problems += [f"models: {name!r} is no name" for name in self.models if not name]
        problems += _scalar_problems({"keys": self.keys, "seed": self.seed, "dimensions": self.dimensions}, "")
        if problems:
            raise ConfigError(problems)


def config_from_mapping(mapping: object, where: str = "") -> MockProviderConfig:
    """The configuration that a plain table states, as TOML gives it; `where` is the table's dotted path.

    Strict: unknown keys are refused and nothing is coerced. Raises `ConfigError` with every problem of the
    table, each with its dotted path.

    >>> config = config_from_mapping({"seed": 7, "models": {"small": {"slots": 20, "retry_after": 1.0}}})
    >>> config.models["small"].slots
    20
    >>> config_from_mapping({"seed": "7", "models": {"small": {"slot": 20}}}, "providers.mock")
    Traceback (most recent call last):
    ...
    penstock.words.errors.ConfigError: providers.mock.seed: must be a whole number, not '7'
    providers.mock.models.small.slot: unknown key; did you mean 'slots'?
    """
    if not isinstance(mapping, Mapping):
        raise ConfigError([f"{where or 'the configuration'}: must be a table, not {mapping!r}"])
    prefix = f"{where}." if where else ""
    problems = [f"{prefix}{key}: {_unknown(key)}" for key in mapping if key not in _KNOWN]
    values: dict[str, Any] = {name: mapping[name] for name in _KNOWN[1:] if name in mapping}
    if isinstance(values.get("keys"), list):
        values["keys"] = tuple(values["keys"])
    problems += _scalar_problems(values, prefix)
    if "models" in mapping:
        values["models"] = _models(mapping["models"], f"{prefix}models", problems)
    if problems:
        raise ConfigError(problems)
    return MockProviderConfig(**values)


def _unknown(key: object) -> str:
    near = difflib.get_close_matches(str(key), _KNOWN, n=1)
    return f"unknown key; did you mean {near[0]!r}?" if near else f"unknown key; known are {', '.join(_KNOWN)}"


def _models(tables: object, where: str, problems: list[str]) -> dict[str, ProviderLimits]:
    if not isinstance(tables, Mapping) or not tables:
        problems.append(f"{where}: must be a table with at least one model, not {tables!r}")
        return {}
    models = {}
    for name, table in tables.items():
        limits = limits_from_mapping(table, f"{where}.{name}", problems)
        if limits is not None:
            models[name] = limits
    return models


def _scalar_problems(values: Mapping[str, object], prefix: str) -> list[str]:
    problems = []
    keys = values.get("keys", ())
    if not isinstance(keys, tuple) or not all(isinstance(key, str) and key for key in keys):
        # What stands there may be a real key: it is not repeated.
        problems.append(f"{prefix}keys: must be a list of non-empty strings")
    seed = values.get("seed", 0)
    if not isinstance(seed, int) or isinstance(seed, bool):
        problems.append(f"{prefix}seed: must be a whole number, not {seed!r}")
    size = values.get("dimensions", 1)
    if not isinstance(size, int) or isinstance(size, bool) or not 1 <= size <= MAX_DIMENSIONS:
        problems.append(f"{prefix}dimensions: must be a whole number from 1 to {MAX_DIMENSIONS}, not {size!r}")
    return problems
