"""The models that a step calls, by the names that its TOML gives them: its own, and those that stand in for it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import attrs

from penstock import Problem, ProviderConfig, did_you_mean
from penstock_batch.pipeline.config import StepConfig
from penstock_batch.providers.endpoints import speaking_of
from penstock_batch.providers.models import StepModel
from penstock_batch.providers.native.protocols import param_problems
from penstock_batch.providers.prices import half_priced
from penstock_dialects import prices_of

__all__ = ["models_of"]


def models_of(
    config: StepConfig, params: Mapping[str, Any], providers: Mapping[str, ProviderConfig], found: list[Problem]
) -> tuple[StepModel, ...]:
    """The model of a step and then its fallbacks, in their order; none of other kinds. Adds to `found` what is wrong
    with their names, and what of the step's `params` cannot be said to their providers: of a fallback, under that key.
    """
    if config.kind not in ("chat", "embedding"):
        return ()
    named = [] if config.model is None else [(("model",), config.model)]
    named += [(("fallback",), name) for name in config.fallback]
    models: dict[str, StepModel] = {}
    for path, name in named:
        model = _model(name, path, config.kind, providers, found)
        if model is not None and name not in models:
            problems = param_problems(config.kind, params, speaking_of(model.provider, providers[model.provider]))
            found += (_placed(problem, config, path, name) for problem in problems)
        if name in models:
            found.append(Problem(path, f"names {name!r} again, which has refused the call by then"))
        elif model is not None:
            models[name] = model
    return tuple(models.values())


def _placed(problem: Problem, config: StepConfig, path: tuple[str, ...], name: str) -> Problem:
    """What a provider cannot be told, at the key of the step that says it; of a fallback, at the key that names it."""
    if problem.path[0] == "params" and problem.path[1] not in config.params:  # what makes up `tools`
        problem = attrs.evolve(problem, path=problem.path[1:])
    return problem if path == ("model",) else Problem(path, f"{name} cannot be asked this; {problem}")


def _model(
    name: str, path: tuple[str, ...], kind: str, providers: Mapping[str, ProviderConfig], found: list[Problem]
) -> StepModel | None:
    provider_name, slash, alias = name.partition("/")
    if not slash or not provider_name or not alias:
        found.append(Problem(path, f"must be written provider/model, not {name!r}"))
        return None
    provider = providers.get(provider_name)
    if provider is None:
        hint = did_you_mean(provider_name, providers, otherwise="there are")
        found.append(Problem(path, f"there is no [providers.{provider_name}]; {hint}"))
        return None
    model = provider.models.get(alias)
    if model is None:
        hint = did_you_mean(alias, provider.models, otherwise="there are")
        found.append(Problem(path, f"there is no [providers.{provider_name}.models.{alias}]; {hint}"))
        return None
    if half_priced(model, kind):
        found.append(Problem(path, f"has a price that does not say what output costs; a {kind} has some"))
    return StepModel(
        name,
        provider_name,
        model.model or alias,
        model.max_parallel_requests,
        dialect=provider.kind,
        prices=prices_of(model),
    )
