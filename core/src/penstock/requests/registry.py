"""What the request gate knows of: providers, their models, the domains of each, with caps, counters and
limiters.

    group               limiters of a tenant over all providers (`groups.py`)
    provider            limiters of the whole provider
      provider + model  the static cap, what is in flight over all domains, limiters
        resource        one domain: its own cap if it has one, what is in flight, who waits, limiters

A model exists once it is registered; registering again with another cap is right at any time. A domain of a
known model comes into being with its first call. Nothing else brings anything into being: asking about an
unknown resource leaves no trace.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import TypeVar

import attrs

from penstock.queueing.lanes import ALL
from penstock.requests.groups import GroupState, RequestGroups
from penstock.requests.items import RequestAdmissionItem, RequestAdmissionLease
from penstock.requests.limiter_change import LimiterChange
from penstock.requests.limiter_guard import LIMITER, GuardedLimiter
from penstock.requests.limiters import RequestLimiter
from penstock.words.checks import whole_number
from penstock.words.errors import PluginError
from penstock.words.failures import text_of
from penstock.words.identity import ProviderKey, ProviderModelKey, ProviderModelStaticCap, RequestResourceKey, Scope
from penstock.words.plugin_failures import OnPluginFailure
from penstock.words.verdicts import Condition, Denied, Released

__all__ = [
    "Books",
    "CapChange",
    "LimitAtFirst",
    "MakeLimiters",
    "ModelState",
    "ProviderState",
    "RequestRegistry",
    "ResourceState",
    "no_limiters",
]

T = TypeVar("T")

MakeLimiters = Callable[[Scope, "int | None"], Sequence[tuple[str, RequestLimiter]]]
"""Scope and static cap to (plugin name, limiter) pairs, in the order in which they are asked."""


def no_limiters(_: Scope, __: int | None) -> Sequence[tuple[str, RequestLimiter]]:
    """`MakeLimiters` where no plugin limits anything: only the caps hold."""
    return ()


class ProviderState:
    """A provider, which has no cap. `waiting` is the number of its waiters over all models."""

    __slots__ = ("counters", "key", "limiters", "models", "waiting")

    def __init__(self, key: ProviderKey, limiters: tuple[GuardedLimiter, ...] = ()) -> None:
        self.key = key
        self.limiters = limiters
        self.waiting = 0
        self.models: list[ModelState] = []
        self.counters = counters_among(limiters)
        """Those of its limiters that say how many more requests may go out."""

    def free(self, now: float) -> int:
        """How many requests more may go out here."""
        return _left(ALL, self.counters, now)

    def limit(self, now: float) -> int:
        """How many may be out here at once, as things stand."""
        return self.free(now) + sum(model.in_flight for model in self.models)


class ModelState:
    """A provider + model. `in_flight` is in requests, over all domains."""

    __slots__ = (
        "cap", "counters", "domain_caps", "full", "in_flight", "key", "limiters", "most_in_flight", "provider",
        "resources", "static",
    )  # fmt: skip

    def __init__(
        self,
        key: ProviderModelKey,
        provider: ProviderState,
        static: ProviderModelStaticCap,
        domain_caps: dict[str, int],
        limiters: tuple[GuardedLimiter, ...] = (),
    ) -> None:
        self.key = key
        self.provider = provider
        self.static = static
        self.domain_caps = domain_caps
        self.cap = static.cap
        self.limiters = limiters
        self.in_flight = self.most_in_flight = 0
        self.resources: dict[str, ResourceState] = {}
        self.full: dict[int, Denied] = {}
        """Requests asked for to the refusal for want of so many; made when it is first needed for this cap."""
        self.counters = counters_among(limiters)

    def free(self, now: float) -> int:
        """As of a provider."""
        return _left(self.cap - self.in_flight, self.counters, now)

    def limit(self, now: float) -> int:
        """As of a provider."""
        return self.free(now) + self.in_flight


@attrs.frozen
class LimitAtFirst:
    """The smallest limit that limiters set a resource when it became known, and the plugin whose limiter that is."""

    limit: int
    plugin: str


class ResourceState:
    """One domain of a model. `limiters` are all that have a say, widest scope first; `own` those of the
    resource itself.
    """

    __slots__ = (
        "acquired", "answered_at", "began", "cap", "counters", "full", "highest_limit", "in_flight", "key",
        "last_outcome", "leases", "limiters", "model", "most_in_flight", "most_waiting", "own",
        "probe", "provider", "refused_at", "released", "text", "waiting",
    )  # fmt: skip

    def __init__(
        self, key: RequestResourceKey, model: ModelState, cap: int, own: tuple[GuardedLimiter, ...] = ()
    ) -> None:
        self.key = key
        self.model = model
        self.provider = model.provider
        self.cap = cap
        self.text = str(key)
        self.own = own
        self.in_flight = self.most_in_flight = 0
        """Requests, and how many were in flight at once; so of a model, over all domains."""
        self.leases: dict[RequestAdmissionLease, None] = {}
        self.waiting = self.most_waiting = self.acquired = 0
        self.began: LimitAtFirst | None = None
        self.highest_limit = 0
        """The highest limit of its limiters under which a call went out."""
        self.released: tuple[Condition, ...] = (Released(key), Released(model.key), Released(model.provider.key))
        self.full: dict[int, Denied] = {}
        self.probe = False
        """Whether the call that was last agreed to would be a limiter's probe: its lease says so."""
        self.last_outcome: str | None = None
        self.refused_at: float | None = None
        """When the last rate limit came; `None` again once a call that went out after it has gone well."""
        self.answered_at: float | None = None
        """When the latest call went out that was answered."""
        self.gather_limiters()

    def answered(self, sent_at: float) -> None:
        """A call was answered that went out then."""
        if self.answered_at is None or sent_at > self.answered_at:
            self.answered_at = sent_at

    def gather_limiters(self) -> None:
        """Put the limiters of all three scopes together."""
        self.limiters = (*self.provider.limiters, *self.model.limiters, *self.own)
        self.counters = counters_among(self.own)

    def free(self, now: float) -> int:
        """As of a provider."""
        return _left(self.cap - self.in_flight, self.counters, now)

    def limit(self, now: float) -> int:
        """As of a provider."""
        return self.free(now) + self.in_flight


