"""Endpoints in a configuration: what they say, what they have from their provider, and what is wrong with them."""

from __future__ import annotations

import attrs
import pytest

from penstock import ConfigError, ModelConfig, PenstockConfig, ProviderConfig
from penstock_endpoints import EndpointConfig, EndpointModelConfig, Expanded, expand

ACME = ProviderConfig(
    base_url="https://acme.example/v1",
    api_key_env="ACME",
    models={"large": ModelConfig(max_parallel_requests=64), "small": ModelConfig(max_parallel_requests=8, model="s-2")},
)
CONFIG = PenstockConfig(providers={"acme": ACME}, source="job.toml")


def expanded(**endpoints: EndpointConfig) -> Expanded:
    return expand(CONFIG, {"acme": endpoints})


def test_an_endpoint_is_a_provider_of_its_own_beside_the_one_that_it_serves() -> None:
    found = expanded(east=EndpointConfig(api_key_env="EAST"), west=EndpointConfig(base_url="https://west.example"))
    assert list(found.config.providers) == ["acme", "acme@east", "acme@west"]
    assert found.places == {
        "acme/large": ("acme@east/large", "acme@west/large"),
        "acme/small": ("acme@east/small", "acme@west/small"),
    }
    assert found.provider_of == {"acme@east": "acme", "acme@west": "acme"}


def test_what_an_endpoint_does_not_say_is_its_providers() -> None:
    east = expanded(east=EndpointConfig(api_key_env="EAST")).config.providers["acme@east"]
    assert (east.base_url, east.api_key_env, east.models) == ("https://acme.example/v1", "EAST", ACME.models)


def test_headers_stand_beside_those_of_the_provider_or_in_their_place() -> None:
    config = PenstockConfig(providers={"acme": attrs.evolve(ACME, headers={"X-Org": "ORG", "x-team": "TEAM"})})
    east = EndpointConfig(headers={"x-org": "EAST_ORG"}, auth_header="api-key")
    placed = expand(config, {"acme": {"east": east}}).config.providers["acme@east"]
    assert placed.headers == {"x-team": "TEAM", "x-org": "EAST_ORG"}
    assert placed.auth_header == "api-key"


def test_a_provider_that_has_the_name_of_an_endpoint_is_told() -> None:
    config = PenstockConfig(providers={"acme": ACME, "acme@east": ACME})
    with pytest.raises(ConfigError, match=r"endpoints\.acme\.east: is the name of"):
        expand(config, {"acme": {"east": EndpointConfig()}})


def test_a_model_may_have_another_cap_and_another_id_there() -> None:
    there = {"large": EndpointModelConfig(max_parallel_requests=4, model="my-deployment")}
    east = expanded(east=EndpointConfig(models=there)).config.providers["acme@east"]
    assert east.models["large"] == ModelConfig(max_parallel_requests=4, model="my-deployment")
    assert east.models["small"] == ACME.models["small"]


def test_an_endpoint_may_serve_some_of_the_models() -> None:
    found = expanded(east=EndpointConfig(serves=["large"]), west=EndpointConfig())
    assert found.places["acme/small"] == ("acme@west/small",)


@pytest.mark.parametrize(
    ("name", "endpoint", "path", "says"),
    [
        ("e/w", EndpointConfig(), 'endpoints.acme."e/w"', "is no name for an endpoint"),
        ("e@w", EndpointConfig(), 'endpoints.acme."e@w"', "is no name for an endpoint"),
        ("", EndpointConfig(), "endpoints.acme", "is no name for an endpoint"),
        ("east", EndpointConfig(serves=["lrge"]), "endpoints.acme.east.serves", "did you mean 'large'"),
        ("east", EndpointConfig(serves=[]), "endpoints.acme.east.serves", "names no model"),
        (
            "east",
            EndpointConfig(models={"lrge": EndpointModelConfig()}),
            "endpoints.acme.east.models",
            "did you mean 'large'",
        ),
        (
            "east",
            EndpointConfig(serves=["small"], models={"large": EndpointModelConfig()}),
            "endpoints.acme.east.models.large",
            "not among what it serves",
        ),
    ],
)
def test_a_mistake_is_told_with_its_place(name: str, endpoint: EndpointConfig, path: str, says: str) -> None:
    with pytest.raises(ConfigError, match=says) as refused:
        expand(CONFIG, {"acme": {name: endpoint}})
    assert str(refused.value).startswith("job.toml")
    assert path in str(refused.value)


def test_a_provider_that_is_not_there_is_told_with_the_one_that_was_meant() -> None:
    with pytest.raises(ConfigError, match="did you mean 'acme'"):
        expand(CONFIG, {"acm": {"east": EndpointConfig()}})


def test_a_provider_without_endpoints_is_told() -> None:
    with pytest.raises(ConfigError, match="names no endpoint"):
        expand(CONFIG, {"acme": {}})


def test_a_model_that_no_endpoint_serves_is_told() -> None:
    with pytest.raises(ConfigError, match="none of them serves 'small'"):
        expanded(east=EndpointConfig(serves=["large"]))


def test_a_cap_below_one_is_refused() -> None:
    with pytest.raises(ValueError, match="at least 1"):
        EndpointModelConfig(max_parallel_requests=0)
