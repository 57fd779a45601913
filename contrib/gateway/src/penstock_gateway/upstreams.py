"""The providers as a gateway calls them: a client for each, and the embedded ones running.

Whoever calls a provider is bounded by the gate alone. There is no proxy between: what the environment says of one is
not read.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from typing import TYPE_CHECKING

import attrs

from penstock import ConfigError, PenstockConfig, Problem
from penstock_dialects import Dialect
from penstock_gateway.open_files import most_files, most_idle
from penstock_gateway.upstream_spec import UpstreamSpec, upstream_specs
from penstock_wire import CallsClient, Poller, Target

if TYPE_CHECKING:
    from penstock_mockprovider import MockProviderConfig

__all__ = ["Upstream", "check_upstreams", "open_upstreams"]


@attrs.frozen
class Upstream:
    """A provider: the words are those of `UpstreamSpec`."""

    client: CallsClient
    dialect: Dialect
    asks_usage: bool
    stops: frozenset[bytes]
    secrets: tuple[bytes, ...] = attrs.field(repr=False)
    url: str = ""
    """Of an embedded one, where it runs."""


def check_upstreams(config: PenstockConfig, environment: Mapping[str, str]) -> None:
    """Raises `ConfigError` for providers that could not be called, and for embedded ones that could not run."""
    problems: list[Problem] = []
    for name, spec in upstream_specs(config, environment).items():
        if spec.target is None:
            try:
                _mock_config(name, spec)
            except ConfigError as error:
                problems += error.records
    if problems:
        raise ConfigError(problems)


@asynccontextmanager
async def open_upstreams(
    poller: Poller,
    specs: Mapping[str, UpstreamSpec],
    *,
    connect_timeout: float,
    embedded: Mapping[str, str] | None = None,
) -> AsyncIterator[dict[str, Upstream]]:
    """The providers by name while the block runs. `embedded` are the URLs of mocks that run already, in another process
    of this gateway. Raises `ConfigError` for an embedded one that cannot run.
    """
    idle = most_idle(len(specs), most_files())
    found: dict[str, Upstream] = {}
    async with AsyncExitStack() as stack:
        for name, spec in specs.items():
            target, url = spec.target, ""
            if target is None:
                mock = _mock(name, spec)
                url = await stack.enter_async_context(mock) if embedded is None else embedded[name]
                target = Target(url, spec.headers.items())
            client = CallsClient(poller, target, tls=spec.tls, most_idle=idle, connect_timeout=connect_timeout)
            stack.callback(client.close)
            found[name] = Upstream(client, spec.dialect, spec.asks_usage, spec.stops, spec.secrets, url)
        yield found


@asynccontextmanager
async def _mock(name: str, spec: UpstreamSpec) -> AsyncIterator[str]:
    """The base URL of the embedded provider."""
    from penstock_mockprovider import serve

    async with serve(_mock_config(name, spec)) as mock:
        yield mock.base_url


def _mock_config(name: str, spec: UpstreamSpec) -> MockProviderConfig:
    """The embedded provider as `options` have it; a model that they do not name has no limits. Raises `ConfigError`."""
    # Imported where it is needed: it holds more memory than the rest of a gateway.
    from penstock_mockprovider import config_from_mapping

    provider = spec.provider
    given = provider.options.get("models", {})
    served: dict[str, object] = {model.model or alias: {} for alias, model in provider.models.items()}
    models = {**served, **given} if isinstance(given, Mapping) else given
    return config_from_mapping(
        {**provider.options, "models": models}, source=spec.source, path=("providers", name, "options")
    )
