"""The providers as a gateway calls them: a client for each, with its own key, and the embedded ones running.

Whoever calls a provider is bounded by the gate alone. There is no proxy between: what the environment says of one is
not read.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from functools import cache
from urllib.parse import urlsplit

import attrs

from penstock import ConfigError, Problem, ProviderConfig
from penstock_dialects import Dialect, dialect_at, find_dialect
from penstock_gateway.blotting import SHORTEST_SECRET
from penstock_gateway.headers import STOPPED
from penstock_gateway.open_files import most_files, most_idle
from penstock_gateway.variables import not_set
from penstock_wire import CallsClient, Poller, Target, tls_context

__all__ = ["Upstream", "check_upstreams", "open_upstreams"]


@attrs.frozen
class Upstream:
    """A provider. `asks_usage`: its streams tell their usage when `stream_options` asks for it. `stops`: the names of
    the headers that a client's calls cannot bring, those among them that go with each call; `secrets`: the keys in the
    values of these.
    """

    client: CallsClient
    dialect: Dialect
    asks_usage: bool
    url: str
    stops: frozenset[bytes] = STOPPED
    secrets: tuple[bytes, ...] = ()


@asynccontextmanager
async def open_upstreams(
    poller: Poller,
    providers: Mapping[str, ProviderConfig],
    environment: Mapping[str, str],
    *,
    connect_timeout: float,
    embedded: Mapping[str, str] | None = None,
) -> AsyncIterator[dict[str, Upstream]]:
    """The providers by name while the block runs. `embedded` are the URLs of mocks that run already, in another process
    of this gateway. Raises `ConfigError`.
    """
    tls, idle = cache(tls_context), most_idle(len(providers), most_files())
    found: dict[str, Upstream] = {}
    problems: list[Problem] = []
    async with AsyncExitStack() as stack:
        for name, provider in providers.items():
            try:
                if provider.kind == "mock" and embedded is not None:
                    url = embedded[name]
                elif provider.kind == "mock":
                    url = await stack.enter_async_context(_mock(name, provider))
                else:
                    url = provider.base_url or ""
                headers = _headers(provider, environment)
                context = tls() if url.startswith("https:") else None
                client = CallsClient(
                    poller,
                    url,
                    headers=headers.items(),
                    tls=context,
                    most_idle=idle,
                    connect_timeout=connect_timeout,
                )
            except (_Missing, ValueError) as error:
                problems.append(_problem(name, error))
                continue
            stack.callback(client.close)
            host = urlsplit(url).hostname or ""
            dialect = find_dialect("openai") if provider.kind == "mock" else dialect_at(host)
            asks_usage = provider.options.get("stream_usage") is not False
            stops = STOPPED.union(map(str.encode, headers))
            found[name] = Upstream(client, dialect, asks_usage, url, stops, tuple(_secrets(headers)))
        if problems:
            raise ConfigError(problems)
        yield found


def check_upstreams(providers: Mapping[str, ProviderConfig], environment: Mapping[str, str]) -> None:
    """Raises `ConfigError` where a provider could not be called, for a process that calls none itself."""
    problems: list[Problem] = []
    for name, provider in providers.items():
        try:
            headers = _headers(provider, environment)
            if provider.kind != "mock":
                Target(provider.base_url or "", headers.items())
        except (_Missing, ValueError) as error:
            problems.append(_problem(name, error))
    if problems:
        raise ConfigError(problems)


def _problem(name: str, error: Exception) -> Problem:
    path = ("providers", name, error.key) if isinstance(error, _Missing) else ("providers", name)
    return Problem(path, str(error))


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


@asynccontextmanager
async def _mock(name: str, provider: ProviderConfig) -> AsyncIterator[str]:
    """The base URL of the embedded provider, configured by `options`; a model that they do not name has no limits."""
    # Imported where it is needed: it holds more memory than the rest of a gateway.
    from penstock_mockprovider import config_from_mapping, serve

    given = provider.options.get("models", {})
    served: dict[str, object] = {model.model or alias: {} for alias, model in provider.models.items()}
    models = {**served, **given} if isinstance(given, Mapping) else given
    config = config_from_mapping({**provider.options, "models": models}, path=("providers", name, "options"))
    async with serve(config) as mock:
        yield mock.base_url
