"""A provider as it will be called: with which headers and keys, over which TLS, and in which dialect. There is no loop
yet and no connection, so the first process of a gateway makes them once, for all that it forks.
"""

from __future__ import annotations

import re
import ssl
from collections.abc import Iterator, Mapping
from functools import cache
from typing import Final

import attrs

from penstock import ConfigError, PenstockConfig, Problem, ProviderConfig
from penstock_dialects import Dialect, dialect_at, find_dialect
from penstock_gateway.blotting import SHORTEST_SECRET
from penstock_gateway.headers import STOPPED
from penstock_gateway.variables import not_set
from penstock_wire import Target, tls_context

__all__ = ["UpstreamSpec", "upstream_specs"]

_VALUE: Final = re.compile(r"[\x21-\x7e]([\x20-\x7e]*[\x21-\x7e])?")


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
        wrong = [
            attrs.evolve(each, source=config.source).below("providers", name)
            for each in _header_problems(provider, environment)
        ]
        if wrong:
            problems += wrong
            continue
        try:
            headers = _headers(provider, environment)
            mock = provider.kind == "mock"
            target = Target("http://localhost" if mock else provider.base_url or "", headers.items())
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


def _header_problems(provider: ProviderConfig, environment: Mapping[str, str]) -> Iterator[Problem]:
    """What is wrong with the key and the headers of a provider, without any part of their values."""
    lower = [name.lower() for name in provider.headers]
    for name, variable in provider.headers.items():
        if lower.count(name.lower()) > 1:
            yield Problem(("headers", name), "stands there twice, since headers know no upper and lower case")
        if provider.api_key_env is not None and name.lower() == _key_header(provider):
            yield Problem(("headers", name), "is where the key goes; leave it out, or say auth_header")
        yield from _value_problems(("headers", name), variable, environment)
    if provider.api_key_env is not None:
        yield from _value_problems(("api_key_env",), provider.api_key_env, environment)
    elif provider.auth_header is not None:
        yield Problem(("auth_header",), "says where the key goes, and no api_key_env names one")


def _value_problems(path: tuple[str, ...], variable: str, environment: Mapping[str, str]) -> Iterator[Problem]:
    value = environment.get(variable)
    if not value:
        yield Problem(path, not_set(variable))
    elif not _VALUE.fullmatch(value):
        what = f"the value in {variable} holds a line break, a space at an end, or what is no ASCII: set it anew"
        yield Problem(path, what)


def _key_header(provider: ProviderConfig) -> str:
    if provider.auth_header is not None:
        return provider.auth_header.lower()
    return "x-api-key" if provider.kind == "anthropic" else "authorization"


def _headers(provider: ProviderConfig, environment: Mapping[str, str]) -> dict[str, str]:
    """The headers of all calls to a provider whose `_header_problems` are none."""
    headers = {name.lower(): environment[variable] for name, variable in provider.headers.items()}
    if provider.api_key_env is not None:
        key = environment[provider.api_key_env]
        bearer = provider.auth_header is None and provider.kind != "anthropic"
        headers[_key_header(provider)] = f"Bearer {key}" if bearer else key
    return headers


def _secrets(headers: Mapping[str, str]) -> Iterator[bytes]:
    """The keys among the values of headers, the longest first."""
    values = {value.removeprefix("Bearer ").encode() for value in headers.values()}
    return (value for value in sorted(values, key=len, reverse=True) if len(value) >= SHORTEST_SECRET)
