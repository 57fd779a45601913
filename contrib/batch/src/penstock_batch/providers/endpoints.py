"""The providers as a batch uses them: where they are, with which key, and a connection pool for each.

`kind = "openai"` is any endpoint that speaks that protocol; `anthropic` and `gemini` speak their own (`native`).
`kind = "mock"` is the embedded provider with true limits of its own, which is started on a loopback port when the run
begins and stopped when it ends.
"""

from __future__ import annotations

import os
import re
import ssl
from collections.abc import AsyncIterator, Collection, Iterable, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from functools import cache
from http.cookiejar import CookieJar, DefaultCookiePolicy
from ipaddress import ip_address
from typing import TYPE_CHECKING, Any, Final
from urllib.request import getproxies, proxy_bypass

import attrs

from penstock import ConfigError, Problem, ProviderConfig, did_you_mean, value_in_words
from penstock_batch.providers.clients import CONNECT_TIMEOUT, ModelClient, ProxiedClient, StraightClient
from penstock_batch.providers.headers import header_problems, headers_of
from penstock_batch.providers.native.bodies import Speaking
from penstock_batch.providers.native.protocols import KINDS, protocol_of
from penstock_dialects import price_problems

if TYPE_CHECKING:
    from penstock_batch.providers.models import StepModel
    from penstock_mockprovider import MockProvider, MockProviderConfig

__all__ = [
    "Endpoints",
    "api_key",
    "mock_config",
    "open_endpoints",
    "provider_identity",
    "provider_problems",
    "speaking_of",
]

_BODY_KEYS: Final = "body_keys"
_UNPACKED: Final = "gzip, deflate"
"""What `AnswerReader` unpacks by itself."""


@attrs.frozen
class Endpoints:
    """The open clients by model (`provider/model`), and the embedded providers by name."""

    clients: Mapping[str, ModelClient]
    mocks: Mapping[str, MockProvider]


def provider_problems(
    providers: Mapping[str, ProviderConfig], used: Collection[str], environment: Mapping[str, str]
) -> list[Problem]:
    """The problems of the providers; keys and mocks are checked only for those that are `used`."""
    found = []
    for name, provider in providers.items():
        problems = []
        if provider.kind not in KINDS:
            hint = did_you_mean(provider.kind, KINDS, otherwise="there are")
            problems.append(Problem(("kind",), f"{provider.kind!r} is no kind of provider; {hint}"))
        elif provider.kind != "mock":
            problems += [*_url_problems(provider), *_option_problems(provider)]
        elif provider.base_url is not None:
            problems.append(Problem(("base_url",), "means nothing for a mock, which finds a port of its own"))
        problems += header_problems(provider, environment, used=name in used)
        problems += price_problems(provider)
        found += [problem.below("providers", name) for problem in problems]
        if name in used and provider.kind == "mock":
            try:
                mock_config(name, provider)
            except ConfigError as error:
                found += error.records
    return found


def _option_problems(provider: ProviderConfig) -> list[Problem]:
    for key, value in provider.options.items():
        if provider.kind == "openai":
            return [Problem(("options",), f"means nothing for an openai provider, but has {key!r}")]
        if key != _BODY_KEYS:
            hint = did_you_mean(key, (_BODY_KEYS,), otherwise="there is")
            return [Problem(("options", key), f"means nothing for {provider.kind}; {hint}")]
        if not isinstance(value, list) or not all(isinstance(each, str) for each in value):
            what = f"must be a list of the names of keys, not {value_in_words(value)}"
            return [Problem(("options", key), what)]
    return []


def speaking_of(name: str, provider: ProviderConfig) -> Speaking:
    """What a provider speaks, with the keys that its options name."""
    more = provider.options.get(_BODY_KEYS, ())
    return Speaking(provider.kind, name, tuple(map(str, more)) if isinstance(more, list) else ())


def _url_problems(provider: ProviderConfig) -> list[Problem]:
    protocol = protocol_of(provider.kind)
    if provider.base_url is None:
        if protocol.url is not None:
            return []
        what = 'is missing; an openai provider needs one, as in "https://api.openai.com/v1"'
        return [Problem(("base_url",), what)]
    if "@" in re.split(r"[/?#]", provider.base_url.partition("//")[2] or provider.base_url)[0]:
        what = "holds a user or password; put a key into a variable and name it by api_key_env"
        return [Problem(("base_url",), what)]
    import httpx2

    try:
        url = httpx2.URL(provider.base_url)
    except httpx2.InvalidURL as error:
        return [Problem(("base_url",), f"must be a URL, not {value_in_words(provider.base_url)}: {error}")]
    if url.scheme not in ("http", "https") or not url.host:
        what = f"must begin with http:// or https:// and a host, not be {value_in_words(provider.base_url)}"
        return [Problem(("base_url",), what)]
    if url.port is not None and not 0 < url.port < 1 << 16:
        return [Problem(("base_url",), f"has port {url.port}, and ports go from 1 to 65535")]
    try:
        url.raw_host.decode("ascii").encode("idna")
    except UnicodeError:
        what = f"names the host {value_in_words(url.host)}, whose parts between the dots must have 1 to 63 characters"
        return [Problem(("base_url",), what)]
    if url.query or url.fragment:
        what = "holds a query or a fragment, which would get lost; what each call must send has no place there"
        return [Problem(("base_url",), what)]
    if protocol.version and url.path.rstrip("/").endswith(f"/{protocol.version}"):
        what = f"ends in /{protocol.version}, which the path of each call begins with; leave that out"
        return [Problem(("base_url",), what)]
    return []


