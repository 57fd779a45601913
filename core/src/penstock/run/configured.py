"""What the tables of a configuration are to the parts of a run: options, rules, caps and names."""

from __future__ import annotations

from collections.abc import Mapping

import attrs

from penstock.config.reading import PenstockConfig, ProviderConfig, RequestsConfig, SchedulerConfig
from penstock.executor.executor import ModelRequestExecutor
from penstock.executor.retries import RetryRules
from penstock.requests.reconfiguring import ModelCaps
from penstock.scheduler.parts import SchedulerOptions
from penstock.words.identity import ProviderModelKey, ProviderModelStaticCap, RequestResourceResolver
from penstock.words.report import LiveFigures, RunInfo

__all__ = ["caps_of", "name_providers", "register_providers", "retry_rules", "run_info", "scheduler_options"]


def scheduler_options(options: SchedulerConfig) -> SchedulerOptions:
    """The figures of the task gate's shell in `[scheduler]`."""
    names = [field.name for field in attrs.fields(SchedulerOptions)]
    return SchedulerOptions(**{name: getattr(options, name) for name in names})


def retry_rules(options: RequestsConfig) -> RetryRules:
    """The rules of `[requests]` by which calls are tried again."""
    return RetryRules(
        max_attempts=options.max_attempts,
        backoff=options.retry_backoff,
        backoff_max=options.retry_backoff_max,
        kinds=frozenset(options.retry_on),
        budget=options.retry_budget,
        asked_max=options.retry_after_max,
        unpaid_timeout=options.unpaid_timeout,
    )


def caps_of(providers: Mapping[str, ProviderConfig]) -> dict[ProviderModelKey, ModelCaps]:
    """The caps of every configured model; the aliases of one model id share the smallest of theirs."""
    found: dict[ProviderModelKey, tuple[dict[str, int], dict[str, int]]] = {}
    for name, provider in providers.items():
        for alias, model in provider.models.items():
            raw, domains = found.setdefault(ProviderModelKey(name, model.model or alias), ({}, {}))
            raw[alias] = model.max_parallel_requests
            for domain, cap in model.domain_caps.items():
                domains[domain] = min(cap, domains.get(domain, cap))
    return {key: ModelCaps(key, ProviderModelStaticCap.merge(raw), domains) for key, (raw, domains) in found.items()}


def name_providers(providers: Mapping[str, ProviderConfig], resolver: RequestResourceResolver) -> None:
    """The configured names of models and domains become known."""
    for name, provider in providers.items():
        resolver.add_domains(name, provider.domains)
        for alias, model in provider.models.items():
            resolver.add_alias(name, alias, model_id=model.model or alias)


def register_providers(config: PenstockConfig, requests: ModelRequestExecutor) -> None:
    """Every configured model becomes known."""
    name_providers(config.providers, requests.resolver)
    for key, caps in caps_of(config.providers).items():
        requests.register(key.provider_name, key.model_id, cap=caps.static.raw_caps, domain_caps=caps.domain_caps)


def run_info(
    config: PenstockConfig, run_id: str, started_at: float, plugins: tuple[str, ...], figures: LiveFigures
) -> RunInfo:
    """What the plugins of a run are told at its start."""
    models = {
        (provider, name): model.model or name
        for provider, of_provider in config.providers.items()
        for name, model in of_provider.models.items()
    }
    return RunInfo(
        run_id=run_id,
        started_at=started_at,
        seed=config.scheduler.seed,
        plugins=plugins,
        domains={name: tuple(provider.domains) for name, provider in config.providers.items()},
        models={f"{provider}/{name}": model for (provider, name), model in models.items()},
        prices={
            f"{provider}/{model}": price
            for (provider, name), model in models.items()
            if (price := config.providers[provider].models[name].price) is not None
        },
        figures=figures,
    )
