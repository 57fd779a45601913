"""The providers, models and groups of tasks that there can be, and what to say of a name that is none of them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from penstock.config.reading import ProviderConfig
from penstock.config.words import did_you_mean, probably_meant
from penstock.words.identity import (
    GROUP_KINDS,
    ProviderKey,
    ProviderModelKey,
    RequestDomain,
    RequestGroupKey,
    RequestResourceKey,
    Scope,
)
from penstock.words.problems import Problem
from penstock.words.settings import Settings

__all__ = ["configured_names", "group_problems", "impossible_groups", "unknown_in"]

SHAPES: Mapping[str, str] = {
    "local": "local/NAME",
    "model": "model/PROVIDER/MODEL/DOMAIN",
    "custom_model": "custom_model/NAMESPACE/NAME/VERSION",
}


def configured_names(
    providers: Mapping[str, ProviderConfig],
) -> tuple[dict[str, tuple[str, ...]], dict[str, ProviderModelKey]]:
    """The `Settings.providers` and `Settings.models` by a configuration."""
    domains = {name: (*map(str, RequestDomain), *provider.domains) for name, provider in providers.items()}
    models: dict[str, ProviderModelKey] = {}
    for name, provider in providers.items():
        for alias, model in provider.models.items():
            key = ProviderModelKey(name, model.model or alias)
            models[f"{name}/{alias}"] = models[str(key)] = key
    return domains, models


def unknown_in(scope: Scope, settings: Settings) -> str | None:
    """The provider, model or domain that is not known, in words, with what was probably meant; `None` if all is.

    A model is named by its own id, not by a name of the configuration that leads to it. Of a group there is
    nothing to say: who calls are for is not configured.
    """
    if isinstance(scope, RequestGroupKey):
        return None
    provider = scope.provider_name
    if provider not in settings.providers:
        return f"names no provider that is known: {provider!r}; {did_you_mean(provider, settings.providers)}"
    if isinstance(scope, ProviderKey):
        return None
    wrong = _unknown_model(provider, scope.model_id, settings)
    if wrong is None and isinstance(scope, RequestResourceKey) and scope.domain not in settings.providers[provider]:
        known = did_you_mean(scope.domain, settings.providers[provider])
        return f"names no domain of {provider}: {scope.domain!r}; {known}"
    return wrong


def _unknown_model(provider: str, model: str, settings: Settings) -> str | None:
    ids = {
        name.partition("/")[2]: key.model_id for name, key in settings.models.items() if key.provider_name == provider
    }
    if model in ids:
        if ids[model] == model:
            return None
        return f"names a model by {model!r}, which is a name for it here; write its id, {ids[model]!r}"
    near = probably_meant(model, ids)
    meant = did_you_mean(model, set(ids.values())) if near is None else f"did you mean {ids[near]!r}?"
    return f"names no model of {provider} that is known: {model!r}; {meant}"


def impossible_groups(admitted_limits: Mapping[str, int], source: str) -> Iterator[Problem]:
    """The problems of `[scheduler.admitted_limits]` whatever providers there are: names that no group can have."""
    for group in admitted_limits:
        kind, *rest = group.split("/")
        path = ("scheduler", "admitted_limits", group)
        if kind not in GROUP_KINDS:
            meant = did_you_mean(kind, GROUP_KINDS) if rest else f"did you mean {'local/' + group!r}?"
            yield Problem(path, f"names no group that can be, of a kind {kind!r}; {meant}", source)
        elif not all(rest) or len(rest) < SHAPES[kind].count("/"):
            yield Problem(path, f"names no group that can be; write it as {SHAPES[kind]}", source)


def group_problems(admitted_limits: Mapping[str, int], settings: Settings, source: str) -> Iterator[Problem]:
    """The problems of groups of `[scheduler.admitted_limits]` that call what is not known."""
    for group in admitted_limits:
        kind, _, rest = group.partition("/")
        provider, _, called = rest.partition("/")
        model, _, domain = called.rpartition("/")
        if kind != "model" or not model:
            continue
        path = ("scheduler", "admitted_limits", group)
        alias = settings.models.get(f"{provider}/{model}")
        wrong = unknown_in(RequestResourceKey(provider, alias.model_id if alias else model, domain), settings)
        if wrong is not None:
            yield Problem(path, wrong, source)