def mock_config(name: str, provider: ProviderConfig) -> MockProviderConfig:
    """The embedded provider's configuration, from `options`; a model that they do not name has no limits. Raises
    `ConfigError`.
    """
    from penstock_mockprovider import config_from_mapping

    options: dict[str, Any] = dict(provider.options)
    models = options.get("models", {})
    if isinstance(models, Mapping):
        ids = dict.fromkeys(model.model or alias for alias, model in provider.models.items())
        options["models"] = {**{model_id: {} for model_id in ids}, **models}
    return config_from_mapping(options, path=("providers", name, "options"))


def api_key(provider: ProviderConfig) -> str | None:
    """The key, from the environment variable that the provider names."""
    return None if provider.api_key_env is None else os.environ[provider.api_key_env]


def provider_identity(provider: ProviderConfig) -> dict[str, Any]:
    """The options of a provider that decide what its answers say: which it is, but not its limits."""
    not_answers = ("models", "keys", "seed")
    options = {key: value for key, value in provider.options.items() if key not in not_answers}
    return {"kind": provider.kind, "base_url": provider.base_url, "options": options}


def _is_loopback(host: str) -> bool:
    name = host.lower().rstrip(".")
    try:
        address = ip_address(name)
    except ValueError:
        return name == "localhost" or name.endswith(".localhost")
    mapped = getattr(address, "ipv4_mapped", None) or address
    return bool(mapped.is_loopback or mapped.is_unspecified)


@asynccontextmanager
async def open_endpoints(
    providers: Mapping[str, ProviderConfig], models: Iterable[StepModel]
) -> AsyncIterator[Endpoints]:
    """A client for each of `models`, and the embedded providers among them running, while the block runs."""
    import httpx2

    tls = cache(_tls_context)  # reads all certificates there are: once, and only if they are needed
    clients: dict[str, ModelClient] = {}
    mocks: dict[str, MockProvider] = {}
    async with AsyncExitStack() as stack:
        for model in models:
            if model.name in clients:
                continue
            provider = providers[model.provider]
            url = provider.base_url or protocol_of(provider.kind).url
            if provider.kind == "mock":
                if model.provider not in mocks:
                    from penstock_mockprovider import serve  # which brings the testing kit with it

                    mock = serve(mock_config(model.provider, provider))
                    mocks[model.provider] = await stack.enter_async_context(mock)
                url = mocks[model.provider].base_url
            assert url is not None, "provider_problems() lets no provider pass without a base_url if it needs one"
            headers = {"content-type": "application/json", "accept": "application/json", "accept-encoding": _UNPACKED}
            headers["user-agent"] = "penstock-batch"
            headers |= headers_of(provider, os.environ)
            context = tls() if httpx2.URL(url).scheme == "https" else None
            try:
                clients[model.name] = client = _client(url, headers, context)
            except (ImportError, ValueError, httpx2.InvalidURL) as error:
                what = f"the proxy that the environment names for it cannot be used: {error}"
                raise ConfigError(Problem(("providers", model.provider, "base_url"), what)) from None
            stack.push_async_callback(client.aclose)
        yield Endpoints(clients, mocks)


def _tls_context() -> ssl.SSLContext:
    """What each client of `https` trusts: the system, or what SSL_CERT_FILE or SSL_CERT_DIR names."""
    import httpx2

    context = httpx2.create_ssl_context()
    context.set_alpn_protocols(["http/1.1"])
    return context


def _client(url: str, headers: Mapping[str, str], tls: ssl.SSLContext | None) -> ModelClient:
    """A client of `url`, by the proxy that the environment names for it if it names one."""
    import httpx2

    parts = httpx2.URL(url)
    proxies = getproxies()
    # No proxy reaches what is on this machine.
    straight = _is_loopback(parts.host) or bool(proxy_bypass(parts.host))
    if straight or not (proxies.get(parts.scheme) or proxies.get("all")):
        return StraightClient(str(parts), headers, tls)  # what is no ASCII is quoted in it
    limits = httpx2.Limits(max_connections=None, max_keepalive_connections=None)
    verify = False if tls is None else tls
    timeout = httpx2.Timeout(None, connect=CONNECT_TIMEOUT)
    forgets = CookieJar(DefaultCookiePolicy(allowed_domains=()))  # no call depends on what another was answered

    def make() -> httpx2.AsyncClient:
        return httpx2.AsyncClient(
            base_url=url, headers=headers, cookies=forgets, limits=limits, timeout=timeout, verify=verify
        )

    return ProxiedClient(url, make)
