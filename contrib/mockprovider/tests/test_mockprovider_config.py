"""The mock provider's configuration: what it accepts, and how a mistake is told."""

from __future__ import annotations

import tomllib
from typing import Any

import pytest

from penstock import ConfigError
from penstock.testing import Latency, ProviderLimits
from penstock_mockprovider import MockProviderConfig, config_from_mapping


def test_a_table_becomes_a_configuration() -> None:
    table = tomllib.loads(
        """
        seed = 7
        keys = ["sk-test"]
        dimensions = 8
        [models.small]
        slots = 20
        latency = { mean = 0.5, sigma = 0.1 }
        [models."large/v2"]
        rpm = 60
        """
    )
    assert config_from_mapping(table) == MockProviderConfig(
        models={
            "small": ProviderLimits(slots=20, latency=Latency(0.5, 0.1)),
            "large/v2": ProviderLimits(rpm=60),
        },
        keys=("sk-test",),
        seed=7,
        dimensions=8,
    )


def test_an_empty_table_serves_a_chat_and_an_embedding_model_without_limits() -> None:
    assert set(config_from_mapping({}).models) == {"mock-chat", "mock-embedding"}


def test_all_mistakes_are_told_at_once_each_with_its_path() -> None:
    table = tomllib.loads(
        """
        sede = 7
        seed = 7.0
        keys = "sk-test"
        dimensions = 0
        [models.small]
        slots = "20"
        burst = 3
        [models.large]
        hangshare = 0.1
        """
    )
    with pytest.raises(ConfigError) as caught:
        config_from_mapping(table, path=("providers", "mock"))
    assert caught.value.problems == (
        "providers.mock.sede: unknown key; did you mean 'seed'?",
        'providers.mock.models.small.slots: must be a whole number, not "20"',
        "providers.mock.models.small.burst: means nothing without rpm",
        "providers.mock.models.large.hangshare: unknown key; did you mean 'hang_share'?",
        "providers.mock.keys: must be a list (each: text), not text; put it into brackets",
        "providers.mock.seed: must be a whole number, not 7.0",
        "providers.mock.dimensions: must be a whole number from 1 to 4096, not 0",
    )


@pytest.mark.parametrize(
    ("table", "problem"),
    [
        ({"keys": ["real-secret", ""]}, "keys: must be a list of non-empty texts"),
        ({"keys": [7]}, "keys[0]: must be text, not a whole number"),
        ({"models": {}}, "models: must name at least one model"),
        ({"models": ["a"]}, "models: must be a table (each: a table), not a list"),
        ({"seed": True}, "seed: must be a whole number, not true"),
        ([], "must be a table, not a list"),
    ],
)
def test_a_mistake_is_told_and_no_key_with_it(table: object, problem: str) -> None:
    with pytest.raises(ConfigError) as caught:
        config_from_mapping(table)
    assert caught.value.problems == (problem,)


@pytest.mark.parametrize(
    ("fields", "problem"),
    [
        ({"models": {}}, "models: must name at least one model"),
        ({"models": {"": ProviderLimits()}}, "models: must name each model, and one name is empty"),
        ({"dimensions": 5000}, "dimensions: must be a whole number from 1 to 4096, not 5000"),
    ],
)
def test_the_record_itself_holds_no_nonsense(fields: dict[str, Any], problem: str) -> None:
    with pytest.raises(ConfigError) as caught:
        MockProviderConfig(**fields)
    assert caught.value.problems == (problem,)
