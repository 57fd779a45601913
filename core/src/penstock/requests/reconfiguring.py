"""What is to change at the request gate, built whole before anything is changed: limiters, rule and caps.

A plan holds the limiters of every scope that is known and of every scope that its caps bring. What its factories raise
leaves the gate as it was; to carry it out raises nothing. A limiter that stays, and one that takes over from another
of the same plugin, keeps the guard of the one before: so the calls that are out end with it. What is made anew has a
guard of its own, and the calls that are out end with the limiters that granted them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

import attrs

from penstock.requests.deciding import RequestRule
from penstock.requests.limiter_guard import GuardedLimiter
from penstock.requests.limiters import RequestLimiter
from penstock.requests.registry import MakeLimiters, ModelState, RequestRegistry
from penstock.requests.waiters import RequestWaiter
from penstock.words.identity import ProviderKey, ProviderModelKey, ProviderModelStaticCap, RequestResourceKey, Scope

__all__ = ["ModelCaps", "RemakeLimiters", "RequestGatePlan", "Successor", "all_anew", "plan_of", "too_large_for"]


@attrs.frozen
class Successor:
    """A limiter of a plan. `inherits`: it is the plugin's limiter that is there, or takes over from it."""

    plugin: str
    limiter: RequestLimiter
    inherits: bool = False


RemakeLimiters = Callable[[Scope, "int | None", Sequence[tuple[str, RequestLimiter]]], Sequence[Successor]]
"""Scope, static cap and the (plugin name, limiter) pairs of today to those of tomorrow, in the order of asking."""


def all_anew(make: MakeLimiters) -> RemakeLimiters:
    """Every limiter made anew, whatever is there."""

    def remake(scope: Scope, cap: int | None, _: Sequence[tuple[str, RequestLimiter]]) -> Sequence[Successor]:
        return [Successor(plugin, limiter) for plugin, limiter in make(scope, cap)]

    return remake


@attrs.frozen
class ModelCaps:
    """The caps of a provider + model: the smallest of its aliases' holds; `domain_caps` bound single domains."""

    key: ProviderModelKey
    static: ProviderModelStaticCap
    domain_caps: Mapping[str, int]

    def cap_of(self, domain: str) -> int:
        """What holds for one domain."""
        return min(self.static.cap, self.domain_caps.get(domain, self.static.cap))


@attrs.frozen
class RequestGatePlan:
    """What is to be carried out: `limiters` holds each scope's guards, with the limiter that each is to have.

    `kept`, `taken_over`, `made` and `dropped` count limiters over all scopes.
    """

    make: MakeLimiters
    rule: RequestRule | None
    caps: tuple[ModelCaps, ...]
    limiters: Mapping[Scope, Sequence[tuple[GuardedLimiter, RequestLimiter]]]
    kept: int = 0
    taken_over: int = 0
    made: int = 0
    dropped: int = 0


def plan_of(
    registry: RequestRegistry,
    make: MakeLimiters,
    remake: RemakeLimiters,
    rule: RequestRule | None,
    caps: Iterable[ModelCaps] = (),
) -> RequestGatePlan:
    """The plan by which `make` makes the limiters of later scopes, and `remake` those of today's.

    Raises `PluginError` where one cannot be made.
    """
    caps = tuple(caps)
    planned: dict[Scope, Sequence[tuple[GuardedLimiter, RequestLimiter]]] = {}
    kept = taken_over = made = dropped = 0
    for scope, cap, guards in (*_known(registry), *_new(registry, caps)):
        before = {guard.plugin: guard for guard in guards if guard.broken is None}
        pairs: list[tuple[GuardedLimiter, RequestLimiter]] = []
        for each in registry.called(lambda: remake(scope, cap, _pairs(guards)), scope):  # noqa: B023
            guard = before.get(each.plugin) if each.inherits else None
            if guard is None:
                made += 1
                guard = GuardedLimiter(each.plugin, each.limiter, registry.on_failure)
            elif guard.limiter is each.limiter:
                kept += 1
            else:
                taken_over += 1
            pairs.append((guard, each.limiter))
        stay = {id(guard) for guard, _ in pairs}
        dropped += sum(id(guard) not in stay for guard in guards)
        planned[scope] = pairs
    return RequestGatePlan(make, rule, caps, planned, kept, taken_over, made, dropped)


def _pairs(guards: Iterable[GuardedLimiter]) -> list[tuple[str, RequestLimiter]]:
    return [(guard.plugin, guard.limiter) for guard in guards if guard.broken is None]


def _known(registry: RequestRegistry) -> Iterator[tuple[Scope, int | None, Sequence[GuardedLimiter]]]:
    for provider in registry.providers.values():
        yield provider.key, None, provider.limiters
    for model in registry.models.values():
        yield model.key, model.cap, model.limiters
    for state in registry.resources.values():
        yield state.key, state.cap, state.own
    for group in registry.groups.known.values():
        if not isinstance(group.key.group, RequestResourceKey):
            yield group.key, None, group.limiters


def _new(
    registry: RequestRegistry, caps: Iterable[ModelCaps]
) -> Iterator[tuple[Scope, int | None, Sequence[GuardedLimiter]]]:
    """The scopes that the caps bring."""
    seen: set[Scope] = set()
    for model in caps:
        key = model.key
        provider = ProviderKey(key.provider_name)
        if provider not in registry.providers and provider not in seen:
            seen.add(provider)
            yield provider, None, ()
        if key not in registry.models:
            yield key, model.static.cap, ()
        for domain in model.domain_caps:
            resource = RequestResourceKey(key.provider_name, key.model_id, domain)
            if resource not in registry.resources:
                yield resource, model.cap_of(domain), ()


def too_large_for(
    caps: Iterable[ModelCaps], models: Mapping[ProviderModelKey, ModelState], waiting: Iterable[RequestWaiter]
) -> list[tuple[ModelCaps, str | None, int]]:
    """The caps that are smaller than what a waiting call asks for: with the domain, `None` for all, and the most asked.

    A cap that is no smaller than today's stands in nobody's way.
    """
    lowered = {each.key: each for each in caps if each.key in models}
    most: dict[tuple[ProviderModelKey, str | None], int] = {}
    for waiter in waiting:
        resource, requests = waiter.item.resource, waiter.item.cost.requests
        model = lowered.get(resource.provider_model)
        if model is None or requests <= model.cap_of(resource.domain):
            continue
        at = (model.key, None if requests > model.static.cap else resource.domain)
        most[at] = max(most.get(at, 0), requests)
    return [(lowered[key], domain, requests) for (key, domain), requests in most.items()]
