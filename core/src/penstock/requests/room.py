"""The room at the request gate: how many requests may still go out at a provider, a provider + model, or a resource.

A call takes of all three. Room is what the static caps leave, and what a limiter leaves that can say it
(`RequestCounter`). It is no refusal: who does not fit is not asked, and the next choice sees what came free.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterable, Iterator, Mapping
from typing import TYPE_CHECKING, Any

from penstock.queueing.lanes import Resources
from penstock.queueing.places import Room, total
from penstock.words.identity import RequestResourceKey
from penstock.words.native import mypyc_attr
from penstock.words.verdicts import Denied, Released

if TYPE_CHECKING:
    from penstock.requests.registry import ModelState, ProviderState, ResourceState

__all__ = ["Needs", "RequestRoom"]


@mypyc_attr(native_class=False)
class Needs(tuple[tuple[Hashable, int], ...]):
    """What a call takes: so many requests of its resource, of its model and of its provider.

    Equal to itself alone, since it is looked up with every call; `state` is that of the resource, where the room is
    known.
    """

    state: Any = None

    __hash__ = object.__hash__
    __eq__ = object.__eq__

    @classmethod
    def of(cls, resource: RequestResourceKey, requests: int) -> Needs:
        """The needs of a call for a resource."""
        return cls(((resource, requests), (resource.provider_model, requests), (resource.provider, requests)))


class _Figures(Mapping[Any, int]):
    """A figure of each scope, worked out when it is asked for."""

    def __init__(self, nodes: Mapping[Any, Any], figure: Callable[[Any], int]) -> None:
        self._nodes = nodes
        self._figure = figure

    def __getitem__(self, key: Hashable) -> int:
        return self._figure(self._nodes[key])

    def __iter__(self) -> Iterator[Any]:
        return iter(self._nodes)

    def __len__(self) -> int:
        return len(self._nodes)


class RequestRoom(Room):
    """The room of all scopes, as it is at the moment `now`, which who asks has to set."""

    def __init__(self, nodes: Mapping[Any, ProviderState | ModelState | ResourceState]) -> None:
        limits = _Figures(nodes, lambda node: node.limit(self.now))
        super().__init__(limits, _Figures(nodes, lambda node: node.free(self.now)), None)
        self.limits_move = True
        self.now = 0.0
        self.has_counters = False
        """Whether any limiter says how much room it leaves."""
        self._nodes: Mapping[Any, Any] = nodes

    def short_of(self, needs: Resources) -> Hashable | None:
        """The scope of which less is free than this takes, if there is one."""
        state: ResourceState = needs.state  # type: ignore[attr-defined]
        model, requests = state.model, needs[0][1]
        if state.cap - state.in_flight < requests:
            return state.key
        if model.cap - model.in_flight < requests:
            return model.key
        if self.has_counters:
            for node in (state, model, state.provider):
                if node.counters and node.free(self.now) < requests:
                    return node.key
        return None

    def bound(self, needs: Needs) -> Needs:
        """The same, with the state of the resource."""
        needs.state = self._nodes[needs[0][0]]
        return needs

    def within_limits(self, needs: Iterable[Resources]) -> bool:
        """Whether all these could be out at once, by the limits of today."""
        return all(requests <= self.limits[key] for key, requests in total(dict(each) for each in needs).items())

    def home(self, needs: Resources) -> Hashable:
        """The model: all its calls compete for its places."""
        return needs[1][0]

    def can_be_passed(self, needs: Resources) -> bool:
        """Whether others may go while this does not fit: where one place is too little, none is there for others."""
        return needs[0][1] > 1

    def apart(self) -> Callable[[Hashable, Hashable], bool]:
        """Whether calls of two models take nothing from each other: no limiter counts those of their provider."""
        return self._are_apart

    def _are_apart(self, home: Hashable, other: Hashable) -> bool:
        provider = self._nodes[home].provider
        return provider is not self._nodes[other].provider or not provider.counters

    def refusal(self, needs: Resources) -> Denied | None:
        """Why this does not fit, beside what is kept for others; `None` if it does."""
        requests = needs[0][1]
        scope: Any = next((key for key, _ in (needs[1], needs[0], needs[2]) if self.free[key] < requests), None)
        if scope is None:
            kept = [key for key, amount in needs if self.free[key] - amount < self.reserved.get(key, 0)]
            if not kept:
                return None
            scope = kept[0]
            detail = (
                f"{self.reserved[scope]} places of {scope} are kept for calls that are next and need more than is free"
            )
        elif scope == needs[2][0] or self._nodes[scope].cap - self._nodes[scope].in_flight >= requests:
            detail = f"limiters of {scope} leave {max(self.free[scope], 0)} of {requests} places"
        else:
            detail = f"the {self._nodes[scope].cap} places of {scope} are taken"
        return Denied("no_capacity", {Released(scope)}, "shape", detail, by="core")

    def next_change(self, short_of: Iterable[Hashable]) -> float | None:
        """The earliest moment at which a limiter by itself may leave more room of one of these."""
        moments = [
            moment
            for key in short_of
            for limiter in self._nodes[key].counters
            if (moment := limiter.next_change(self.now)) is not None
        ]
        return min(moments, default=None)

    def counted(self, keys: Iterable[Hashable]) -> list[Hashable]:
        """Those of which limiters say how much is left."""
        return [key for key in keys if self._nodes[key].counters]
