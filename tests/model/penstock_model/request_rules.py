"""Rules of the request gate whose answers are true by construction; see `task_rules.py`.

What a refusal covers here: `task` this waiter, `shape` its group's waiters for its resource, `group` its group's
waiters for the model, `all` everybody.
"""

from __future__ import annotations

from collections.abc import Hashable
from typing import Protocol

import attrs

from penstock import Backlog, Denied, ProviderKey, ProviderModelKey, Released, RequestAdmissionItem, RequestResourceKey
from penstock_model.causes import Doomed, World

__all__ = ["Cause", "InFlight", "RequestRule", "Seen", "Waiting"]


class Seen(World, Protocol):
    """What a rule can see of a gate, and of the world around it."""

    def in_flight(self, key: Hashable) -> int:
        """How many requests are in flight at a resource, a provider's model, or a provider."""
        ...

    def waiting(self, resource: RequestResourceKey) -> int: ...


class Cause(Protocol):
    """Something that holds or not; `until(item, seen)` names what comes true when it ends."""

    def holds(self, item: RequestAdmissionItem, seen: Seen) -> bool: ...

    def until(self, item: RequestAdmissionItem, seen: Seen) -> Hashable: ...


@attrs.frozen
class InFlight:
    """While at least so much is in flight at a resource, a model or a provider."""

    key: RequestResourceKey | ProviderModelKey | ProviderKey
    count: int

    def holds(self, item: RequestAdmissionItem, seen: Seen) -> bool:
        return seen.in_flight(self.key) >= self.count

    def until(self, item: RequestAdmissionItem, seen: Seen) -> Hashable:
        return Released(self.key)


@attrs.frozen
class Waiting:
    """While at least (or `few`: less than) so many wait for a resource."""

    resource: RequestResourceKey
    count: int
    few: bool = False

    def holds(self, item: RequestAdmissionItem, seen: Seen) -> bool:
        return (seen.waiting(self.resource) < self.count) is self.few

    def until(self, item: RequestAdmissionItem, seen: Seen) -> Hashable:
        return Backlog(self.resource)


@attrs.frozen
class RequestRule:
    """Refuses whom it is about while all causes hold.

    `groups` and `resources` (`None`: every one) and `cost` (of one request, or of several) say whom it is about.
    """

    name: str
    causes: tuple[Cause, ...]
    scope: str = "task"
    groups: frozenset[str] | None = None
    resources: frozenset[RequestResourceKey] | None = None
    large: bool | None = None
    cohort: str | None = None
    untrue: bool = False
    """Whether its cohort is a lie: it refuses by the cost of a call, too."""

    @property
    def final(self) -> bool:
        return any(isinstance(cause, Doomed) for cause in self.causes)

    @property
    def looks_at_waiters(self) -> bool:
        return any(isinstance(cause, Waiting) for cause in self.causes)

    def is_about(self, item: RequestAdmissionItem) -> bool:
        return (
            (self.groups is None or item.group.key in self.groups)
            and (self.resources is None or item.resource in self.resources)
            and (self.large is None or (item.cost.requests > 1) is self.large)
        )

    def answer(self, item: RequestAdmissionItem, seen: Seen) -> Denied | None:
        """The refusal, or `None`."""
        if not self.is_about(item) or not all(cause.holds(item, seen) for cause in self.causes):
            return None
        if self.untrue and (item.cost.requests + len(seen.shut)) % 2 == 0:
            return None
        until = {cause.until(item, seen) for cause in self.causes}
        return Denied("hard_policy_denial", until, self.scope, self.name, cohort=self.cohort)  # type: ignore[arg-type]
