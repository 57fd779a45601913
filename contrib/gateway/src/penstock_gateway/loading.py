"""A configuration file as a gateway uses it: whom it serves, what it serves, and with which limits.

What a key may use is kept by the same plugins that keep the limits of providers: requests and tokens per minute are
budgets of `token-budget` for its group, calls in flight are the group's `admitted_limit`.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from importlib.metadata import entry_points
from pathlib import Path
from typing import Any, Final

import attrs

from penstock import ConfigError, PenstockConfig, Problem, RequestResourceKey, Without, did_you_mean, load_config
from penstock_endpoints import EndpointConfig, Expanded, expand
from penstock_gateway.aliases import aliases_of
from penstock_gateway.config import GatewayConfig, KeyConfig, is_loopback
from penstock_gateway.deployment import Deployment
from penstock_gateway.key_file import read_keys
from penstock_gateway.keys import HashedKey, KeyRing, key_problem
from penstock_gateway.routes import Family
from penstock_gateway.spending.configured import Spending, spending_of
from penstock_gateway.variables import not_set

__all__ = ["TABLES", "Serving", "load_gateway"]

ANYBODY: Final = "anybody"
"""The key of those who need none: on loopback, where no keys are configured."""
_KINDS: Final[Mapping[str, Family]] = {"openai": "openai", "mock": "openai", "anthropic": "anthropic"}
TABLES: Final[Mapping[str, Any]] = {"gateway": GatewayConfig, "endpoints": dict[str, dict[str, EndpointConfig]]}
"""The tables of a gateway beside the core's, by name."""
_BUDGETS: Final = "token-budget"
_FAIR: Final = "fair"


@attrs.frozen
class Serving:
    """All that a gateway needs to know. `config` has the limits of keys in it."""

    config: PenstockConfig
    gateway: GatewayConfig
    ring: KeyRing
    keys: Mapping[str, KeyConfig]
    models: Mapping[str, Deployment]
    spending: Spending
    plugins: tuple[Path | Without, ...] = ()
    """What the command line adds and leaves out, whatever the file names."""

    def resources(self, deployment: Deployment, domain: str) -> list[RequestResourceKey]:
        """Where calls of this kind to a model may be made, as the request gate knows it."""
        found = []
        for place in deployment.places:
            provider, _, name = place.partition("/")
            model = self.config.providers[provider].models[name]
            found.append(RequestResourceKey(provider, model.model or name, domain))
        return found


def load_gateway(path: Path, environment: Mapping[str, str], plugins: Sequence[Path | Without] = ()) -> Serving:
    """The gateway that a file describes, with these files of plugins and without those. Raises `ConfigError` with all
    that is wrong.
    """
    loaded = load_config(path, extra_tables=TABLES)
    gateway: GatewayConfig = loaded.extras["gateway"]
    expanded = expand(loaded.config, loaded.extras["endpoints"])
    models, config = _models(loaded.config, expanded), _without_the_replaced(expanded)
    aliases, wrong_aliases = aliases_of(gateway.models, models)
    models = {**models, **aliases}
    problems = [
        *_provider_problems(config), *_name_problems(config, gateway), *_address_problems(gateway), *wrong_aliases
    ]  # fmt: skip
    try:
        hashed = {} if gateway.keys_file is None else read_keys(path.parent / gateway.keys_file)
    except ConfigError as error:
        problems += [Problem(("gateway", "keys_file"), f"{each.source} {each.what}") for each in error.records]
        hashed = {}
    plain, wrong = _plain_keys(gateway.keys, hashed, environment)
    problems += wrong
    for name, key in gateway.keys.items():
        for model in key.models or ():
            if model not in models:
                what = f"names no model that is served: {model!r}; {did_you_mean(model, models)}"
                problems.append(Problem(("gateway", "keys", name, "models"), what, config.source))
    if not plain and not hashed and not wrong and not is_loopback(gateway.host):
        what = f"{gateway.host!r} is reached from elsewhere, and there is no key: make one by `penstock keys new`"
        problems.append(Problem(("gateway", "host"), what, config.source))
    ring = KeyRing(plain, hashed)
    keys = {name: gateway.keys.get(name, KeyConfig()) for name in ring.names or (ANYBODY,)}
    spending, wrong_in_spending = spending_of(gateway, keys, config, _reached(keys, models), path.parent)
    problems += wrong_in_spending
    if problems:
        raise ConfigError([attrs.evolve(each, source=each.source or config.source) for each in problems])
    config = _with_budgets(config, keys, {each.name for each in plugins if isinstance(each, Without)})
    return Serving(config, gateway, ring, keys, models, spending, tuple(plugins))


