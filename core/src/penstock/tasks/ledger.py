"""What the groups hold, and the live, read-only view of it that policies and rules are given."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from operator import attrgetter
from types import MappingProxyType
from typing import Any, Final

from penstock.tasks.contenders import TaskContenders
from penstock.tasks.holding import Holding
from penstock.tasks.records import SchedulerResourceKey, SchedulerResourceRequest, TaskGroupKey
from penstock.words.read_only import read_only

__all__ = ["ByGroup", "LedgerView"]


@read_only
class ByGroup(Mapping[TaskGroupKey, Any]):
    """A live mapping from group to something read off its books, of those groups that `are_in` it."""

    _books: Mapping[Any, Any]
    _read: Callable[[Any], Any]
    _are_in: Callable[[Any], bool]

    def __init__(
        self, books: Mapping[Any, Any], read: Callable[[Any], Any], are_in: Callable[[Any], bool] = lambda _: True
    ) -> None:
        vars(self).update(_books=books, _read=read, _are_in=are_in)

    def __getitem__(self, key: TaskGroupKey) -> Any:
        book = self._books[key]
        if not self._are_in(book):
            raise KeyError(key)
        return self._read(book)

    def __iter__(self) -> Iterator[TaskGroupKey]:
        return (key for key, book in self._books.items() if self._are_in(book))

    def __len__(self) -> int:
        return sum(1 for _ in self)


_NOTHING: Final = Holding()


@read_only
class LedgerView:
    """The live window onto the controller's ledger."""

    resource_limits: Mapping[SchedulerResourceKey, int]
    resources_available: Mapping[SchedulerResourceKey, int]
    leased_resources_by_group: Mapping[TaskGroupKey, Mapping[str, int]]
    running_counts_by_group: Mapping[TaskGroupKey, int]
    policy_debt_by_group_resource: Mapping[tuple[TaskGroupKey, str], int]
    reserved: Mapping[SchedulerResourceKey, int]
    _holdings: Mapping[TaskGroupKey, Holding]
    _contenders: TaskContenders

    def __init__(
        self,
        limits: dict[str, int],
        available: dict[str, int],
        holdings: dict[TaskGroupKey, Holding],
        debt: dict[tuple[TaskGroupKey, str], int],
        contenders: TaskContenders,
        reserved: Mapping[Any, int],
    ) -> None:
        amounts, running = attrgetter("amounts"), attrgetter("running")
        vars(self).update(
            resource_limits=MappingProxyType(limits),
            resources_available=MappingProxyType(available),
            leased_resources_by_group=ByGroup(holdings, amounts, running),
            running_counts_by_group=ByGroup(holdings, running, running),
            policy_debt_by_group_resource=MappingProxyType(debt),
            reserved=MappingProxyType(reserved),
            _holdings=holdings,
            _contenders=contenders,
        )

    @property
    def leased_resources(self) -> Mapping[SchedulerResourceKey, int]:
        return {r: limit - self.resources_available[r] for r, limit in self.resource_limits.items()}

    def has_room(self, request: SchedulerResourceRequest) -> bool:
        """Whether what is free, and not reserved, is enough for this."""
        free, reserved = self.resources_available, self.reserved
        return all(free.get(r, 0) >= amount + reserved.get(r, 0) for r, amount in request.shape)

    def running(self, group: TaskGroupKey) -> int:
        """How many tasks of a group run."""
        return self._holdings.get(group, _NOTHING).running

    def held(self, group: TaskGroupKey, resource: SchedulerResourceKey) -> int:
        """How much of a resource a group holds."""
        return self._holdings.get(group, _NOTHING).held(resource)

    def runnable_peers(self, resource: SchedulerResourceKey, besides: TaskGroupKey) -> int:
        return self._contenders.count(resource, besides)

    def debt_free_peers(self, resource: SchedulerResourceKey, besides: TaskGroupKey) -> int:
        return self._contenders.count_debt_free(resource, besides)

    def competing_weight(self, resource: SchedulerResourceKey, besides: TaskGroupKey) -> float:
        return self._contenders.weight(resource, besides)

    def snapshot(self) -> Mapping[str, Any]:
        return {
            "resource_limits": dict(self.resource_limits),
            "resources_available": dict(self.resources_available),
            "running_counts_by_group": {str(key): count for key, count in self.running_counts_by_group.items()},
            "policy_debt": {
                f"{group}: {resource}": debt for (group, resource), debt in self.policy_debt_by_group_resource.items()
            },
        }
