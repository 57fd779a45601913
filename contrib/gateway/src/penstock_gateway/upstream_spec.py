"""A provider as it will be called: with which headers and keys, over which TLS, and in which dialect. There is no loop
yet and no connection, so the first process of a gateway makes them once, for all that it forks.
"""

from __future__ import annotations

import ssl
from collections.abc import Iterator, Mapping
from functools import cache

import attrs

from penstock import ConfigError, PenstockConfig, Problem, ProviderConfig
from penstock_dialects import Dialect, dialect_at, find_dialect
from penstock_gateway.blotting import SHORTEST_SECRET
from penstock_gateway.headers import STOPPED
from penstock_gateway.variables import not_set
from penstock_wire import Target, tls_context

__all__ = ["UpstreamSpec", "upstream_specs"]


@attrs.frozen
class UpstreamSpec:
    """A provider. `target` is `None` for an embedded one, which has an address when it runs; `tls` where it needs none.
    `asks_usage`: its streams tell their usage when `stream_options` asks for it. `stops`: the names of the headers that
    a client's calls cannot bring, those among them that go with each call; `secrets`: the keys in the values of these.
    """

    provider: ProviderConfig
    target: Target | None
    tls: ssl.SSLContext | None
    dialect: Dialect
    asks_usage: bool
    headers: Mapping[str, str] = attrs.field(repr=False)
    stops: frozenset[bytes]
    secrets: tuple[bytes, ...] = attrs.field(repr=False)
    source: str = ""
    """The file that describes it, as messages name it."""


def upstream_specs(config: PenstockConfig, environment: Mapping[str, str]) -> dict[str, UpstreamSpec]:
    """The providers by name. Raises `ConfigError` with all that is wrong with any."""
    tls = cache(tls_context)
    found: dict[str, UpstreamSpec] = {}
    problems: list[Problem] = []
    for name, provider in config.providers.items():
        try:
            headers = _headers(provider, environment)
            mock = provider.kind == "mock"
            target = Target("http://localhost" if mock else provider.base_url or "", headers.items())
        except _Missing as error:
            problems.append(Problem(("providers", name, error.key), str(error), config.source))
            continue
        except ValueError as error:
            problems.append(Problem(("providers", name), str(error), config.source))
            continue
        found[name] = UpstreamSpec(
            provider,
            None if mock else target,
            tls() if target.secure else None,
            find_dialect("openai") if mock else dialect_at(target.host),
            provider.options.get("stream_usage") is not False,
            headers,
            STOPPED.union(map(str.encode, headers)),
            tuple(_secrets(headers)),
            config.source,
        )
    if problems:
        raise ConfigError(problems)
    return found


class _Missing(Exception):
    def __init__(self, key: str, what: str) -> None:
        super().__init__(what)
        self.key = key


def _headers(provider: ProviderConfig, environment: Mapping[str, str]) -> dict[str, str]:
    """The headers of all calls to a provider. Raises `_Missing`."""

    def value_of(variable: str, key: str) -> str:
        value = environment.get(variable)
        if not value:
            raise _Missing(key, not_set(variable))
        return value

    headers = {name.lower(): value_of(variable, "headers") for name, variable in provider.headers.items()}
    if provider.api_key_env is not None:
        key = value_of(provider.api_key_env, "api_key_env")
        if provider.auth_header is not None:
            headers[provider.auth_header.lower()] = key
        elif provider.kind == "anthropic":
            headers["x-api-key"] = key
        else:
            headers["authorization"] = f"Bearer {key}"
    return headers


def _secrets(headers: Mapping[str, str]) -> Iterator[bytes]:
    """The keys among the values of headers, the longest first."""
    values = {value.removeprefix("Bearer ").encode() for value in headers.values()}
    return (value for value in sorted(values, key=len, reverse=True) if len(value) >= SHORTEST_SECRET)