def _reached(keys: Mapping[str, KeyConfig], models: Mapping[str, Deployment]) -> dict[str, list[str]]:
    """The places at which the calls of each key may be made."""
    return {
        name: [
            place
            for model in (models if key.models is None else key.models)
            if model in models
            for place in models[model].places
        ]
        for name, key in keys.items()
    }


def _address_problems(gateway: GatewayConfig) -> list[Problem]:
    admin = gateway.admin
    if admin is None:
        return []
    problems = []
    if not is_loopback(admin.host):
        what = f"must be a loopback address, not {admin.host!r}: whoever reaches it needs no key"
        problems.append(Problem(("gateway", "admin", "host"), what))
    if admin.port and (admin.host, admin.port) == (gateway.host, gateway.port):
        what = f"must be another than gateway.port, which is {admin.port} at the same address"
        problems.append(Problem(("gateway", "admin", "port"), what))
    return problems


def _provider_problems(config: PenstockConfig) -> list[Problem]:
    problems = []
    if not any(provider.models for provider in config.providers.values()):
        problems.append(Problem(("providers",), "must name a provider with a model: nothing would be served"))
    for name, provider in config.providers.items():
        where = ("providers", name)
        if provider.kind not in _KINDS:
            hint = did_you_mean(provider.kind, _KINDS, otherwise="there are")
            what = f"{provider.kind!r} is no kind of provider; {hint}"
            problems.append(Problem((*where, "kind"), what))
        elif provider.kind == "mock" and provider.base_url is not None:
            problems.append(Problem((*where, "base_url"), "means nothing for a mock, which finds a port of its own"))
        elif provider.kind != "mock" and provider.base_url is None:
            what = 'is missing; this kind of provider needs one, as in "https://api.openai.com/v1"'
            problems.append(Problem((*where, "base_url"), what))
        if provider.kind != "mock":
            problems += [
                Problem((*where, "options"), f"means nothing here, but has {key!r}")
                for key in provider.options
                if key != "stream_usage"
            ]
            if not isinstance(provider.options.get("stream_usage", True), bool):
                problems.append(Problem((*where, "options", "stream_usage"), "must be true or false"))
    return problems


def _name_problems(config: PenstockConfig, gateway: GatewayConfig) -> list[Problem]:
    """A name with a line break would be a header of its own, or the end of them all."""
    named: list[tuple[tuple[str, ...], str]] = [(("gateway", "models", alias), alias) for alias in gateway.models]
    for name, provider in config.providers.items():
        named.append((("providers", name), name))
        named += [(("providers", name, "models", model), model) for model in provider.models]
    what = "must be named by characters that can be printed, since answers have the name in a header"
    return [Problem(where, what) for where, name in named if not name.isprintable()]