Books = tuple[ResourceState, GroupState]
"""Where a call is counted: at its resource, and so at its model and provider, and in its group."""


def counters_among(limiters: Iterable[GuardedLimiter]) -> tuple[GuardedLimiter, ...]:
    """Those that can say how many more requests may go out."""
    return tuple(limiter for limiter in limiters if limiter.counts)


def _left(free: int, counters: tuple[GuardedLimiter, ...], now: float) -> int:
    for limiter in counters:
        left = limiter.room(now)
        if left is not None and left < free:
            free = left
    return free


@attrs.frozen
class CapChange:
    """What a registration came to. `before` is `None` for a model that is new; `changes` are its limiters' own."""

    model: ModelState
    before: int | None
    changes: Sequence[tuple[ResourceState | None, LimiterChange]] = ()
    new_resources: Sequence[ResourceState] = ()


class RequestRegistry:
    """Providers, models and resources by their keys."""

    def __init__(self, make_limiters: MakeLimiters, on_failure: OnPluginFailure) -> None:
        self._make = make_limiters
        self.on_failure = on_failure
        self._prepared: dict[Scope, tuple[GuardedLimiter, ...]] = {}
        """Limiters of scopes that are about to be known."""
        self.providers: dict[ProviderKey, ProviderState] = {}
        self.models: dict[ProviderModelKey, ModelState] = {}
        self.resources: dict[RequestResourceKey, ResourceState] = {}
        self.nodes: dict[Scope, ProviderState | ModelState | ResourceState] = {}
        """All three, by scope."""
        self.groups = RequestGroups(lambda key: self._limiters(key, None))

    def register(
        self,
        key: ProviderModelKey,
        static: ProviderModelStaticCap,
        domain_caps: Mapping[str, int],
        domains: Iterable[str],
        now: float,
    ) -> CapChange:
        """The change that makes a model known, or gives it another cap. All or nothing.

        Raises `ConfigError` for a cap that is no whole number from 1 to 1,000,000, `PluginError` where a limiter cannot
        be made.
        """
        for where, cap in (("max_parallel_requests", static.cap), *domain_caps.items()):
            whole_number(cap, f"{key}: {where}")
        known = self.models.get(key)
        model = known if known is not None else self._new_model(key, static, domain_caps)
        new = [
            self._new_resource(
                RequestResourceKey(key.provider_name, key.model_id, domain),
                model,
                min(static.cap, domain_caps.get(domain, static.cap)),
            )
            for domain in dict.fromkeys((*domains, *domain_caps))
            if domain not in model.resources
        ]
        before = model.cap if known is not None else None
        changes = self._change_cap(model, static, domain_caps, now)
        self.providers.setdefault(model.provider.key, model.provider)
        if known is None:
            model.provider.models.append(model)
        self.models[key] = self.nodes[key] = model
        self.nodes[model.provider.key] = model.provider
        for state in new:
            self._add(state)
        return CapChange(model, before, changes, new)

    def names(self) -> set[str]:
        """The models by every name that they have, as `provider/name`."""
        return {
            f"{key.provider_name}/{name}"
            for key, model in self.models.items()
            for name in (key.model_id, *model.static.aliases)
        }

    def first_use(self, key: RequestResourceKey) -> ResourceState | None:
        """The state of a resource that has none yet; `None` if its model is not known. Raises as `register`."""
        model = self.models.get(key.provider_model)
        if model is None:
            return None
        state = self._new_resource(key, model, min(model.cap, model.domain_caps.get(key.domain, model.cap)))
        self._add(state)
        return state

    def fits_beside(self, item: RequestAdmissionItem, leases: Iterable[RequestAdmissionLease]) -> bool:
        """Whether the caps would have room for a call if only these leases were out; limiters aside."""
        state = self.resources[item.resource]
        own = total = item.cost.requests
        for lease in leases:
            there = self.resources[lease.item.resource]
            if there.model is state.model and lease in there.leases:
                total += lease.item.cost.requests
                own += lease.item.cost.requests if there is state else 0
        return own <= state.cap and total <= state.model.cap

    def limiters_of(self, state: ResourceState, item: RequestAdmissionItem) -> tuple[GuardedLimiter, ...]:
        """All limiters that have a say in a call, of which the group must be known, widest scope first."""
        of_the_group = self.groups.known[item.group.key].limiters
        return (*of_the_group, *state.limiters) if of_the_group else state.limiters

    def forget(self, key: ProviderModelKey) -> bool:
        """Whether a model, which must be known, is idle: then it is known no more, nor what its limiters had learnt."""
        model = self.models[key]
        if model.in_flight or any(state.waiting for state in model.resources.values()):
            return False
        del self.models[key], self.nodes[key]
        model.provider.models.remove(model)
        for state in model.resources.values():
            del self.resources[state.key], self.nodes[state.key]
        provider = model.provider
        if not any(other.provider is provider for other in self.models.values()):
            del self.providers[provider.key], self.nodes[provider.key]
        return True

    def use_limiters(
        self, make_limiters: MakeLimiters, limiters: Mapping[Scope, Sequence[tuple[GuardedLimiter, RequestLimiter]]]
    ) -> None:
        """Let these limiters have a say from now on, and `make_limiters` make those of later scopes.

        `limiters` has each scope's guards, with the limiter that each is to have. Leases keep their guards.
        """
        self._make = make_limiters
        for pairs in limiters.values():
            for guard, limiter in pairs:
                guard.use(limiter)
        guards = {scope: tuple(guard for guard, _ in pairs) for scope, pairs in limiters.items()}
        for provider_key, provider in self.providers.items():
            provider.limiters = guards.pop(provider_key)
            provider.counters = counters_among(provider.limiters)
        for model_key, model in self.models.items():
            model.limiters = guards.pop(model_key)
            model.counters = counters_among(model.limiters)
        for resource_key, state in self.resources.items():
            state.own = guards.pop(resource_key)
            state.gather_limiters()
        for group in self.groups.known.values():
            group.limiters = guards.pop(group.key, ())
        self._prepared = guards

    def called(self, make: Callable[[], Sequence[T]], scope: Scope) -> Sequence[T]:
        """What `make` makes for a scope. Raises `PluginError` where it cannot."""
        try:
            return make()
        except PluginError:
            raise
        except BaseException as error:
            message = f"making the limiter of {scope} raised {type(error).__name__}: {text_of(error)}"
            raise PluginError(LIMITER, message) from error

    def _new_model(
        self, key: ProviderModelKey, static: ProviderModelStaticCap, domain_caps: Mapping[str, int]
    ) -> ModelState:
        provider_key = ProviderKey(key.provider_name)
        provider = self.providers.get(provider_key)
        if provider is None:
            provider = ProviderState(provider_key, self._limiters(provider_key, None))
        return ModelState(key, provider, static, dict(domain_caps), self._limiters(key, static.cap))

    def _new_resource(self, key: RequestResourceKey, model: ModelState, cap: int) -> ResourceState:
        return ResourceState(key, model, cap, self._limiters(key, cap))

    def _add(self, state: ResourceState) -> None:
        self.resources[state.key] = self.nodes[state.key] = state
        state.model.resources[state.key.domain] = state

    def _change_cap(
        self, model: ModelState, static: ProviderModelStaticCap, domain_caps: Mapping[str, int], now: float
    ) -> list[tuple[ResourceState | None, LimiterChange]]:
        changes: list[tuple[ResourceState | None, LimiterChange]] = []
        model.static, model.domain_caps = static, dict(domain_caps)
        if model.cap != static.cap:
            model.cap, model.full = static.cap, {}
            for limiter in model.limiters:
                changes += [(None, change) for change in limiter.set_cap(static.cap, now)]
        for state in model.resources.values():
            cap = min(model.cap, domain_caps.get(state.key.domain, model.cap))
            if cap != state.cap:
                state.cap, state.full = cap, {}
                for limiter in state.own:
                    changes += [(state, change) for change in limiter.set_cap(cap, now)]
        return changes

    def _limiters(self, scope: Scope, cap: int | None) -> tuple[GuardedLimiter, ...]:
        prepared = self._prepared.pop(scope, None)
        if prepared is not None:
            return prepared
        made = self.called(lambda: self._make(scope, cap), scope)
        return tuple(GuardedLimiter(plugin, limiter, self.on_failure) for plugin, limiter in made)
