"""The endpoints of a pipeline's providers, `[endpoints.PROVIDER]`: where each model is called, and what is wrong there.

An endpoint is a provider of its own to the gates, to its client and to the counters: `acme@first`. To all that keeps
answers it is the one provider as which the pipeline knows it: a cell has one key, whoever answers. Pure.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping

import attrs

from penstock import ConfigError, PenstockConfig, Problem
from penstock_batch.providers.models import StepModel
from penstock_endpoints import EndpointConfig, Expanded, expand

__all__ = ["EndpointTables", "expanded", "problems_at_places", "providers_called", "with_places"]

EndpointTables = Mapping[str, Mapping[str, EndpointConfig]]
"""The tables of `[endpoints]`: provider to endpoint to what it says."""


def expanded(config: PenstockConfig, endpoints: EndpointTables, problems: list[Problem]) -> Expanded:
    """The configuration with a provider for each endpoint; adds to `problems`, and then has none."""
    try:
        return expand(config, endpoints)
    except ConfigError as error:
        problems += error.records
        return Expanded(config, {}, {})


def with_places(model: StepModel, found: Expanded) -> StepModel:
    """The model of a step with the places at which it is called, if it has endpoints."""
    names = found.places.get(model.name)
    if not names:
        return model
    places = tuple(_place(model, name, found) for name in names)
    return attrs.evolve(model, places=places, max_parallel_requests=sum(each.max_parallel_requests for each in places))


def _place(model: StepModel, name: str, found: Expanded) -> StepModel:
    provider, _, alias = name.partition("/")
    there = found.config.providers[provider].models[alias]
    return attrs.evolve(
        model,
        name=name,
        provider=provider,
        model_id=there.model or alias,
        max_parallel_requests=there.max_parallel_requests,
    )


def providers_called(models: Iterable[StepModel]) -> frozenset[str]:
    """The providers and endpoints that calls of these models go to."""
    return frozenset(place.provider for model in models for place in model.served)


def problems_at_places(
    problems: Iterable[Problem], endpoints: EndpointTables, provider_of: Mapping[str, str]
) -> Iterator[Problem]:
    """Problems of providers, those of endpoints at what the file says: at the endpoint where it says the key itself,
    else at its provider, once.
    """
    told: set[Problem] = set()
    for problem in problems:
        place = str(problem.path[1]) if problem.path[:1] == ("providers",) else ""
        owner = provider_of.get(place)
        if owner is not None:
            at = place.removeprefix(f"{owner}@")
            said = endpoints[owner][at]
            rest = problem.path[2:]
            where = ("endpoints", owner, at, *rest) if _says(said, rest) else ("providers", owner, *rest)
            problem = attrs.evolve(problem, path=where)
        if problem not in told:
            told.add(problem)
            yield problem


def _says(said: EndpointConfig, path: tuple[str | int, ...]) -> bool:
    """Whether an endpoint says by itself what this path within a provider leads to."""
    match path:
        case ("headers", str(name), *_):
            return name in said.headers
        case ("base_url" | "api_key_env" | "auth_header" | "options" as key, *_):
            return bool(getattr(said, key))
    return False