def _plain_keys(
    keys: Mapping[str, KeyConfig], hashed: Mapping[str, HashedKey], environment: Mapping[str, str]
) -> tuple[dict[str, str], list[Problem]]:
    """The keys of the environment by name; and what is wrong with them, which tells nothing of a key."""
    found: dict[str, str] = {}
    problems = []
    for name, key in keys.items():
        where = ("gateway", "keys", name)
        if key.env is None:
            if name not in hashed:
                what = "has no key: name its variable by env, or make one in keys_file by `penstock keys new`"
                problems.append(Problem(where, what))
            continue
        value = environment.get(key.env)
        if name in hashed:
            problems.append(Problem((*where, "env"), "names a variable, and keys_file has a key of that name too"))
        elif value is None:
            problems.append(Problem((*where, "env"), not_set(key.env)))
        elif (wrong := key_problem(value)) is not None:
            problems.append(Problem((*where, "env"), f"the key in {key.env} {wrong}"))
        elif value in found.values():
            problems.append(Problem((*where, "env"), f"the key in {key.env} is that of another name too"))
        else:
            found[name] = value
    return found, problems


def _without_the_replaced(expanded: Expanded) -> PenstockConfig:
    """The configuration without the providers in whose place their endpoints are called."""
    replaced = set(expanded.provider_of.values())
    providers = {name: each for name, each in expanded.config.providers.items() if name not in replaced}
    return attrs.evolve(expanded.config, providers=providers)


def _models(config: PenstockConfig, expanded: Expanded) -> dict[str, Deployment]:
    """What is served, by the names that clients may use: `provider/name`, or `name` where one provider alone has it."""
    found: dict[str, Deployment] = {}
    short: dict[str, list[Deployment]] = {}
    for provider, described in config.providers.items():
        family = _KINDS.get(described.kind, "openai")
        for name in described.models:
            full = f"{provider}/{name}"
            deployment = Deployment(full, provider, family, expanded.places.get(full, (full,)))
            found[deployment.name] = deployment
            short.setdefault(name, []).append(deployment)
    for name, those in short.items():
        if len(those) == 1:
            found.setdefault(name, those[0])
    return found


def _with_budgets(config: PenstockConfig, keys: Mapping[str, KeyConfig], without: Collection[str]) -> PenstockConfig:
    budgets: list[dict[str, Any]] = []
    for name, key in keys.items():
        limits = {"requests": key.requests_per_minute, "tokens": key.tokens_per_minute}
        rates = {what: {"minute": amount} for what, amount in limits.items() if amount is not None}
        if rates:
            budgets.append({"group": name, **rates})
    active = config.plugins.request_limiters
    if budgets and active is not None and _BUDGETS not in active:
        what = f"leaves out {_BUDGETS!r}, which keeps the requests and tokens per minute of keys"
        raise ConfigError(Problem(("plugins", "request_limiters"), what, config.source))
    if budgets and (_BUDGETS in without or _BUDGETS in config.plugins.disabled):
        what = f"{_BUDGETS!r} cannot be left out: it keeps the requests and tokens per minute of keys"
        raise ConfigError(Problem(("plugins", "disabled"), what, config.source))
    if budgets and config.plugins.allow is not None and _BUDGETS not in config.plugins.allow:
        what = f"must name {_BUDGETS!r}, which keeps the requests and tokens per minute of keys"
        raise ConfigError(Problem(("plugins", "allow"), what, config.source))
    section = dict(config.sections.get(_BUDGETS, {}))
    own = section.get("budgets", [])
    section["budgets"] = [*(own if isinstance(own, list | tuple) else [own]), *budgets]
    sections = {**config.sections, _BUDGETS: section} if budgets else dict(config.sections)
    if _orders_by_priority(config):
        sections[_FAIR] = {"within_group": "priority", **config.sections.get(_FAIR, {})}
    answers = config.scheduler.explain_socket is not False
    return attrs.evolve(config, scheduler=attrs.evolve(config.scheduler, explain_socket=answers), sections=sections)


def _orders_by_priority(config: PenstockConfig) -> bool:
    """Whether calls wait in the fair order, in which those of a key may have priorities."""
    chosen = config.plugins.request_waiters
    return chosen == _FAIR or (chosen is None and _FAIR in entry_points(group="penstock.plugins").names)
