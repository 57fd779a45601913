"""The keys of providers, models and domains, for both gates, the limiters and the capacity plan.

The key of a group of calls stands beside them: who a call is for, at whichever provider.

Neutral: this module knows neither tasks nor requests. `RequestResourceResolver` is the one place that makes
these keys, so that two aliases of one endpoint always lead to the same cap.
"""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Mapping, Sequence
from enum import StrEnum
from functools import cached_property
from typing import Final, Literal, TypeAlias

import attrs
from msgspec import Struct

from penstock.words.checks import a_key, a_mapping, a_name, is_text, shown, whole_number
from penstock.words.errors import ConfigError

__all__ = [
    "GROUP_KINDS",
    "LimiterScope",
    "ProviderKey",
    "ProviderModelKey",
    "ProviderModelStaticCap",
    "RequestDomain",
    "RequestGroupKey",
    "RequestResourceKey",
    "RequestResourceResolver",
    "Scope",
    "scope_kind",
]


GROUP_KINDS: Final = ("local", "model", "custom_model")
"""The kinds of groups of tasks."""

REMEMBERED: Final = 1024
"""How many names the resolver keeps the keys of, known or not."""


class RequestDomain(StrEnum):
    """The kinds of call that every provider may have; a provider's config may add names of its own."""

    CHAT = "chat"
    EMBEDDING = "embedding"
    IMAGE = "image"
    HEALTHCHECK = "healthcheck"


_EVERYWHERE: Final = frozenset(map(str, RequestDomain))


def _check_names(key: object, *fields: str) -> None:
    for field in fields:
        name = getattr(key, field)
        if name.__class__ is not str or not name or not name.isascii():
            a_name(name, f"{field} of a {type(key).__name__}")


class ProviderKey(Struct, frozen=True, cache_hash=True, weakref=True):
    """A whole provider: the widest scope that a request limiter can be made for."""

    provider_name: str

    def __post_init__(self) -> None:
        _check_names(self, "provider_name")

    def __str__(self) -> str:
        return self.provider_name


class ProviderModelKey(Struct, frozen=True, cache_hash=True, weakref=True):
    """A model at a provider, whatever aliases it is called by: the scope of a static cap."""

    provider_name: str
    model_id: str

    def __post_init__(self) -> None:
        _check_names(self, "provider_name", "model_id")

    def __str__(self) -> str:
        return f"{self.provider_name}/{self.model_id}"


class RequestResourceKey(Struct, frozen=True, cache_hash=True, weakref=True, dict=True):
    """A domain of a model at a provider: the resource that a call holds a lease of."""

    provider_name: str
    model_id: str
    domain: str

    def __post_init__(self) -> None:
        _check_names(self, "provider_name", "model_id", "domain")

    @cached_property
    def provider_model(self) -> ProviderModelKey:
        return ProviderModelKey(self.provider_name, self.model_id)

    @cached_property
    def provider(self) -> ProviderKey:
        return ProviderKey(self.provider_name)

    def __str__(self) -> str:
        return f"{self.provider_name}/{self.model_id}/{self.domain}"


class RequestGroupKey(Struct, frozen=True, cache_hash=True, weakref=True):
    """A group of calls over all providers and models: a tenant, an API key. `group` is the key of its
    `RequestGroupSpec`.
    """

    group: Hashable

    def __post_init__(self) -> None:
        if self.group.__class__ is not str or not self.group:
            a_key(self.group, "group of a RequestGroupKey")

    def __str__(self) -> str:
        return f"group {self.group}"


Scope = ProviderKey | ProviderModelKey | RequestResourceKey | RequestGroupKey
"""The scope value that a request limiter is made for: one of these keys."""

LimiterScope: TypeAlias = Literal["resource", "provider_model", "provider", "group"]
"""The kinds of scope that can have a limiter of their own, in the words of a limiter's configuration."""


def scope_kind(scope: Scope) -> LimiterScope:
    """The word of `LimiterScope` for this kind of key.

    >>> scope_kind(ProviderKey("acme")), scope_kind(RequestResourceKey("acme", "small", "chat"))
    ('provider', 'resource')
    """
    if isinstance(scope, RequestResourceKey):
        return "resource"
    if isinstance(scope, RequestGroupKey):
        return "group"
    return "provider_model" if isinstance(scope, ProviderModelKey) else "provider"


@attrs.frozen
class ProviderModelStaticCap:
    """The configured bound on calls in flight to one model at one provider.

    `cap` is the smallest of the caps configured for its aliases (`raw_caps`, alias to cap): a cap that was
    set for one alias is one of the endpoint, and another alias must not be a way round it.
    """

    cap: int
    raw_caps: Mapping[str, int] = attrs.field(factory=dict)

    def __attrs_post_init__(self) -> None:
        whole_number(self.cap, "cap")
        a_mapping(self.raw_caps, "raw_caps", "{'alias': 8}")

    @property
    def aliases(self) -> tuple[str, ...]:
        """The aliases of the endpoint that have a cap, sorted."""
        return tuple(sorted(self.raw_caps))

    @classmethod
    def of(cls, cap: int | Mapping[str, int], aliases: Iterable[str]) -> ProviderModelStaticCap:
        """The cap over these aliases, the same for each, or over those of a mapping. Raises as `merge`."""
        return cls.merge(cap if isinstance(cap, Mapping) else dict.fromkeys(aliases, cap))

    @classmethod
    def merge(cls, raw_caps: Mapping[str, int]) -> ProviderModelStaticCap:
        """The cap over aliases of one endpoint. Raises `ConfigError` for a cap below 1 or for no alias at all."""
        if not a_mapping(raw_caps, "max_parallel_requests", "{'alias': 8}"):
            raise ConfigError("a static cap needs at least one alias with max_parallel_requests")
        for alias, cap in raw_caps.items():
            a_name(alias, "an alias with max_parallel_requests")
            whole_number(cap, f"{alias}: max_parallel_requests")
        return cls(min(raw_caps.values()), dict(raw_caps))


