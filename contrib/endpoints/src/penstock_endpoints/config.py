"""`[endpoints.PROVIDER]`: where else a provider is served, and with which key; each place is a provider of its own.

    [endpoints.acme]
    first  = { api_key_env = "ACME_KEY_1" }
    second = { api_key_env = "ACME_KEY_2" }
    europe = { base_url = "https://eu.acme.example/v1", models.large = { max_parallel_requests = 8 } }

What an endpoint does not say is as in `[providers.acme]`. The gates know each as a provider: `acme@first`,
`acme@second`, `acme@europe`. Limits, cooldowns and budgets are learnt, counted and configured per endpoint, since so
count those who serve them. Pure.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

import attrs

from penstock import ConfigError, ModelConfig, PenstockConfig, Problem, ProviderConfig, did_you_mean, in_schema

__all__ = ["EndpointConfig", "EndpointModelConfig", "Expanded", "expand"]

AT: Final = "@"
"""What stands between a provider's name and that of one of its endpoints."""


@in_schema(minimum=1)
def _at_least_one(_: object, __: attrs.Attribute[Any], value: int | None) -> None:
    if value is not None and value < 1:
        raise ValueError(f"must be at least 1, not {value}")


@attrs.frozen(kw_only=True)
class EndpointModelConfig:
    """`[endpoints.P.NAME.models.M]`: what is different about a model there.

    - `max_parallel_requests`: how many calls may be out at a time.
    - `model`: the id by which it is called.
    """

    max_parallel_requests: int | None = attrs.field(default=None, validator=_at_least_one)
    model: str | None = None


@attrs.frozen(kw_only=True)
class EndpointConfig:
    """`[endpoints.P.NAME]`: one place at which provider `P` is served. What it does not say is as in `[providers.P]`.

    - `base_url`: where it answers.
    - `api_key_env`: the environment variable that holds the key.
    - `auth_header`: the header for the key, where it is not the usual one.
    - `headers`: these stand beside those of the provider, or in their place where they have the same name.
    - `serves`: the models that it has, if not all.
    - `models`: what is different about some of them there.
    - `options`: for the provider's kind.
    """

    base_url: str | None = None
    api_key_env: str | None = None
    auth_header: str | None = None
    headers: dict[str, str] = attrs.field(factory=dict)
    serves: list[str] | None = None
    models: dict[str, EndpointModelConfig] = attrs.field(factory=dict)
    options: dict[str, object] | None = None


@attrs.frozen
class Expanded:
    """A configuration in which each endpoint is a provider; `places` has for each model (`provider/model`) with
    endpoints their names in the same form, and `provider_of` the provider that an endpoint belongs to.
    """

    config: PenstockConfig
    places: Mapping[str, tuple[str, ...]]
    provider_of: Mapping[str, str]


def expand(config: PenstockConfig, endpoints: Mapping[str, Mapping[str, EndpointConfig]]) -> Expanded:
    """The configuration with a provider per endpoint beside those that it has. Raises `ConfigError` with every problem.

    >>> config = PenstockConfig(providers={"acme": ProviderConfig(models={"m": ModelConfig(max_parallel_requests=8)})})
    >>> two = {"acme": {"a": EndpointConfig(api_key_env="A"), "b": EndpointConfig(api_key_env="B")}}
    >>> dict(expand(config, two).places)
    {'acme/m': ('acme@a/m', 'acme@b/m')}
    """
    problems: list[Problem] = []
    providers = dict(config.providers)
    places: dict[str, list[str]] = {}
    provider_of: dict[str, str] = {}
    for name, table in endpoints.items():
        provider = config.providers.get(name)
        if provider is None:
            hint = did_you_mean(name, config.providers, otherwise="there are")
            problems.append(Problem(("endpoints", name), f"there is no [providers.{name}]; {hint}"))
            continue
        if not table:
            problems.append(Problem(("endpoints", name), "names no endpoint; leave the table out, or add one"))
        for at, endpoint in table.items():
            found = _problems(at, endpoint, provider)
            problems += [problem.below("endpoints", name, at) for problem in found]
            if found:
                continue
            place = f"{name}{AT}{at}"
            if place in config.providers:
                what = f"is the name of [providers.{place!r}] too; give one of them another"
                problems.append(Problem(("endpoints", name, at), what))
                continue
            providers[place] = placed = _placed(provider, endpoint)
            provider_of[place] = name
            for model in placed.models:
                places.setdefault(f"{name}/{model}", []).append(f"{place}/{model}")
        problems += [
            Problem(("endpoints", name), f"none of them serves {model!r}, which [providers.{name}.models] has")
            for model in provider.models
            if table and f"{name}/{model}" not in places and not problems
        ]
    if problems:
        raise ConfigError([attrs.evolve(problem, source=config.source) for problem in problems])
    return Expanded(
        attrs.evolve(config, providers=providers), {name: tuple(names) for name, names in places.items()}, provider_of
    )


def _problems(at: str, endpoint: EndpointConfig, provider: ProviderConfig) -> list[Problem]:
    found = []
    if not at or AT in at or "/" in at:
        found.append(Problem((), f"{at!r} is no name for an endpoint: it must not be empty or hold '/' or '{AT}'"))
    for key, names in (("serves", endpoint.serves or ()), ("models", endpoint.models)):
        for model in names:
            if model not in provider.models:
                hint = did_you_mean(model, provider.models, otherwise="there are")
                found.append(Problem((key,), f"{model!r} is no model of the provider; {hint}"))
    if endpoint.serves is not None:
        if not endpoint.serves:
            found.append(Problem(("serves",), "names no model; leave it out where it has all"))
        found += [
            Problem(("models", model), "is not among what it serves")
            for model in endpoint.models
            if model in provider.models and model not in endpoint.serves
        ]
    return found


def _placed(provider: ProviderConfig, endpoint: EndpointConfig) -> ProviderConfig:
    serves = provider.models if endpoint.serves is None else endpoint.serves
    return attrs.evolve(
        provider,
        base_url=endpoint.base_url or provider.base_url,
        api_key_env=endpoint.api_key_env or provider.api_key_env,
        auth_header=endpoint.auth_header or provider.auth_header,
        headers=_headers(provider.headers, endpoint.headers),
        models={name: _model(provider.models[name], endpoint.models.get(name)) for name in serves},
        options=provider.options if endpoint.options is None else endpoint.options,
    )


def _headers(of_all: Mapping[str, str], there: Mapping[str, str]) -> dict[str, str]:
    own = {name.lower() for name in there}
    return {**{name: value for name, value in of_all.items() if name.lower() not in own}, **there}


def _model(model: ModelConfig, there: EndpointModelConfig | None) -> ModelConfig:
    if there is None:
        return model
    return attrs.evolve(
        model,
        max_parallel_requests=there.max_parallel_requests or model.max_parallel_requests,
        model=there.model or model.model,
    )
