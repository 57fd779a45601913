"""What a mock provider serves: its models with their true limits, the keys that it accepts, and a seed."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from attrs import Attribute, Factory, field, frozen, validators

from penstock import ConfigError, Problem, structure, value_in_words
from penstock.testing import ProviderLimits

__all__ = ["MAX_DIMENSIONS", "MockProviderConfig", "config_from_mapping"]

MAX_DIMENSIONS = 4096


def _default_models() -> dict[str, ProviderLimits]:
    return {"mock-chat": ProviderLimits(), "mock-embedding": ProviderLimits()}


@frozen(kw_only=True)
class MockProviderConfig:
    """Raises `ConfigError` naming a wrong field; `config_from_mapping` names them all.

    - `models`: name to true limits. Every model answers both chat and embedding calls, under one set of
      limits.
    - `keys`: the keys that are accepted as `Authorization: Bearer …`; empty: any, and none.
    - `seed`: latencies, errors and hangs; each model has its own stream, so that adding one disturbs no
      other.
    - `dimensions`: the length of a vector if the call does not say (1 to 4096).
    - `bad_json_share`: the share of the answers in JSON (`response_format`) that are spoiled, drawn anew for each call.
    """

    models: Mapping[str, ProviderLimits] = field(default=Factory(_default_models))
    keys: tuple[str, ...] = field(default=())
    seed: int = field(default=0, validator=validators.instance_of(int))
    dimensions: int = field(default=64)
    bad_json_share: float = field(default=0.0)

    @models.validator
    def _there_is_one(self, _: Attribute[Any], value: Mapping[str, ProviderLimits]) -> None:
        if not value:
            raise ConfigError(Problem(("models",), "must name at least one model"))
        if "" in value:
            raise ConfigError(Problem(("models",), "must name each model, and one name is empty"))

    @keys.validator
    def _no_key_is_empty(self, _: Attribute[Any], value: tuple[str, ...]) -> None:
        if not all(value):
            raise ConfigError(Problem(("keys",), "must be a list of non-empty texts"))

    @dimensions.validator
    def _not_too_long(self, _: Attribute[Any], value: int) -> None:
        if not 1 <= value <= MAX_DIMENSIONS:
            what = f"must be a whole number from 1 to {MAX_DIMENSIONS}, not {value_in_words(value)}"
            raise ConfigError(Problem(("dimensions",), what))

    @bad_json_share.validator
    def _is_a_share(self, _: Attribute[Any], value: float) -> None:
        if not 0.0 <= value <= 1.0:
            raise ConfigError(Problem(("bad_json_share",), f"must be from 0 to 1, not {value_in_words(value)}"))


def config_from_mapping(mapping: object, *, source: str = "", path: tuple[str | int, ...] = ()) -> MockProviderConfig:
    """The configuration that a plain table states, as TOML gives it; `source` is its file, and `path` where it stands
    there.

    Strict: unknown keys are refused and nothing is coerced. Raises `ConfigError` with every problem of the
    table, each with its dotted path.

    >>> config = config_from_mapping({"seed": 7, "models": {"small": {"slots": 20, "retry_after": 1.0}}})
    >>> config.models["small"].slots
    20
    >>> config_from_mapping({"seed": "7", "models": {"small": {"slot": 20}}}, source="mock.toml")
    Traceback (most recent call last):
    ...
    penstock.words.errors.ConfigError: mock.toml: models.small.slot: unknown key; did you mean 'slots'?
    mock.toml: seed: must be a whole number, not "7"
    """
    config: MockProviderConfig = structure(mapping, MockProviderConfig, source=source, path=path)
    return config