class RequestResourceResolver:
    """The resolver of `"provider/model"` names, aliases included, to keys.

    >>> resolver = RequestResourceResolver()
    >>> resolver.add_alias("openai", "fast", model_id="gpt-x")
    >>> str(resolver.resolve("openai/fast", "chat"))
    'openai/gpt-x/chat'

    A name without an alias is taken as the model id itself, so a model that is not configured still gets
    one key and not several. Aliases are diagnostics: after resolution they decide nothing.
    """

    def __init__(self) -> None:
        self._aliases: dict[tuple[str, str], str] = {}
        self._domains: dict[str, frozenset[str]] = {}
        self._resolved: dict[tuple[str, str], RequestResourceKey] = {}
        """What `resolve` has found already: made anew each time, a request would take 24 µs instead of 14."""

    def add_alias(self, provider_name: str, alias: str, *, model_id: str) -> None:
        """Let `provider_name/alias` mean `model_id`. Raises `ConfigError` if it already means another model."""
        self.check_alias(provider_name, alias, model_id=model_id)
        self._aliases[provider_name, alias] = model_id
        self._resolved.clear()

    def check_alias(self, provider_name: str, alias: str, *, model_id: str) -> None:
        """Raises `ConfigError` if `provider_name/alias` means another model than `model_id`; changes nothing."""
        known = self._aliases.get((provider_name, alias), model_id)
        if known != model_id:
            raise ConfigError(
                f"{provider_name}/{alias} is an alias of {known!r} already; it cannot mean {model_id!r} too"
            )

    def add_domains(self, provider_name: str, domains: Iterable[str]) -> None:
        """Let calls to `provider_name` also use these domains, beside the four that every provider has."""
        more = frozenset(domains)
        if more:
            self._domains[provider_name] = self._domains.get(provider_name, frozenset()) | more

    def domains(self, provider_name: str) -> Sequence[str]:
        """The domains that calls to this provider may name."""
        return sorted({*map(str, RequestDomain), *self._domains.get(provider_name, ())})

    def aliases(self, key: ProviderModelKey) -> tuple[str, ...]:
        """The aliases by which a model is known, sorted; for people, never for decisions."""
        return tuple(sorted(a for (p, a), m in self._aliases.items() if p == key.provider_name and m == key.model_id))

    def resolve(self, name: str, domain: str = RequestDomain.CHAT) -> RequestResourceKey:
        """The key of `provider/model` (everything after the first slash is the model) in a domain.

        Raises `ConfigError` for a name without a slash or a domain that the provider does not have.
        """
        if not is_text(name):
            raise ConfigError(f"resource must be 'provider/model' or a RequestResourceKey, not {shown(name)}")
        if not is_text(domain):
            raise ConfigError(f"domain must be a name such as 'chat', not {shown(domain)}")
        key = self._resolved.get((name, domain))
        if key is None:
            key = self._make(name, domain)
            if len(self._resolved) >= REMEMBERED:
                self._resolved.clear()
            self._resolved[name, domain] = key
        return key

    def key_of(self, resource: RequestResourceKey | str, domain: str = RequestDomain.CHAT) -> RequestResourceKey:
        """The key of a resource that a caller named, or handed in as a key: then `domain` does not count.

        Raises `ConfigError` as `resolve`.
        """
        if not isinstance(resource, RequestResourceKey):
            return self.resolve(resource, domain)
        if resource.domain not in _EVERYWHERE:
            self._check_domain(resource.provider_name, resource.domain)
        return resource

    def find(self, parts: tuple[str, ...]) -> RequestResourceKey:
        """The key of (provider, model or alias, domain), for reading only: nothing is checked."""
        provider_name, model, domain = parts
        return RequestResourceKey(provider_name, self._aliases.get((provider_name, model), model), domain)

    def _make(self, name: str, domain: str) -> RequestResourceKey:
        provider_name, slash, model = name.partition("/")
        if not (slash and provider_name and model):
            raise ConfigError(f"resource {shown(name)} is no model name: write it as 'provider/model'")
        self._check_domain(provider_name, domain)
        return RequestResourceKey(provider_name, self._aliases.get((provider_name, model), model), str(domain))

    def _check_domain(self, provider_name: str, domain: str) -> None:
        if str(domain) not in self.domains(provider_name):
            known = ", ".join(self.domains(provider_name))
            raise ConfigError(f"provider {provider_name!r} has no domain {shown(str(domain))}; it has {known}")
