"""A request gate of lists and dictionaries: it remembers nobody's refusal and asks everybody again."""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence
from typing import Final

import attrs

from penstock import (
    Denied,
    ProviderKey,
    ProviderModelKey,
    RequestAdmissionItem,
    RequestAdmissionLease,
    RequestGroupKey,
    RequestResourceKey,
    RequestWaiter,
)
from penstock.testing import ScriptedLimiter
from penstock_model.request_rules import RequestRule

__all__ = ["GROUPS", "LIMITED", "MODELS", "RESOURCES", "SCOPES", "Limit", "NaiveRequestGate", "covers"]

RESOURCES: Final = (
    RequestResourceKey("p", "m", "chat"),
    RequestResourceKey("p", "m", "embedding"),
    RequestResourceKey("p", "n", "chat"),
    RequestResourceKey("q", "m", "chat"),
)
MODELS: Final = tuple(dict.fromkeys(resource.provider_model for resource in RESOURCES))
GROUPS: Final = ("a", "b", "c")
Place = RequestResourceKey | ProviderModelKey | ProviderKey
Scope = Place | RequestGroupKey
SCOPES: Final[tuple[Place, ...]] = (*dict.fromkeys(resource.provider for resource in RESOURCES), *MODELS, *RESOURCES)
LIMITED: Final[tuple[Scope, ...]] = (*SCOPES, *map(RequestGroupKey, GROUPS))
"""What a limiter is made for."""


def covers(key: Hashable, resource: RequestResourceKey) -> bool:
    """Whether a scope is that of a resource, or of what it belongs to."""
    return key in (resource, resource.provider_model, resource.provider)


def concerns(key: Hashable, item: RequestAdmissionItem) -> bool:
    """Whether a scope is that of what a call is made to, or of the group for which it is made."""
    return covers(key, item.resource) or key == RequestGroupKey(item.group.key)


@attrs.define
class Limit:
    """What a scripted limiter says of its scope. `limiter` is the real one, as it was made last."""

    places: int = 1_000_000
    blocked_until: float = float("-inf")
    limiter: ScriptedLimiter | None = None

    def set(self, places: int | None, blocked_until: float | None) -> None:
        """Change it, here and in the real limiter."""
        self.places = self.places if places is None else places
        self.blocked_until = self.blocked_until if blocked_until is None else blocked_until
        if self.limiter is not None:
            self.limiter.places, self.limiter.blocked_until = self.places, self.blocked_until


class NaiveRequestGate:
    """Who waits, in order of arrival; what is out, with when the limiters were made that count it; the world around."""

    def __init__(self, rules: Sequence[RequestRule]) -> None:
        self.rules = list(rules)
        self.caps: dict[ProviderModelKey, int] = {}
        self.domain_caps: dict[ProviderModelKey, Mapping[str, int]] = {}
        self.limits: dict[Hashable, Limit] = {scope: Limit() for scope in LIMITED}
        self.line: list[RequestWaiter] = []
        self.out: list[tuple[RequestAdmissionLease, int]] = []
        self.generation = 0
        self.now = 0.0
        self.closed = False
        self.shut: set[str] = set()
        self.doomed: set[str] = set()
        self.moments: dict[str, float] = {}

    # -- what rules see

    def in_flight(self, key: Hashable) -> int:
        return sum(lease.item.cost.requests for lease, _ in self.out if covers(key, lease.item.resource))

    def in_flight_for(self, group: Hashable) -> int:
        """The requests of a group that are out."""
        return sum(lease.item.cost.requests for lease, _ in self.out if lease.item.group.key == group)

    def waiting(self, resource: RequestResourceKey) -> int:
        return sum(waiter.item.resource == resource for waiter in self.line)

    # -- what is true now

    def cap(self, resource: RequestResourceKey) -> int:
        """The most that may be in flight at one resource."""
        model = resource.provider_model
        return min(self.caps[model], self.domain_caps[model].get(resource.domain, self.caps[model]))

    def fits(self, item: RequestAdmissionItem) -> bool:
        """Whether the caps have room, and the limit of its group."""
        limit = item.group.admitted_limit
        if limit is not None and self.in_flight_for(item.group.key) + item.cost.requests > limit:
            return False
        model, requests = item.resource.provider_model, item.cost.requests
        return self.in_flight(model) + requests <= self.caps[model] and self.in_flight(
            item.resource
        ) + requests <= self.cap(item.resource)

    def is_limited(self, item: RequestAdmissionItem) -> bool:
        """Whether a limiter refuses."""
        for scope, limit in self.limits.items():
            if concerns(scope, item):
                counted = sum(
                    lease.item.cost.requests
                    for lease, made in self.out
                    if made == self.generation and concerns(scope, lease.item)
                )
                if self.now < limit.blocked_until or counted + item.cost.requests > limit.places:
                    return True
        return False

    def refusal(self, item: RequestAdmissionItem, *, waiters: bool = True) -> Denied | None:
        """What the first rule says that refuses; without `waiters`, of those that do not look at who waits."""
        for rule in self.rules:
            if (waiters or not rule.looks_at_waiters) and (denied := rule.answer(item, self)) is not None:
                return denied
        return None

    def could_go(self, item: RequestAdmissionItem) -> bool:
        """Whether a call could go out if nobody else could."""
        return (
            not self.closed
            and (item.deadline is None or item.deadline >= self.now)
            and self.fits(item)
            and not self.is_limited(item)
            and self.refusal(item) is None
        )

    def room_may_be_kept(self, waiter: RequestWaiter, *, agreed: bool) -> bool:
        """Whether a call of several requests waits for room that this one would take; `agreed`: and nothing else holds
        it back.

        It need not be larger than this one: it may have enough of the model, which is kept, and be short of its domain.
        """
        for other in self.line:
            shared = any(concerns(scope, other.item) and concerns(scope, waiter.item) for scope in self.limits)
            several = other is not waiter and other.item.cost.requests > 1
            short = not self.fits(other.item) or self.is_limited(other.item)
            if shared and several and short and not (agreed and self.refusal(other.item) is not None):
                return True
        return False
