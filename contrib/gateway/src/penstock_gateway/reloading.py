"""What may change of a gateway that runs, and what needs a new start. Pure."""

from __future__ import annotations

import attrs

from penstock import Problem, ProviderConfig
from penstock_gateway.config import GatewayConfig
from penstock_gateway.loading import Serving

__all__ = ["needs_a_new_start"]

_FIXED = ("host", "port", "admin", "log")
_CONNECTION = ("kind", "base_url", "api_key_env", "auth_header", "headers", "options")


def needs_a_new_start(before: Serving, after: Serving) -> list[Problem]:
    """What of another configuration cannot be had while the gateway runs: another address of its own, another log, and
    providers that are new or called otherwise. Keys, limits, models, timeouts and plugins may change.
    """
    problems = [
        Problem(("gateway", name), "cannot change while the gateway runs: start it anew")
        for name in _FIXED
        if _of(before.gateway, name) != _of(after.gateway, name)
    ]
    for name, provider in after.config.providers.items():
        known = before.config.providers.get(name)
        if known is None:
            problems.append(Problem(("providers", name), "is new: start the gateway anew"))
            continue
        problems += [
            Problem(("providers", name, part), "cannot change while the gateway runs: start it anew")
            for part in _CONNECTION
            if _of(known, part) != _of(provider, part)
        ]
    return [attrs.evolve(problem, source=after.config.source) for problem in problems]


def _of(record: GatewayConfig | ProviderConfig, name: str) -> object:
    return getattr(record, name)
